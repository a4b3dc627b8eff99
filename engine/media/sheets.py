"""Contact sheets of a sweep: pictures in a grid whose rows and columns are labelled, drawn by Pillow alone."""

from __future__ import annotations

import contextlib
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.media.errors import MediaError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as PlainFont

MOST_PIXELS: Final = 48_000_000
LONGEST_SIDE: Final = 16_000
"""Of a sheet: what every program opens, and WebP can hold. Cells are made smaller until it fits."""

_LARGEST_CELL: Final = 1024
_SMALLEST_CELL: Final = 112
_GAP: Final = 8
_MARGIN: Final = 16
_TEXT: Final = 14
_LINE: Final = 18
_ROW_LABEL: Final = 180
_MOST_LINES: Final = 3

_PAPER: Final = (255, 255, 255)
_INK: Final = (24, 24, 28)
_EMPTY: Final = (238, 238, 240)
_FAILED: Final = (250, 224, 222)
_CROSS: Final = (214, 120, 112)


class Cell(NamedTuple):
    """What stands in a place: pictures side by side, else a text. `failed` marks it."""

    pictures: Sequence[Path] = ()
    text: str = ""
    failed: bool = False


class Row(NamedTuple):
    """Cells with a label on the left; `headers` stand above them where there are any."""

    label: str
    headers: Sequence[str]
    cells: Sequence[Cell]


class Section(NamedTuple):
    """Rows below a heading."""

    heading: str
    rows: Sequence[Row]


def draw_sheet(title: str, sections: Sequence[Section]) -> Image:
    """Lay the sections out below each other on one RGB picture. Pictures that cannot be opened are told in their cell."""
    return _Sheet(title, sections).drawn()


