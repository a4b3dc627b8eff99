"""Pictures with transparency over one another, by the operators of Porter and Duff and those that Android added."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from engine.api import Image, In, Mask, Out, node
from engine.media.resizing import fit_mask, match_channels, repeat_to, resize_images

Mode = Literal[
    "ADD", "CLEAR", "DARKEN", "DST", "DST_ATOP", "DST_IN", "DST_OUT", "DST_OVER", "LIGHTEN",
    "MULTIPLY", "OVERLAY", "SCREEN", "SRC", "SRC_ATOP", "SRC_IN", "SRC_OUT", "SRC_OVER", "XOR",
]  # fmt: skip
_SeeThrough = Annotated[Mask, In(tip="1 where the picture is see-through.")]


class Composite(NamedTuple):
    """A picture, and what of it is see-through."""

    image: Annotated[Image, Out(tip="Colours (B, H, W, 3), not multiplied by opacity.")]
    mask: Annotated[Mask, Out(tip="1 where the result is see-through.")]


@node("PorterDuffImageComposite", category="mask/compositing", display_name="Porter-Duff Image Composite")
def porter_duff_image_composite(
    source: Image,
    source_alpha: _SeeThrough,
    destination: Image,
    destination_alpha: _SeeThrough,
    mode: Annotated[Mode, In(tip="SRC_OVER lays the source over the destination.")] = "DST",
) -> Composite:
    """Composite `source` with `destination` (B, H, W, C) into colours (B, H, W, 3) and a mask (B, H, W).

    The operators are those of Porter and Duff, "Compositing Digital Images" (1984), with ADD, DARKEN, LIGHTEN, MULTIPLY,
    OVERLAY and SCREEN as Android's PorterDuff.Mode documents them, on colours multiplied by their opacity. Masks are 1
    where a picture is see-through, as LoadImage gives them, so opacity is 1 - mask (inferred from that convention).
    The source is scaled and cut to the size of the destination, masks are stretched to their picture, and the shorter batch
    repeats. Colours that DARKEN and LIGHTEN make brighter than their opacity are cut. A channel of alpha in a picture is
    left out: the masks tell.
    """
    height, width = destination.shape[1:3]
    count = max(len(source), len(destination))
    below = repeat_to(match_channels(destination, 3), count).float()
    above = repeat_to(match_channels(source, 3), count).to(below)
    above_opacity = 1 - repeat_to(fit_mask(source_alpha, *source.shape[1:3]), count).to(below)
    layer = torch.cat([above, above_opacity[..., None]], dim=-1)
    layer = resize_images(layer, width, height, "bicubic", "center").clamp(0, 1)
    below_opacity = 1 - repeat_to(fit_mask(destination_alpha, height, width), count).to(below)[..., None]
    above, above_opacity = layer[..., :3], layer[..., 3:]
    opacity, colours = _combined(
        mode, above * above_opacity, above_opacity.clamp(0, 1), below * below_opacity, below_opacity.clamp(0, 1)
    )
    seen = torch.where(opacity > 1e-5, colours / opacity.clamp(min=1e-5), torch.zeros_like(colours))
    return Composite(seen.clamp(0, 1), (1 - opacity[..., 0]).clamp(0, 1))


def _combined(mode: str, s: Tensor, sa: Tensor, d: Tensor, da: Tensor) -> tuple[Tensor, Tensor]:
    """Opacity (B, H, W, 1) and colours (B, H, W, 3) times it; `s` and `d` are colours times their opacity."""
    shares = _SHARES.get(mode)
    if shares is not None:
        of_source, of_destination = shares
        here, there = _factor(of_source, sa, da), _factor(of_destination, sa, da)
        return sa * here + da * there, s * here + d * there
    union = sa + da - sa * da
    match mode:
        case "ADD":
            return (sa + da).clamp(max=1), (s + d).clamp(max=1)
        case "DARKEN":
            return union, (1 - da) * s + (1 - sa) * d + torch.minimum(s, d)
        case "LIGHTEN":
            return union, (1 - da) * s + (1 - sa) * d + torch.maximum(s, d)
        case "MULTIPLY":
            return sa * da, s * d
        case "SCREEN":
            return union, s + d - s * d
        case _:
            return union, torch.where(2 * d < da, 2 * s * d, sa * da - 2 * (da - d) * (sa - s))


_SHARES = {
    "CLEAR": ("0", "0"),
    "SRC": ("1", "0"),
    "DST": ("0", "1"),
    "SRC_OVER": ("1", "1-sa"),
    "DST_OVER": ("1-da", "1"),
    "SRC_IN": ("da", "0"),
    "DST_IN": ("0", "sa"),
    "SRC_OUT": ("1-da", "0"),
    "DST_OUT": ("0", "1-sa"),
    "SRC_ATOP": ("da", "1-sa"),
    "DST_ATOP": ("1-da", "sa"),
    "XOR": ("1-da", "1-sa"),
}
"""The table of the paper: what share of the source and of the destination is kept."""


def _factor(name: str, sa: Tensor, da: Tensor) -> Tensor:
    plain = {"sa": sa, "da": da, "1-sa": 1 - sa, "1-da": 1 - da}
    return plain[name] if name in plain else torch.full_like(sa, float(name))
