"""`comfy.ldm.modules.attention`: attention as packs call it, computed by PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from engine.plugins.compat.absent import absent_class

_NEEDS = "that network as a module of its own in engine.models"


def attention_pytorch(
    q: Any,
    k: Any,
    v: Any,
    heads: int,
    mask: Any = None,
    attn_precision: Any = None,
    skip_reshape: bool = False,
    skip_output_reshape: bool = False,
    **kwargs: Any,
) -> Any:
    """Attention of (B, N, heads · D), or of (B, heads, N, D) with `skip_reshape`; the result is (B, N, heads · D)."""
    if not skip_reshape:
        q, k, v = (one.reshape(one.shape[0], one.shape[1], heads, -1).transpose(1, 2) for one in (q, k, v))
    if mask is not None:
        mask = mask[None] if mask.ndim == 2 else mask
        mask = mask[:, None] if mask.ndim == 3 else mask
    found = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return found if skip_output_reshape else found.transpose(1, 2).flatten(2)


attention_basic = attention_sub_quad = attention_split = attention_pytorch
attention_xformers = attention_sage = attention_flash = attention_pytorch
optimized_attention = optimized_attention_masked = attention_pytorch
REGISTERED_ATTENTION_FUNCTIONS: dict[str, Any] = {"pytorch": attention_pytorch}


def optimized_attention_for_device(device: Any = None, mask: bool = False, small_input: bool = False) -> Any:
    """The attention to use there."""
    return attention_pytorch


def wrap_attn(func: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself; nothing overrides it here."""
    return func


def register_attention_function(name: str, func: Any) -> None:
    """Keep an attention under a name."""
    REGISTERED_ATTENTION_FUNCTIONS[name] = func


def get_attention_function(name: str, default: Any = None) -> Any:
    """The attention of that name."""
    return REGISTERED_ATTENTION_FUNCTIONS.get(name, default)


def default(val: Any, d: Any) -> Any:
    """`val`, or `d` when it is None."""
    return d if val is None else val


def exists(val: Any) -> bool:
    """Whether it is not None."""
    return val is not None


def rms_norm(x: Any, weight: Any = None, eps: float = 1e-6) -> Any:
    """`x` over its root mean square along the last dimension."""
    return torch.nn.functional.rms_norm(x, x.shape[-1:], weight, eps)


class BasicTransformerBlock(torch.nn.Module):
    """A block of the U-Net; packs wrap its `forward`, which ours never calls."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from engine.plugins.compat.absent import refuse

        refuse("comfy.ldm.modules.attention.BasicTransformerBlock(…)", _NEEDS)

    def forward(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """There to be wrapped."""
        return x

    def _forward(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return x


SpatialTransformer = absent_class("comfy.ldm.modules.attention.SpatialTransformer", _NEEDS)
CrossAttention = absent_class("comfy.ldm.modules.attention.CrossAttention", _NEEDS)
FeedForward = absent_class("comfy.ldm.modules.attention.FeedForward", _NEEDS)
