"""Pictures in overlapping tiles, and put together of them again."""

from __future__ import annotations

from itertools import product
from typing import Annotated

import torch
from torch import Tensor

from engine.api import Image, In, node
from engine.media.bounds import bounded
from nodes.dimensions import first_of

_TILE = 64
_LARGEST = 1048576
_FINAL = 32768
_OVERLAP = 4096

TileSide = Annotated[int, In(ge=_TILE, le=_LARGEST, tip="Size of a tile in pixels; a smaller picture is one tile.")]
Overlap = Annotated[
    int, In(ge=0, le=_OVERLAP, tip="Pixels that neighbours share; three quarters of a tile count at most.")
]
Overlaps = Annotated[
    int | list[int], In(ge=0, le=_OVERLAP, tip="Pixels that neighbours share, as when the picture was split.")
]
FinalSide = Annotated[int | list[int], In(ge=_TILE, le=_FINAL, tip="Size of the whole picture in pixels.")]


@node("SplitImageToTileList", category="image/batch", display_name="Split Image into List of Tiles")
def split_image_to_tile_list(
    image: Image, tile_width: TileSide = 1024, tile_height: TileSide = 1024, overlap: Overlap = 128
) -> list[Image]:
    """Cut pictures (B, H, W, C) into a list of tiles (B, tile_height, tile_width, C), row by row from the top left.

    Neighbours share `overlap` pixels; the last of a row or column ends at the edge, and may share more. Tiles are never
    larger than the picture. Inferred: tiles lie at least a quarter of their size apart, so that their number is bounded.
    """
    height, width = image.shape[1:3]
    tile_height, tile_width = min(tile_height, height), min(tile_width, width)
    return [
        image[:, y : y + tile_height, x : x + tile_width].clone()  # a view would keep the whole picture in memory
        for y in _starts(height, tile_height, overlap)
        for x in _starts(width, tile_width, overlap)
    ]


@node("ImageMergeTileList", category="image/batch", display_name="Merge List of Tiles to Image", input_is_list=True)
def image_merge_tile_list(
    image_list: Annotated[list[Image], In(tip="Tiles of one size, row by row.")],
    final_width: FinalSide = 1024,
    final_height: FinalSide = 1024,
    overlap: Overlaps = 128,
) -> Image:
    """Put tiles (B, h, w, C) together as pictures (B, final_height, final_width, C), as SplitImageToTileList cut them.

    The first tile tells the size, and with it the grid; tiles past its end are left out. In what neighbours share, each
    counts linearly less towards its edge. Raises ValueError for too few tiles, and for tiles of another size than the first.
    """
    width, height, shared = (first_of(value) for value in (final_width, final_height, overlap))
    if not image_list:
        raise ValueError("ImageMergeTileList: image_list holds no tile; link the tiles of a picture.")
    batch, tile_height, tile_width, channels = image_list[0].shape
    if tile_height > height or tile_width > width:
        raise ValueError(
            f"ImageMergeTileList: tiles of {tile_width} × {tile_height} pixels are larger than the whole picture of "
            f"{width} × {height}; give its size as final_width and final_height."
        )
    down, across = _starts(height, tile_height, shared), _starts(width, tile_width, shared)
    tiles = _checked(image_list, len(down) * len(across), (width, height), shared)
    total = image_list[0].new_zeros(bounded(batch, height, width, channels))
    shares = total.new_zeros(height, width, 1)
    for (y, x), tile in zip(product(down, across), tiles):
        rows = _ramp(tile_height, shared, y > 0, y + tile_height < height)
        columns = _ramp(tile_width, shared, x > 0, x + tile_width < width)
        share = (rows[:, None] * columns[None])[..., None].to(total)
        total[:, y : y + tile_height, x : x + tile_width] += tile.to(total) * share
        shares[y : y + tile_height, x : x + tile_width] += share
    return total / shares


def _starts(size: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along a side of `size` pixels."""
    stride = max(1, round(tile * 0.25), tile - overlap)
    return [*range(0, size - tile, stride), size - tile]


def _checked(tiles: list[Tensor], needed: int, size: tuple[int, int], overlap: int) -> list[Tensor]:
    """The first `needed` tiles, all of one shape."""
    if len(tiles) < needed:
        raise ValueError(
            f"ImageMergeTileList: a picture of {size[0]} × {size[1]} pixels of tiles of {tiles[0].shape[2]} × "
            f"{tiles[0].shape[1]} with an overlap of {overlap} takes {needed} tiles, got {len(tiles)}. Give the size and "
            "overlap that belong to the tiles (times their scale, where they were made larger)."
        )
    for index, tile in enumerate(tiles[:needed]):
        if tile.shape != tiles[0].shape:
            raise ValueError(
                f"ImageMergeTileList: tile {index} has the shape {tuple(tile.shape)}, and the first one "
                f"{tuple(tiles[0].shape)}; all must be of one size."
            )
    return tiles[:needed]


def _ramp(size: int, overlap: int, before: bool, after: bool) -> Tensor:
    """How much each of `size` pixels of a tile counts: less within `overlap` of an end that has a neighbour."""
    at = torch.arange(1, size + 1, dtype=torch.float32) / (overlap + 1)
    rising = at.clamp(max=1) if before else torch.ones(size)
    return torch.minimum(rising, at.flip(0).clamp(max=1)) if after else rising
