"""Pack the weights of a net into a safetensors file, and load them into a net of exactly the same tensors."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from geoae.errors import ModelFileError

if TYPE_CHECKING:
    from torch import Tensor, nn

_LISTED = 8
"""Differing tensors that an error message lists at most."""


def pack_weights(net: "nn.Module") -> tuple[bytes, str]:
    """Content of the weights file of a net, and its SHA-256.

    Tensors whose values are exact in half precision are stored in half precision: see `halve_weights`.
    """
    from safetensors.torch import save

    raw = save({k: _packed(v.cpu().contiguous()) for k, v in net.state_dict().items()})
    return raw, hashlib.sha256(raw).hexdigest()


def halve_weights(net: "nn.Module") -> None:
    """Round the weights of a net to half precision, tensor by tensor; a tensor with a value out of its range stays."""
    import torch

    for tensor in net.state_dict().values():
        if tensor.dtype == torch.float32 and bool(tensor.half().isfinite().all()):
            tensor.copy_(tensor.half())


def load_weights(net: "nn.Module", raw: bytes, path: Path, name: str) -> None:
    """Load the content `raw` of weights file `path` into the net called `name`.

    Raises
    ------
    ModelFileError
        The file is no safetensors file, or its tensors are not those of the net; the differences are listed.
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
