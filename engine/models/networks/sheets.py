"""Where tokens stand that lie on several sheets: a picture, pictures to go by, layers; and the angles that say so.

Rotary embeddings of three axes (Su et al. 2021): the number of the sheet, row and column. Rows and columns count from the
middle of a sheet, and text goes on along the diagonal from behind the largest one (Qwen-Image; Wu et al. 2025, section 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

METHODS = ("index", "index_timestep_zero", "negative_index", "offset", "uxo")
"""Ways to place pictures to go by. The last is another network's, and counts as `offset` here."""


class Sheet(tuple[int, int, int]):
    """(1, rows, columns) of tokens, which is what the library counts; `at` (number, row, column) says where it lies."""

    at: tuple[int, int, int]

    def __new__(cls, rows: int, columns: int, at: tuple[int, int, int]) -> Sheet:
        """Make one of `rows` x `columns` tokens."""
        made = super().__new__(cls, (1, rows, columns))
        made.at = at
        return made


class SheetAngles(nn.Module):
    """The rotations of tokens on sheets and of the text behind them, in place of the library's own, which has fixed places."""

    def __init__(self, axes: Sequence[int], base: float = 10_000.0) -> None:
        super().__init__()
        self._axes = tuple(axes)
        self._base = base
        self._made: tuple[object, tuple[Tensor, Tensor]] | None = None

    def forward(
        self, img_shapes: Sequence[Sequence[Sheet]], max_txt_seq_len: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Return unit complex numbers (tokens of all sheets, D / 2) and (text tokens, D / 2), as the library calls for them."""
        sheets = img_shapes[0]
        asked = (tuple((sheet, sheet.at) for sheet in sheets), int(max_txt_seq_len), device)
        if self._made is None or self._made[0] != asked:
            first = max(max(sheet[1] // 2, sheet[2] // 2) for sheet in sheets)
            if min(sheet.at[0] for sheet in sheets) < 0:  # layers: text begins behind their number too
                first = max(first, len(sheets) - 1)
            text = torch.arange(first, first + int(max_txt_seq_len))[:, None].expand(-1, 3)
            places = torch.cat([_places(sheet) for sheet in sheets])
            self._made = asked, (self._angles(places).to(device), self._angles(text).to(device))
        return self._made[1]

    def _angles(self, places: Tensor) -> Tensor:
        """Of places (N, 3)."""
        parts = []
        for axis, width in enumerate(self._axes):
            slower = 1.0 / torch.pow(self._base, torch.arange(0, width, 2).to(torch.float32).div(width))
            parts.append(torch.outer(places[:, axis], slower))
        angles = torch.cat(parts, dim=1)
        return torch.polar(torch.ones_like(angles), angles)


def _places(sheet: Sheet) -> Tensor:
    """(tokens, 3): the number of the sheet, then row and column, counted from its middle."""
    _, rows, columns = sheet
    number, down, right = sheet.at
    grid = torch.empty(rows, columns, 3, dtype=torch.int64)
    grid[..., 0] = number
    grid[..., 1] = (torch.arange(rows) - (rows - rows // 2) + down)[:, None]
    grid[..., 2] = torch.arange(columns) - (columns - columns // 2) + right
    return grid.reshape(-1, 3)


def laid_out(pictures: Sequence[tuple[int, int]], references: Sequence[tuple[int, int]], method: str) -> list[Sheet]:
    """Return the sheets of pictures or layers (rows, columns), then those of references, as `method` places them.

    `index`: sheets of their own behind the pictures; `negative_index`: before them; `offset`: one more sheet, on which they
    lie beside or below one another, wherever that stays nearer to a square.
    """
    sheets = [Sheet(rows, columns, (number, 0, 0)) for number, (rows, columns) in enumerate(pictures)]
    height = width = 0
    for number, (rows, columns) in enumerate(references):
        at = (len(pictures) + number, 0, 0)
        if method == "negative_index":
            at = (-1 - number, 0, 0)
        elif not method.startswith("index"):
            below, beside = (0, width) if rows + height > columns + width else (height, 0)
            at = (len(pictures), below, beside)
            height, width = max(height, rows + below), max(width, columns + beside)
        sheets.append(Sheet(rows, columns, at))
    return sheets
