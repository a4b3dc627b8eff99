"""How the colours of a layer and of what is below it give new ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

_LUMA: Final = (0.3, 0.59, 0.11)
_SMALL: Final = 1e-6


def laid_over(below: Tensor, above: Tensor, mode: str) -> Tensor:
    """`above` on `below`, both (H, W, 4) of straight colours and opacity, as a new (H, W, 4).

    normal is "over" of Porter and Duff (1984). The other modes are those of https://www.w3.org/TR/compositing-1, but
    clipped to what is below: opacity stays as it is there, so that over nothing they give nothing.
    """
    under, opacity = below[..., :3], below[..., 3:]
    colours, share = above[..., :3], above[..., 3:]
    if mode != "normal":
        mixed = torch.lerp(under, BLENDS[mode](under, colours), share)
        return torch.cat([mixed, opacity], dim=-1)
    union = share + opacity * (1 - share)
    mixed = (colours * share + under * opacity * (1 - share)) / union.clamp(min=_SMALL)
    return torch.cat([mixed, union], dim=-1)


def _hard_light(under: Tensor, over: Tensor) -> Tensor:
    return torch.where(over <= 0.5, 2 * under * over, 1 - 2 * (1 - under) * (1 - over))


def _dodged(under: Tensor, over: Tensor) -> Tensor:
    lifted = (under / (1 - over).clamp(min=_SMALL)).clamp(max=1)
    return torch.where(under <= 0, torch.zeros_like(under), torch.where(over >= 1, torch.ones_like(under), lifted))


def _burnt(under: Tensor, over: Tensor) -> Tensor:
    lowered = 1 - ((1 - under) / over.clamp(min=_SMALL)).clamp(max=1)
    return torch.where(under >= 1, torch.ones_like(under), torch.where(over <= 0, torch.zeros_like(under), lowered))


def _soft_light(under: Tensor, over: Tensor) -> Tensor:
    lifted = torch.where(under <= 0.25, ((16 * under - 12) * under + 4) * under, under.clamp(min=0).sqrt())
    darker = under - (1 - 2 * over) * under * (1 - under)
    return torch.where(over <= 0.5, darker, under + (2 * over - 1) * (lifted - under))


def _luma(colours: Tensor) -> Tensor:
    return (colours * torch.tensor(_LUMA).to(colours)).sum(-1, keepdim=True)


def _spread(colours: Tensor) -> Tensor:
    return colours.amax(-1, keepdim=True) - colours.amin(-1, keepdim=True)


def _with_luma(colours: Tensor, luma: Tensor) -> Tensor:
    """SetLum and ClipColor of the specification's section 13."""
    moved = colours + luma - _luma(colours)
    level, least, most = _luma(moved), moved.amin(-1, keepdim=True), moved.amax(-1, keepdim=True)
    moved = torch.where(least < 0, level + (moved - level) * level / (level - least).clamp(min=_SMALL), moved)
    return torch.where(most > 1, level + (moved - level) * (1 - level) / (most - level).clamp(min=_SMALL), moved)


def _with_spread(colours: Tensor, spread: Tensor) -> Tensor:
    """SetSat of the specification's section 13."""
    return (colours - colours.amin(-1, keepdim=True)) * spread / _spread(colours).clamp(min=_SMALL)


BLENDS: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "normal": lambda under, over: over,
    "multiply": lambda under, over: under * over,
    "screen": lambda under, over: under + over - under * over,
    "overlay": lambda under, over: _hard_light(over, under),
    "darken": torch.minimum,
    "lighten": torch.maximum,
    "color_dodge": _dodged,
    "color_burn": _burnt,
    "hard_light": _hard_light,
    "soft_light": _soft_light,
    "difference": lambda under, over: (under - over).abs(),
    "exclusion": lambda under, over: under + over - 2 * under * over,
    "hue": lambda under, over: _with_luma(_with_spread(over, _spread(under)), _luma(under)),
    "saturation": lambda under, over: _with_luma(_with_spread(under, _spread(over)), _luma(under)),
    "color": lambda under, over: _with_luma(over, _luma(under)),
    "luminosity": lambda under, over: _with_luma(under, _luma(over)),
}
"""Of colours below and of the layer's own, both (H, W, 3) in 0..1, the blended ones."""
