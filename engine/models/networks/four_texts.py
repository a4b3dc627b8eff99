"""The conditioning of HiDream out of four text encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from engine.models.encoded import Encoded
from engine.models.networks.hidream import LAYERS

if TYPE_CHECKING:
    from torch import Tensor

_LEAST = 128
"""How many tokens of zeros stand for an encoder that is left out, as many as a short prompt has."""


def joined(found: Mapping[str, Encoded], widths: Mapping[str, int], depth: int) -> Encoded:
    """Return T5's tokens (1, T, D) with the options of a conditioning of what each tower gave, by name.

    `pooled_output` (1, P) is that of both CLIP towers side by side, `conditioning_llama3` (1, `depth`, T, D) what the layers of
    the language model gave. A tower that is left out counts as zeros of its width of `widths`.
    """
    pooled = [_pooled(found.get(name), widths[name]) for name in ("clip_l", "clip_g")]
    context = found["t5xxl"].context if "t5xxl" in found else torch.zeros(1, _LEAST, widths["t5xxl"])
    if "llama" in found:
        seen = found["llama"].context
        layers = seen.reshape(*seen.shape[:2], depth, -1).transpose(1, 2)
    else:
        layers = torch.zeros(1, depth, _LEAST, widths["llama"])
    return Encoded(context, {"pooled_output": torch.cat(pooled, dim=-1), LAYERS: layers})


def _pooled(found: Encoded | None, width: int) -> Tensor:
    pooled = None if found is None else found.pooled
    return torch.zeros(1, width) if pooled is None else pooled
