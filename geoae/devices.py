"""Where a net runs: device, threads and precision."""

import os

from geoae.errors import InputError
from geoae.model import Model

MAX_THREADS = 8  # small nets do not gain from more, and a shared node's neighbours lose


def prepare(model: Model, device: str = "auto", threads: int | None = None) -> Model:
    """Put a model where it will run.

    Parameters
    ----------
    model
        As loaded.
    device
        "auto" (CUDA, else Apple's MPS, else the CPU), "cpu", "cuda", "cuda:1" or "mps".
    threads
        Of the CPU; None: as many as this process may use, at most `MAX_THREADS`, or OMP_NUM_THREADS where it is set.

    Raises
    ------
    InputError
        The device is not there.
    """
    import torch

    if threads or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads or min(available_cores(), MAX_THREADS))
    return model.to(resolve(device))


def resolve(device: str) -> str:
    """Name of a device that is there."""
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next(kind for kind in ("cuda", "mps", "cpu") if there[kind])
    kind = device.split(":")[0]
    if kind not in there:
        raise InputError(f"There is no device {device!r}; choose auto, cpu, cuda or mps.")
    if not there[kind]:
        raise InputError(f"This machine or this build of torch has no {kind!r} device; use --device cpu or auto.")
    return device


def available_cores() -> int:
    """Cores that this process may use: what a batch system or `taskset` left of the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
