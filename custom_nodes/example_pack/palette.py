"""A type of the pack's own, and a widget of the pack's own to make one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from engine.api import Image, In, Socket, node

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Palette(Socket, io_type="EXAMPLE_PALETTE"):
    """Some colours, each three whole numbers 0..255.

    `Socket` names the type of links. A frozen dataclass is equal to another by its fields, so a node that gives the same
    palette as last time lets nothing below it run again. With the two methods its values are kept on disk: without
    them a palette would be made again after a restart.
    """

    colors: tuple[tuple[int, ...], ...]

    def to_plain(self) -> list[list[int]]:
        """Lists, numbers, text, bytes, dicts, tensors or arrays that say everything."""
        return [list(color) for color in self.colors]

    @classmethod
    def from_plain(cls, plain: list[list[int]]) -> Palette:
        """The palette that `to_plain` came from."""
        return cls(tuple(tuple(color) for color in plain))

    @classmethod
    def example(cls) -> Palette:
        """A palette for `safelight pack test`, which sees whether it comes back from disk as it was."""
        return read_palette("#264653 #e9c46a")


def read_palette(text: str) -> Palette:
    """The colours in `text`, such as `#264653 #e9c46a`. Raises ValueError when there is none."""
    found = _COLOR.findall(text)
    if not found:
        raise ValueError(f"There is no colour in {text!r}. Write them like this: #264653 #e9c46a.")
    return Palette(tuple(tuple(bytes.fromhex(color[1:])) for color in found))


# `widget` names what web/safelight.js brings; an editor without it shows the ordinary text field. `options` go to editors.
Colors = Annotated[
    str, In(widget="example_pack.swatches", options={"widgetHeight": 56}, tip="The colours of the palette.")
]


@node("ExamplePalette", category="example/palette", display_name="Palette (example)")
def palette(colors: Colors = "#264653 #2a9d8f #e9c46a #f4a261 #e76f51") -> Palette:
    """Choose some colours."""
    return read_palette(colors)


@node("ExampleSwatches", category="example/palette", display_name="Swatches (example)")
def swatches(palette: Palette, size: Annotated[int, In(ge=1, le=512, tip="Pixels.")] = 64) -> Image:
    """A picture (1, size, size × colours, 3) of the colours side by side."""
    import torch  # here and not at the top: reading what nodes there are must not take seconds

    row = torch.tensor(palette.colors, dtype=torch.float32) / 255  # (colours, 3)
    return row.repeat_interleave(size, dim=0).expand(1, size, -1, 3).clone()


@node("ExampleRecolor", category="example/palette", display_name="Recolor (example)")
def recolor(image: Image, palette: Palette) -> Image:
    """Give each pixel of `image` (B, H, W, 3) the colour of the palette that is nearest to it."""
    import torch

    colors = torch.tensor(palette.colors, dtype=image.dtype, device=image.device) / 255
    nearest = torch.cdist(image[..., :3].flatten(0, 2), colors).argmin(dim=1)
    return colors[nearest].reshape(*image.shape[:3], 3)
