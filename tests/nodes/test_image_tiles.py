"""Tiles: cut and put together again."""

from __future__ import annotations

import pytest
import torch

from nodes.image_tiles import image_merge_tile_list, split_image_to_tile_list


def picture(height: int, width: int, channels: int = 3, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("height", "width", "tile", "overlap", "batch", "channels"),
    [(150, 211, 64, 16, 1, 3), (64, 64, 64, 8, 2, 4), (130, 70, 64, 0, 1, 3), (65, 200, 100, 4096, 1, 3)],
)
def test_what_is_split_and_merged_is_the_picture(height, width, tile, overlap, batch, channels) -> None:
    image = picture(height, width, channels, batch)
    tiles = split_image_to_tile_list(image, tile, tile, overlap)
    assert {one.shape for one in tiles} == {(batch, min(tile, height), min(tile, width), channels)}
    merged = image_merge_tile_list(tiles, [width], [height], [overlap])
    torch.testing.assert_close(merged, image, atol=1e-6, rtol=0)


def test_tiles_begin_a_stride_apart_and_the_last_ends_at_the_edge() -> None:
    ramp = torch.arange(200.0).view(1, 1, 200, 1).expand(1, 64, 200, 3) / 200
    tiles = split_image_to_tile_list(ramp, 64, 64, 16)
    assert [round(float(tile[0, 0, 0, 0]) * 200) for tile in tiles] == [0, 48, 96, 136]


def test_neighbours_fade_linearly_into_one_another() -> None:
    tiles = [torch.zeros(1, 64, 64, 3), torch.ones(1, 64, 64, 3)]
    merged = image_merge_tile_list(tiles, [124], [64], [4])
    assert merged[0, 5, 58:66, 0].tolist() == pytest.approx([0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1])


def test_further_tiles_are_left_out_and_missing_ones_are_told_of() -> None:
    tiles = split_image_to_tile_list(picture(64, 128), 64, 64, 0)
    assert image_merge_tile_list([*tiles, torch.zeros(1, 9, 9, 3)], [128], [64], [0]).shape == (1, 64, 128, 3)
    with pytest.raises(ValueError, match="takes 2 tiles, got 1"):
        image_merge_tile_list(tiles[:1], [128], [64], [0])
    with pytest.raises(ValueError, match="tile 1 has the shape"):
        image_merge_tile_list([tiles[0], tiles[1][:, :60]], [128], [64], [0])
    with pytest.raises(ValueError, match="larger than the whole"):
        image_merge_tile_list(tiles, [63], [64], [0])
    with pytest.raises(ValueError, match="holds no tile"):
        image_merge_tile_list([])