class _Sheet:
    def __init__(self, title: str, sections: Sequence[Section]) -> None:
        from PIL import ImageFont

        self.title = title
        self.sections = sections
        self.font: FreeTypeFont | PlainFont = ImageFont.load_default(_TEXT)
        self.rows = [row for section in sections for row in section.rows]
        self.columns = max((len(row.cells) for row in self.rows), default=1)
        self.left = _MARGIN + (_ROW_LABEL if any(row.label for row in self.rows) else 0)
        self.cell = self._cell_size()

    def drawn(self) -> Image:
        from PIL import Image, ImageDraw

        width, height = self._size(*self.cell)
        canvas = Image.new("RGB", (width, height), _PAPER)
        draw = ImageDraw.Draw(canvas)
        top = self._text(draw, self.title, _MARGIN, _MARGIN, width - 2 * _MARGIN) if self.title else _MARGIN
        for section in self.sections:
            if section.heading:
                top = self._text(draw, section.heading, _MARGIN, top + _GAP, width - 2 * _MARGIN)
            for row in section.rows:
                top = self._row(canvas, draw, row, top)
        return canvas

    def _row(self, canvas: Image, draw: ImageDraw, row: Row, top: int) -> int:
        width, height = self.cell
        if any(row.headers):
            for at, header in enumerate(row.headers):
                self._text(draw, header, self.left + at * (width + _GAP), top + _GAP, width)
            top += self._header_height(row) + _GAP
        if row.label:
            self._text(draw, row.label, _MARGIN, top, _ROW_LABEL - _GAP)
        for at, cell in enumerate(row.cells):
            self._cell(canvas, draw, cell, self.left + at * (width + _GAP), top)
        return top + height + _GAP

    def _cell(self, canvas: Image, draw: ImageDraw, cell: Cell, left: int, top: int) -> None:
        width, height = self.cell
        text = cell.text
        if not cell.failed and cell.pictures:
            drawn = _tiled(cell.pictures, width, height)
            if drawn is not None:
                canvas.paste(drawn, (left + (width - drawn.width) // 2, top + (height - drawn.height) // 2))
                return
            text = "This picture cannot be opened."
        box = (left, top, left + width - 1, top + height - 1)
        draw.rectangle(box, fill=_FAILED if cell.failed else _EMPTY)
        if cell.failed:
            draw.line((left, top, box[2], box[3]), fill=_CROSS)
            draw.line((left, box[3], box[2], top), fill=_CROSS)
        self._text(draw, text, left + 4, top + 4, width - 8, most=max(1, (height - 8) // _LINE))

    def _text(self, draw: ImageDraw, text: str, left: int, top: int, width: int, most: int = _MOST_LINES) -> int:
        """Write a text in lines of at most `width` pixels; return where it ends."""
        for line in self._lines(text, width, most):
            draw.text((left, top), line, fill=_INK, font=self.font)
            top += _LINE
        return top

    def _lines(self, text: str, width: int, most: int = _MOST_LINES) -> list[str]:
        letters = max(4, int(width / (self.font.getlength("nnnnnnnnnn") / 10)))
        return textwrap.wrap(" ".join(text.split()), letters, max_lines=most, placeholder="…") or [""]

    def _header_height(self, row: Row) -> int:
        return _LINE * max((len(self._lines(one, self.cell[0])) for one in row.headers), default=0)

    def _cell_size(self) -> tuple[int, int]:
        """As large as the largest picture, or as the sheet allows."""
        sizes = [size for row in self.rows for cell in row.cells if (size := _size_of(cell))]
        width = max((size[0] for size in sizes), default=_SMALLEST_CELL * 2)
        height = max((size[1] for size in sizes), default=_SMALLEST_CELL)
        shrink = min(1.0, _LARGEST_CELL / max(width, height))
        while shrink > 0.01:
            self.cell = cell = (max(_SMALLEST_CELL, int(width * shrink)), max(32, int(height * shrink)))
            whole = self._size(*cell)
            if max(whole) <= LONGEST_SIDE and math.prod(whole) <= MOST_PIXELS:
                return cell
            shrink *= 0.85
        return cell

    def _size(self, width: int, height: int) -> tuple[int, int]:
        across = self.left + self.columns * (width + _GAP) - _GAP + _MARGIN
        down = _MARGIN + (_LINE * len(self._lines(self.title, across - 2 * _MARGIN)) if self.title else 0)
        for section in self.sections:
            if section.heading:
                down += _GAP + _LINE * len(self._lines(section.heading, across - 2 * _MARGIN))
            for row in section.rows:
                down += self._header_height(row) + _GAP if any(row.headers) else 0
                down += height + _GAP
        return across, down + _MARGIN


def _size_of(cell: Cell) -> tuple[int, int] | None:
    """Width and height of the pictures of a cell side by side."""
    from engine.media.load import picture_size

    sizes = []
    for path in () if cell.failed else cell.pictures:
        with contextlib.suppress(MediaError):
            sizes.append(picture_size(path))
    if not sizes:
        return None
    columns = math.ceil(math.sqrt(len(sizes)))
    return columns * max(width for width, _ in sizes), math.ceil(len(sizes) / columns) * max(high for _, high in sizes)


def _tiled(paths: Sequence[Path], width: int, height: int) -> Image | None:
    """The pictures in a grid of their own that fits into `width` × `height`; None when none can be opened."""
    from PIL import Image

    opened = [one for path in paths if (one := _opened(path)) is not None]
    if not opened:
        return None
    columns = math.ceil(math.sqrt(len(opened)))
    rows = math.ceil(len(opened) / columns)
    step = (max(1, width // columns), max(1, height // rows))
    drawn = []
    for picture in opened:
        flat = Image.new("RGB", picture.size, _PAPER)
        colours = picture.convert("RGBA")
        flat.paste(colours, mask=colours.getchannel("A"))
        flat.thumbnail(step, Image.Resampling.LANCZOS)
        drawn.append(flat)
    if len(drawn) == 1:
        return drawn[0]
    grid = Image.new("RGB", (step[0] * columns, step[1] * rows), _PAPER)
    for at, picture in enumerate(drawn):
        grid.paste(picture, (at % columns * step[0], at // columns * step[1]))
    return grid


def _opened(path: Path) -> Image | None:
    from engine.media.load import first_frame

    try:
        return first_frame(path)
    except MediaError:
        return None
