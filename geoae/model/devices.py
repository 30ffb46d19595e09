"""Choose the device and the number of threads for a net; memory settings for training."""

import ctypes
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from geoae.errors import OptionError
from geoae.model import Model

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Options of mallopt, from glibc's malloc.h."""
_KEPT, _MAPPED, _USUAL = 2**31 - 1, 2**25, 2**26
"""Values of these options in bytes: freed memory to keep (all), largest block on the heap, glibc's usual value."""
MAX_THREADS = 8  # small nets gain nothing from more threads, and other users of a shared node lose cores


def prepare_model(model: Model, device: str = "auto", threads: int | None = None) -> Model:
    """Move a model to a device and set its number of threads.

    Parameters
    ----------
    model
        As loaded.
    device
        "auto" (CUDA, else Apple's MPS, else the CPU), "cpu", "cuda", "cuda:1" or "mps".
    threads
        CPU threads. None: OMP_NUM_THREADS if it is set, else the cores of this process, at most `MAX_THREADS`.

    Raises
    ------
    OptionError
        The device does not exist, or `threads` is below 1.
    """
    import torch

    if threads is not None and threads < 1:
        raise OptionError(f"threads is {threads}; it must be at least 1.")
    model.to(choose_device(device))
    model.threads = (threads or choose_threads()) if model.device == "cpu" else 1
    model.pool = None
    if model.threads > 1:
        model.pool = ThreadPoolExecutor(model.threads, initializer=torch.set_num_threads, initargs=(1,))
    if model.partner:
        model.partner.threads, model.partner.pool = model.threads, model.pool
    return model


def check_device_name(device: str) -> None:
    """Raise OptionError unless a device is called auto, cpu, mps, cuda, or cuda with a number; it need not be there."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise OptionError(f"There is no device {device!r}; choose auto, cpu, cuda, cuda:1 or mps.")


def choose_device(device: str) -> str:
    """Name of an available device; "auto" prefers CUDA, then MPS, then the CPU."""
    check_device_name(device)
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next(kind for kind in ("cuda", "mps", "cpu") if available[kind])
    kind, _, number = device.partition(":")
    if not available[kind]:
        raise OptionError(f"This machine or this build of torch has no {kind!r} device; use --device cpu or auto.")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if number and int(number) >= count:
        raise OptionError(f"There is no device {device!r}: this machine has {count} of kind {kind!r}, counted from 0.")
    return device


def choose_threads() -> int:
    """Number of CPU threads: OMP_NUM_THREADS if it is set, else the cores of this process, at most `MAX_THREADS`."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdigit() and int(value) > 0 else min(count_cores(), MAX_THREADS)


def count_cores() -> int:
    """Number of cores that this process may use, which a batch system or `taskset` may limit."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no such call
        return os.cpu_count() or 1


def has_fast_bfloat16(device: str) -> bool:
    """Whether a device multiplies bfloat16 numbers in hardware: CUDA, and processors with AVX-512 BF16."""
    import torch

    if device.startswith("cuda"):
        return True
    if not device.startswith("cpu"):
        return False
    try:  # torch has no public name for this; where the private one is missing, the answer is no
        return bool(torch.cpu._is_avx512_bf16_supported())
    except AttributeError:
        return False


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Keep freed memory in the process for the next allocation, if the C library is glibc; else do nothing.

    Each training step allocates what the last one freed. If the memory goes back to the system in between, the system
    fills it with zeros again, which took a twelfth of the CPU time of training a prior of two-dimensional models.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        yield
        return
    mallopt(_MMAP_THRESHOLD, _MAPPED)
    mallopt(_TRIM_THRESHOLD, _KEPT)
    try:
        yield
    finally:
        mallopt(_TRIM_THRESHOLD, _USUAL)
