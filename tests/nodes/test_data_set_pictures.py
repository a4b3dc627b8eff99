"""Pictures of data sets changed one by one, and lists of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nodes.data_set_pictures import (
    adjust_brightness,
    adjust_contrast,
    center_crop_images,
    image_deduplication,
    merge_image_lists,
    normalize_images,
    random_crop_images,
    resize_images_by_longer_edge,
    resize_images_by_shorter_edge,
    shuffle_dataset,
    shuffle_image_text_dataset,
)


def pictures(count: int = 1, height: int = 9, width: int = 13, channels: int = 3) -> torch.Tensor:
    return torch.rand(count, height, width, channels, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_are_changed_and_alpha_is_not(channels: int) -> None:
    given = pictures(2, channels=channels)
    values = given.numpy()
    for changed, expected in (
        (normalize_images(given, 0.25, 0.5), (values - 0.25) / 0.5),
        (adjust_brightness(given, 1.5), np.clip(values * 1.5, 0, 1)),
        (adjust_contrast(given, 2.0), np.clip((values - 0.5) * 2 + 0.5, 0, 1)),
    ):
        np.testing.assert_allclose(changed[..., :3].numpy(), expected[..., :3], atol=1e-6)
        assert torch.equal(changed[..., 3:], given[..., 3:])


def test_the_middle_is_cut_out() -> None:
    given = pictures(2, 9, 13)
    assert torch.equal(center_crop_images(given, 4, 5), given[:, 2:7, 4:8])
    assert torch.equal(center_crop_images(given, 100, 5), given[:, 2:7])


def test_a_seed_chooses_the_place_of_a_cut() -> None:
    given = pictures(1, 30, 40)
    first, again, other = (random_crop_images(given, 8, 6, seed) for seed in (5, 5, 2**64 - 1))
    assert torch.equal(first, again)
    assert first.shape == other.shape == (1, 6, 8, 3)
    assert not torch.equal(first, other)
    windows = given.unfold(1, 6, 1).unfold(2, 8, 1)[0].permute(0, 1, 3, 4, 2)
    assert (windows == first[0]).all(dim=-1).all(dim=-1).all(dim=-1).sum() == 1
    assert torch.equal(random_crop_images(given, 100, 100, 1), given)


@pytest.mark.parametrize(("edge", "size"), [(4, (4, 5)), (9, (9, 13)), (18, (18, 26))])
def test_the_shorter_side_gets_its_length(edge: int, size: tuple[int, int]) -> None:
    given = pictures(1, 9, 13)
    scaled = resize_images_by_shorter_edge(given, edge)
    assert scaled.shape[1:3] == size
    eight = Image.fromarray((given[0].numpy() * 255).astype(np.uint8)).resize(size[::-1], Image.Resampling.LANCZOS)
    np.testing.assert_allclose(scaled[0].numpy(), np.asarray(eight) / 255, atol=1.01 / 255)


def test_the_longer_side_gets_its_length_under_either_name_of_the_input() -> None:
    given = pictures(2, 9, 13)
    assert resize_images_by_longer_edge(given, 26).shape == (2, 18, 26, 3)
    assert resize_images_by_longer_edge(images=given.movedim(1, 2), longer_edge=26).shape == (2, 26, 18, 3)
    assert resize_images_by_longer_edge(pictures(1, 1, 100), 10).shape == (1, 1, 10, 3)
    with pytest.raises(ValueError, match="link some to image"):
        resize_images_by_longer_edge()


def test_a_seed_chooses_the_order_and_pairs_stay_together() -> None:
    given: Any = [pictures(1, 2, 2) * at / 20 for at in range(20)]
    names: Any = [str(at) for at in range(20)]
    first = shuffle_dataset(given, [4])  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(first, shuffle_dataset(given, 4)))
    assert {id(one) for one in first} == {id(one) for one in given}
    assert [id(one) for one in first] != [id(one) for one in given]
    both = shuffle_image_text_dataset(given, names, 4)
    assert all(picture is given[int(name)] for picture, name in zip(both.images, both.texts))
    assert [id(one) for one in both.images] == [id(one) for one in first]


def test_lists_that_do_not_fit_and_empty_ones_are_refused() -> None:
    given: Any = [pictures()]
    with pytest.raises(ValueError, match="2 texts for 1 pictures"):
        shuffle_image_text_dataset(given, ["a", "b"], 0)  # type: ignore[arg-type]
    empty: Any = []
    for call in (lambda: shuffle_dataset(empty), lambda: image_deduplication(empty)):
        with pytest.raises(ValueError, match="list of pictures is empty"):
            call()
    with pytest.raises(ValueError, match="list of pictures is empty"):
        image_deduplication([torch.zeros(0, 8, 8, 3)])  # type: ignore[arg-type]


def test_lists_of_pictures_become_one() -> None:
    a, b, c = pictures(), pictures(), pictures()
    given: Any = [a, [b, c]]
    assert [id(one) for one in merge_image_lists(given)] == [id(one) for one in (a, b, c)]


def test_pictures_that_are_there_twice_are_left_out() -> None:
    first, other = pictures(1, 64, 48), torch.rand(1, 50, 50, 3)
    darker = first * 0.9
    smaller = resize_images_by_longer_edge(first, 40)
    given: Any = [torch.cat([first, darker]), other, smaller, first[..., [0, 1, 2, 0]]]
    kept = image_deduplication(given, 0.9)
    assert [one.shape for one in kept] == [(1, 64, 48, 3), (1, 50, 50, 3)]
    assert torch.equal(kept[0], first)
    assert len(image_deduplication([first, first.clone(), other], 1.0)) == 2  # type: ignore[arg-type]
    assert len(image_deduplication([first, other], 0.0)) == 1  # type: ignore[arg-type]


def test_plain_pictures_are_alike_as_far_as_their_greys_are() -> None:
    black, white, grey = (torch.full((1, 8, 8, 3), value) for value in (0.0, 1.0, 0.97))
    kept = image_deduplication([black, white, grey, pictures()], 0.95)  # type: ignore[arg-type]
    assert [float(one.mean()) for one in kept[:2]] == [0.0, 1.0]
    assert len(kept) == 3
