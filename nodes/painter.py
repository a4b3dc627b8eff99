"""Pictures painted by hand in an editor."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch

from engine.api import Context, Image, In, Mask, Mentions, Out, node
from engine.media.bounds import bounded
from engine.media.load import load_picture
from engine.media.resizing import match_channels, resize
from nodes.colors import HexColor, parsed_color

Side = Annotated[int, In(ge=64, le=4096, step=64, tip="Size of the canvas in pixels, where no picture is linked.")]


class Painted(NamedTuple):
    """A picture that was painted on, and where."""

    IMAGE: Image
    MASK: Annotated[Mask, Out(tip="1 where it was painted on.")]


@node("Painter", category="image", display_name="Painter")
def painter(
    ctx: Context,
    mask: Annotated[
        str,
        In(
            tip="The file of what was painted; the editor fills it in.",
            mentions=Mentions("", "input", (" [temp]", " [output]")),
            options={"socketless": True, "widgetType": "PAINTER"},
        ),
    ] = "",
    width: Side = 512,
    height: Side = 512,
    bg_color: Annotated[HexColor, In(tip="Colour of the canvas, where no picture is linked.")] = "#000000",
    image: Annotated[Image | None, In(tip="Pictures to paint on.")] = None,
) -> Painted:
    """Lay what was painted over pictures (B, H, W, C), or a canvas of one colour, and give (B, H, W, 3) and its opacity.

    What was painted is a file with transparency in the input folder (or output or temp, as its name says); it is stretched to
    the picture. Without a file nothing is painted. The mask is (B, H, W). Raises ValueError for what is no colour.
    """
    if image is None:
        colour = torch.tensor(parsed_color(bg_color, "Painter: bg_color")[:3])
        below = colour.expand(bounded(1, height, width, 3))
    else:
        below = match_channels(image, 3).float()
    if not mask.strip():
        return Painted(below.contiguous(), torch.zeros(below.shape[:3]))
    layer = load_picture(ctx.paths.find("input", mask.strip()))
    see_through = layer.mask if layer.mask.shape[1:] == layer.image.shape[1:3] else torch.zeros(layer.image.shape[:3])
    opacity = 1 - see_through[:1, None]
    planes = torch.cat([layer.image[:1].movedim(-1, 1) * opacity, opacity], dim=1)
    over = resize(planes, below.shape[2], below.shape[1], "bilinear").movedim(1, -1).clamp(0, 1)
    share = over[..., 3:].to(below)
    painted = over[..., :3].to(below) + below * (1 - share)
    return Painted(painted.clamp(0, 1), share[..., 0].expand(below.shape[:3]).contiguous())
