"""Ways to say a new size; sizes worked out by hand for a picture of 30 × 20 (width × height)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nodes.image_resize import WAYS, resize_and_pad_image, resize_image_mask

PICTURE = torch.rand(2, 20, 30, 3, generator=torch.Generator().manual_seed(3))
OTHER = torch.zeros(1, 8, 16)


@pytest.mark.parametrize(
    ("way", "values", "size"),
    [
        ("scale dimensions", {"width": 10, "height": 12, "crop": "center"}, (10, 12)),
        ("scale dimensions", {"width": 10, "height": 0, "crop": "center"}, (10, 7)),  # 6.67
        ("scale dimensions", {"width": 0, "height": 0, "crop": "center"}, (30, 20)),
        ("scale by multiplier", {"multiplier": 0.31}, (9, 6)),  # 9.3, 6.2
        ("scale by multiplier", {"multiplier": 0.01}, (1, 1)),
        ("scale longer dimension", {"longer_size": 45}, (45, 30)),
        ("scale shorter dimension", {"shorter_size": 9}, (14, 9)),  # 13.5 to the even one
        ("scale width", {"width": 6}, (6, 4)),
        ("scale height", {"height": 40}, (60, 40)),
        ("scale total pixels", {"megapixels": 0.01}, (125, 84)),  # 10485 pixels: 125.4 × 83.6
        ("match size", {"match": OTHER, "crop": "center"}, (16, 8)),
        ("match size", {"match": OTHER[..., None].expand(-1, -1, -1, 3), "crop": "disabled"}, (16, 8)),
    ],
)
def test_pictures_and_masks_become_the_size_that_is_said(
    way: str, values: dict[str, Any], size: tuple[int, int]
) -> None:
    chosen = {"resize_type": way, **values}
    width, height = size
    assert resize_image_mask(PICTURE, chosen, "bilinear").shape == (2, height, width, 3)
    assert resize_image_mask(PICTURE[..., 0], chosen, "lanczos").shape == (2, height, width)


def test_a_portrait_has_its_longer_side_upright() -> None:
    portrait = PICTURE.transpose(1, 2)
    assert (
        resize_image_mask(portrait, {"resize_type": "scale longer dimension", "longer_size": 15}, "area").shape[1] == 15
    )
    assert (
        resize_image_mask(portrait, {"resize_type": "scale shorter dimension", "shorter_size": 10}, "area").shape[2]
        == 10
    )


def test_the_middle_is_kept_or_all_of_it_is_squeezed() -> None:
    picture = torch.zeros(1, 2, 6, 3)
    picture[:, :, :2] = picture[:, :, 4:] = 1.0
    size = {"resize_type": "scale dimensions", "width": 2, "height": 2}
    assert resize_image_mask(picture, {**size, "crop": "center"}, "area").max() == 0.0
    squeezed = resize_image_mask(picture, {**size, "crop": "disabled"}, "area")[0, 0, :, 0]
    assert squeezed.tolist() == pytest.approx([2 / 3, 2 / 3])


def test_a_side_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="use at least 1"):
        resize_image_mask(PICTURE, {"resize_type": "scale longer dimension", "longer_size": 0}, "area")


def test_every_way_that_editors_offer_is_known() -> None:
    values = {"width": 4, "height": 4, "multiplier": 1.0, "longer_size": 4, "shorter_size": 4, "megapixels": 0.01}
    values["multiple"] = 4
    for way in WAYS:
        made = resize_image_mask(PICTURE, {"resize_type": way["key"], "match": OTHER, **values}, "area")
        assert made.ndim == 4


@pytest.mark.parametrize(("colour", "value"), [("white", 1.0), ("black", 0.0)])
def test_a_picture_is_fitted_into_the_middle_of_one_colour(colour: str, value: float) -> None:
    picture = torch.full((2, 10, 20, 3), 0.5)
    padded = resize_and_pad_image(picture, 41, 31, colour, "area")
    assert padded.shape == (2, 31, 41, 3)
    rows = (padded[0, :, 20, 0] == 0.5).nonzero().flatten().tolist()
    columns = (padded[0, 15, :, 0] == 0.5).nonzero().flatten().tolist()
    assert (rows, columns) == (list(range(5, 25)), list(range(41)))
    assert set(padded.flatten().tolist()) == {0.5, value}


def test_a_picture_is_enlarged_to_touch_two_edges_and_never_vanishes() -> None:
    padded = resize_and_pad_image(torch.full((1, 1, 300, 3), 0.5), 30, 8, "black", "nearest-exact")
    assert (padded[0, :, 0, 0] == 0.5).nonzero().flatten().tolist() == [3]


@pytest.mark.parametrize(("multiple", "size"), [(8, (8, 24)), (5, (10, 30)), (64, (64, 64))])
def test_a_size_goes_down_to_multiples_and_the_rest_is_cut(multiple: int, size: tuple[int, int]) -> None:
    image = torch.rand(2, 12, 30, 4, generator=torch.Generator().manual_seed(1))
    scaled = resize_image_mask(image, {"resize_type": "scale to multiple", "multiple": multiple}, "bilinear")
    assert scaled.shape[1:3] == size
    same = {"resize_type": "scale dimensions", "width": size[1], "height": size[0], "crop": "center"}
    assert torch.equal(scaled, resize_image_mask(image, same, "bilinear"))
