"""`comfy.ops`: layers whose weights are not initialised, or are cast to the input when they compute."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def cast_to(
    weight: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False, copy: bool = False, **kwargs: Any
) -> Any:
    """A tensor of that dtype on that device."""
    return None if weight is None else weight.to(dtype=dtype, device=device, non_blocking=non_blocking, copy=copy)


def cast_to_input(weight: Any, input: Any, non_blocking: bool = False, copy: bool = True) -> Any:
    """A tensor like another."""
    return cast_to(weight, input.dtype, input.device, non_blocking, copy)


def cast_bias_weight(
    s: Any, input: Any = None, dtype: Any = None, device: Any = None, bias_dtype: Any = None, **kwargs: Any
) -> Any:
    """Weight and bias of a layer, like its input."""
    dtype, device = (dtype or input.dtype, device or input.device) if input is not None else (dtype, device)
    return cast_to(s.weight, dtype, device), cast_to(s.bias, bias_dtype or dtype, device)


class CastWeightBiasOp:
    """Mark of layers that may cast their weights."""

    comfy_cast_weights = False
    weight_function: Any = ()
    bias_function: Any = ()


class _Plain(CastWeightBiasOp):
    """A layer that leaves its weights as they were allocated; casting ones compute with weights like the input."""

    def reset_parameters(self) -> None:
        """Nothing: they are loaded."""

    def forward(self, input: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute, with cast weights where the layer does that."""
        if not self.comfy_cast_weights:
            return super().forward(input, *args, **kwargs)  # type: ignore[misc]  # a mixin before nn.Linear and its like
        named = dict(self.named_parameters(recurse=False))  # type: ignore[attr-defined]  # see above
        floating = input if torch.is_floating_point(input) else None
        dtype = floating.dtype if floating is not None else kwargs.pop("out_dtype", None)
        cast = {name: cast_to(value, dtype, input.device) for name, value in named.items() if value is not None}
        return torch.func.functional_call(
            _Base(self), {f"layer.{name}": value for name, value in cast.items()}, (input, *args), kwargs
        )


class _Base(nn.Module):
    """Calls a layer's own computing, not its casting."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As torch does it."""
        own: Any = next(cls for cls in type(self.layer).__mro__ if cls.__module__.startswith("torch."))
        return own.forward(self.layer, *args, **kwargs)


def _layers(casts: bool) -> dict[str, Any]:
    kinds = (
        nn.Linear,
        nn.Conv1d,
        nn.Conv2d,
        nn.Conv3d,
        nn.GroupNorm,
        nn.LayerNorm,
        nn.ConvTranspose1d,
        nn.ConvTranspose2d,
        nn.Embedding,
    )
    return {kind.__name__: type(kind.__name__, (_Plain, kind), {"comfy_cast_weights": casts}) for kind in kinds}


def conv_nd(dims: int, *args: Any, **kwargs: Any) -> Any:
    """A convolution over that many dimensions."""
    return getattr(disable_weight_init, f"Conv{dims}d")(*args, **kwargs)


disable_weight_init: Any = type("disable_weight_init", (), {**_layers(False), "conv_nd": staticmethod(conv_nd)})
manual_cast: Any = type("manual_cast", (disable_weight_init,), _layers(True))


def pick_operations(weight_dtype: Any, compute_dtype: Any, *args: Any, **kwargs: Any) -> Any:
    """The layers for weights of one dtype that compute in another."""
    return disable_weight_init if compute_dtype is None or weight_dtype == compute_dtype else manual_cast
