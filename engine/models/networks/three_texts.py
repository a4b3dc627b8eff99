"""The conditioning of Stable Diffusion 3 out of three text encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from engine.models.encoded import Encoded

if TYPE_CHECKING:
    from torch import Tensor


CLIP_L, CLIP_G = 768, 1280
"""Widths of the full-size towers, which stand in for one that was left out."""


def joined(found: Mapping[str, Encoded], width: int) -> Encoded:
    """Return the context (1, T, D) and the pooled text (1, P) of what each tower gave, by name; some may be left out.

    D is T5's width, without T5 `width`; the tokens of the CLIP towers, side by side, are filled up with zeros to it. For a CLIP
    tower that was left out stand zeros, as in the field; without both there are T5's tokens alone.
    """
    last = found["t5xxl"].context if "t5xxl" in found else None
    clips = [found.get(name) or _nothing(one) for name, one in (("clip_l", CLIP_L), ("clip_g", CLIP_G))]
    pooled = torch.cat([options["pooled_output"] for _, options in clips], dim=-1)
    parts = [last] if last is not None else []
    if any(context.shape[1] for context, _ in clips):
        parts.insert(0, _beside([context for context, _ in clips], width if last is None else last.shape[-1]))
    return Encoded(torch.cat(parts, dim=1), {"pooled_output": pooled})


def _nothing(width: int) -> Encoded:
    return Encoded(torch.zeros(1, 0, width), {"pooled_output": torch.zeros(1, width)})


def _beside(contexts: Sequence[Tensor], width: int) -> Tensor:
    """The tokens of both towers side by side, zeros for those of one that gave none, filled up with zeros to `width`."""
    length = min(context.shape[1] for context in contexts if context.shape[1])
    whole = [
        context[:, :length] if context.shape[1] else context.new_zeros(1, length, context.shape[-1])
        for context in contexts
    ]
    beside = torch.cat(whole, dim=-1)
    return functional.pad(beside, (0, width - beside.shape[-1]))
