"""The conditioning of Stable Diffusion 3 out of three text encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


def joined(found: Mapping[str, tuple[Tensor, Tensor]], width: int) -> tuple[Tensor, Tensor]:
    """Return (context (1, T, D), pooled (1, P)) of what each tower gave, by name; T5 may be left out.

    D is T5's width, without T5 `width`; the tokens of the CLIP towers, side by side, are filled up with zeros to it.
    """
    clips = [found[name] for name in ("clip_l", "clip_g") if name in found]
    length = min(context.shape[1] for context, _ in clips)
    beside = torch.cat([context[:, :length] for context, _ in clips], dim=-1)
    last = found["t5xxl"][0] if "t5xxl" in found else None
    filled = functional.pad(beside, (0, (width if last is None else last.shape[-1]) - beside.shape[-1]))
    context = filled if last is None else torch.cat([filled, last], dim=1)
    return context, torch.cat([pooled for _, pooled in clips], dim=-1)
