"""The weights of a net as the content of a safetensors file, and back into a net that they must fit exactly."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from geoae.errors import ModelFileError

if TYPE_CHECKING:
    from torch import Tensor, nn

_LISTED = 8
"""Tensors that an error names; more of them say no more."""


def pack_weights(net: "nn.Module") -> tuple[bytes, str]:
    """Content of the weights file of a net, and its SHA-256.

    Tensors whose values half precision can hold exactly are written so, in half the bytes: see `halve_weights`.
    """
    from safetensors.torch import save

    raw = save({k: _packed(v.cpu().contiguous()) for k, v in net.state_dict().items()})
    return raw, hashlib.sha256(raw).hexdigest()


def halve_weights(net: "nn.Module") -> None:
    """Round the weights of a net to values that half precision can hold, where none of them is too large for it."""
    import torch

    for tensor in net.state_dict().values():
        if tensor.dtype == torch.float32 and bool(tensor.half().isfinite().all()):
            tensor.copy_(tensor.half())


def load_weights(net: "nn.Module", raw: bytes, path: Path, name: str) -> None:
    """Load the content of weights file `path` into the net called `name`.

    Raises
    ------
    ModelFileError
        It is no safetensors file, or its tensors are not those of the net; the differences are listed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors, wanted = load(raw), net.state_dict()
    except SafetensorError as error:
        raise ModelFileError(f"{path} is no safetensors file: {error}.") from error
    faults = [f"missing tensor {k}" for k in sorted(wanted.keys() - tensors.keys())]
    faults += [f"unknown tensor {k}" for k in sorted(tensors.keys() - wanted.keys())]
    for key in sorted(wanted.keys() & tensors.keys()):
        found, expected = ((tuple(t.shape), str(t.dtype)) for t in (tensors[key], wanted[key]))
        halved = found == (expected[0], "torch.float16") and expected[1] == "torch.float32"
        if found != expected and not halved:
            faults.append(f"tensor {key} is {found[1]} {found[0]} instead of {expected[1]} {expected[0]}")
    if faults:
        more = f"; and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
        raise ModelFileError(f"{path} does not fit net {name!r}: {'; '.join(faults[:_LISTED])}{more}.")
    net.load_state_dict(tensors)


def _packed(x: "Tensor") -> "Tensor":
    import torch

    if x.dtype != torch.float32:
        return x
    half = x.half()
    return half if torch.equal(half.float(), x) else x
