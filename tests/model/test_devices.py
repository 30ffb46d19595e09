"""Devices and threads do not change results; a device that does not exist raises an error of one line."""

import platform
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from geoae.errors import InputError
from geoae.model import devices, load_model
from tests.conftest import tiny_model


@pytest.fixture(autouse=True)
def _one_thread():
    yield
    torch.set_num_threads(1)


def test_the_cpu_is_always_there():
    """ "cpu" is accepted, and "auto" finds a device."""
    assert devices.choose_device("cpu") == "cpu"
    assert devices.choose_device("auto") in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("name", ["gpu", "tpu", "", "cuda:one", "cuda:"])
def test_unknown_devices_are_refused_with_the_choices(name):
    """The message lists the choices."""
    with pytest.raises(InputError, match="choose auto, cpu, cuda, cuda:1 or mps"):
        devices.choose_device(name)


def test_a_device_that_is_not_there_is_refused():
    """A GPU on a machine without one, or the hundredth GPU, raises our error, not that of torch."""
    if torch.cuda.is_available():
        with pytest.raises(InputError, match="counted from 0"):
            devices.choose_device("cuda:99")
    else:
        with pytest.raises(InputError, match="no 'cuda' device; use --device cpu or auto"):
            devices.choose_device("cuda")


@pytest.mark.parametrize(("asked", "expected"), [("3", 3), ("", None), ("0", None), ("many", None)])
def test_threads_follow_the_environment(monkeypatch, asked, expected):
    """OMP_NUM_THREADS where it is a number, else the cores of this process, at most 8."""
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert devices.choose_threads() == (expected or min(devices.count_cores(), devices.MAX_THREADS))


@pytest.mark.parametrize("threads", [0, -1])
def test_less_than_one_thread_is_refused(threads):
    """The number of threads is checked."""
    with pytest.raises(InputError, match="at least 1"):
        devices.prepare_model(tiny_model(), "cpu", threads)


def test_threads_change_no_digit():
    """One thread and three give the same bits, for any number of windows."""
    x = np.random.default_rng(0).normal(size=(5, 3, 512))
    one, three = (devices.prepare_model(tiny_model(), "cpu", n) for n in (1, 3))
    assert (one.pool, three.threads) == (None, 3)
    for n in (1, 2, 5):
        np.testing.assert_array_equal(three.noise(x[:n]), one.noise(x[:n]))


def test_bfloat16_is_fast_on_some_devices(monkeypatch):
    """On CUDA always, on MPS never, on a CPU as torch reports, and not if torch has no such function."""
    assert devices.has_fast_bfloat16("cuda:1")
    assert not devices.has_fast_bfloat16("mps")
    for answer in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda answer=answer: answer)
        assert devices.has_fast_bfloat16("cpu") is answer
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert not devices.has_fast_bfloat16("cpu")


def faults():
    """Number of page faults while arrays are made and freed repeatedly."""
    resource = pytest.importorskip("resource", reason="systems that tell of page faults")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        some = [torch.ones(5_000_000) for _ in range(6)]
        del some
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_freed_memory_is_used_again():
    """120 MB are allocated four times more, without new pages from the system."""
    with devices.keep_freed_memory():
        faults()
        assert faults() < 3000


def test_memory_is_given_back_afterwards(monkeypatch):
    """The option is set and restored, also after an error; without mallopt, nothing happens."""
    options = []
    monkeypatch.setattr(
        devices.ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=lambda *option: options.append(option))
    )
    with suppress(ZeroDivisionError), devices.keep_freed_memory():
        during = dict(options)
        raise ZeroDivisionError
    assert during[-1] == 2**31 - 1
    assert dict(options) == {**during, -1: 2**26}
    for other in (lambda _: SimpleNamespace(), missing):
        monkeypatch.setattr(devices.ctypes, "CDLL", other)
        with devices.keep_freed_memory():
            assert len(options) == 3


def missing(name):
    raise OSError("no such library")


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu():
    """The default model, and a random one, differ by less than 1e-3 of the RMS between CUDA and the CPU."""
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    for make in (tiny_model, load_model):
        x = np.random.default_rng(1).normal(size=(4, 3, make().contract.window)).cumsum(axis=-1)
        cpu, cuda = (devices.prepare_model(make(), device).denoise(x) for device in ("cpu", "cuda"))
        np.testing.assert_allclose(cuda, cpu, rtol=0, atol=1e-3 * x.std())
