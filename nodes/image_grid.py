"""Contact sheets: many pictures on one, with labels."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from torch import Tensor

from engine.api import Image, In, node
from engine.media.bounds import bounded
from engine.media.resizing import match_channels
from nodes.colors import rgb_of
from nodes.dimensions import first_of

MAX_LABEL = 1024
"""Pixels that a label may widen the cells to; what is longer is cut off."""


@node("ImageGrid", category="image", display_name="Contact Sheet", input_is_list=True)
def image_grid(
    images: list[Image],
    labels: Annotated[
        str | list[str], In(multiline=True, tip="One line per picture; a list of texts goes in order.")
    ] = "",
    columns: Annotated[int | list[int], In(ge=0, le=256, tip="Pictures in a row; 0 makes it about square.")] = 0,
    spacing: Annotated[int | list[int], In(ge=0, le=512, tip="Pixels around each picture.")] = 8,
    label_size: Annotated[int | list[int], In(ge=6, le=256, tip="Height of the text in pixels.")] = 14,
    background: Annotated[
        int | list[int], In(ge=0, le=0xFFFFFF, tip="Colour as 0xRRGGBB.", options={"display": "color"})
    ] = 0xFFFFFF,
) -> Image:
    """Lay all pictures of a batch or of a list (B, H, W, C) out on one sheet (1, H', W', 3), row by row, with labels.

    Cells are as high as the highest picture and as wide as the widest picture or label. Alpha is laid over the
    background. Raises ValueError when there is no picture.
    """
    pictures = [picture for batch in images for picture in batch]
    if not pictures:
        raise ValueError("ImageGrid: the list holds no picture; link at least one.")
    texts = _labels(labels, len(pictures))
    across = first_of(columns) or math.ceil(math.sqrt(len(pictures)))
    sheet = _Sheet(pictures, texts, across, first_of(spacing), first_of(label_size), first_of(background))
    for index, (picture, text) in enumerate(zip(pictures, texts)):
        sheet.lay(index, picture, text)
    return sheet.canvas[None]


def _labels(labels: str | list[str], count: int) -> list[str]:
    """One line of text for each of `count` pictures: the lines of one text, or the texts of a list."""
    texts = labels if isinstance(labels, list) else [labels]
    lines = texts[0].splitlines() if len(texts) == 1 else [" ".join(text.splitlines()) for text in texts]
    return [*lines, *[""] * count][:count]


class _Sheet:
    """A canvas (H, W, 3) of equal cells, with a line below each picture if there are labels."""

    def __init__(
        self, pictures: list[Tensor], labels: list[str], columns: int, spacing: int, label_size: int, background: int
    ) -> None:
        self.columns = columns
        self.spacing = spacing
        self.font = ImageFont.load_default(label_size)
        self.background = torch.tensor(rgb_of(background))
        longest = max(math.ceil(self.font.getlength(label)) for label in labels)
        self.width = max(min(longest, MAX_LABEL), *(picture.shape[1] for picture in pictures))
        self.height = max(picture.shape[0] for picture in pictures)
        self.line = math.ceil(label_size * 1.5) if any(labels) else 0
        rows, columns = math.ceil(len(pictures) / columns), min(columns, len(pictures))
        shape = bounded(
            rows * (self.height + self.line + spacing) + spacing, columns * (self.width + spacing) + spacing, 3
        )
        self.canvas = self.background.expand(*shape).clone()

    def lay(self, index: int, picture: Tensor, label: str) -> None:
        """Put a picture (h, w, C) in the middle of cell `index`, and its label below."""
        row, column = divmod(index, self.columns)
        top = self.spacing + row * (self.height + self.line + self.spacing)
        left = self.spacing + column * (self.width + self.spacing)
        if label:
            self.canvas[top + self.height :][: self.line, left : left + self.width] = self._text(label)
        height, width, _ = picture.shape
        top, left = top + (self.height - height) // 2, left + (self.width - width) // 2
        flat = match_channels(picture, 4).to(self.canvas)
        self.canvas[top : top + height, left : left + width] = torch.lerp(self.background, flat[..., :3], flat[..., 3:])

    def _text(self, label: str) -> Tensor:
        """The label (line, width, 3), centred where it fits, in black or white, whichever stands out."""
        ink = PillowImage.new("L", (self.width, self.line), 0)
        left = max(0, (self.width - self.font.getlength(label)) // 2)
        ImageDraw.Draw(ink).text((left, self.line // 2), label, fill=255, font=self.font, anchor="lm")
        share = torch.frombuffer(bytearray(ink.tobytes()), dtype=torch.uint8).view(self.line, self.width, 1) / 255
        colour = 0.0 if self.background.mean() > 0.5 else 1.0
        return torch.lerp(self.background, torch.full((3,), colour), share)
