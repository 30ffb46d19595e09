"""Forward models of torch: the type and device of the tensors that they take, and calls with arrays."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from geoae.arrays.types import Float64Array

if TYPE_CHECKING:
    import torch


@dataclass
class TensorFunction:
    """A function of tensors, which always gets tensors of one type on one device, and its own copy of them."""

    function: Any
    dtype: "torch.dtype"
    device: "torch.device"

    @classmethod
    def of(cls, function: Any) -> "TensorFunction":
        """Take type and device from the parameters of a module; other functions get float64 on the CPU."""
        import torch

        tensors = [*function.parameters(), *function.buffers()] if is_module(function) else []
        first = next((t for t in tensors if t.is_floating_point()), None)
        if first is None:
            return cls(function, torch.float64, torch.device("cpu"))
        return cls(function, first.dtype, first.device)

    def other_types(self) -> "list[torch.dtype]":
        """Types to try if the function does not take the present one: a function may use modules that it holds."""
        import torch

        return [dtype for dtype in (torch.float64, torch.float32) if dtype != self.dtype]

    def apply(self, models: "torch.Tensor") -> Any:
        """Call the function with tensors; gradients flow through the copy."""
        return self.function(models.to(self.device, self.dtype, copy=True))

    def __call__(self, model: Float64Array) -> Float64Array:
        """Call the function with an array.

        Raises
        ------
        TypeError
            The function does not return a tensor of real numbers.
        """
        import torch

        with torch.no_grad():
            found = self.apply(torch.from_numpy(np.ascontiguousarray(model)))
        if not isinstance(found, torch.Tensor):
            raise TypeError(f"it gave a {type(found).__name__}, and a forward model of torch must give a tensor")
        if found.is_complex():
            raise TypeError("its data are complex: let it give torch.stack([d.real, d.imag])")
        return found.cpu().numpy().astype(np.float64)


def is_module(x: Any) -> bool:
    """Whether an object is an `nn.Module`; torch is not loaded to find out."""
    return any(kind.__module__.startswith("torch.nn") for kind in type(x).__mro__)
