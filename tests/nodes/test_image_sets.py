"""Pictures made alike."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from nodes.image_resize import resize_image_mask
from nodes.image_sets import (
    adjust_brightness,
    adjust_contrast,
    center_crop_images,
    normalize_images,
    random_crop_images,
    resize_images_by_longer_edge,
    resize_images_by_shorter_edge,
)


def picture(height: int = 12, width: int = 30, channels: int = 4, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(1))


def test_edges_are_scaled_in_proportion_by_lanczos() -> None:
    image = picture(channels=3)
    assert resize_images_by_shorter_edge(image, 24).shape == (2, 24, 60, 3)
    longer = resize_images_by_longer_edge(image, 10)
    assert longer.shape == (2, 4, 10, 3)
    pixels = Image.fromarray((image[0] * 255).byte().numpy()).resize((10, 4), Image.Resampling.LANCZOS)
    assert (longer[0] * 255).round().byte().flatten().tolist() == list(pixels.tobytes())
    assert resize_images_by_longer_edge(picture(1, 5000, 3, 1), 5).shape == (1, 1, 5, 3)


def test_the_middle_is_cut_and_never_more_than_there_is() -> None:
    image = picture()
    assert torch.equal(center_crop_images(image, 7, 5), image[:, 3:8, 11:18])
    assert torch.equal(center_crop_images(image, 99, 4), image[:, 4:8])


def test_random_cuts_are_drawn_from_the_seed_for_each_picture() -> None:
    across = torch.arange(200.0).view(1, 1, 200, 1).expand(50, 3, 200, 3)
    cuts = random_crop_images(across, 10, 2, seed=5)
    places = cuts[:, 0, 0, 0].tolist()
    assert cuts.shape == (50, 2, 10, 3)
    assert len(set(places)) > 25
    assert 0 <= min(places) < 30
    assert 160 < max(places) <= 190
    assert torch.equal(cuts, random_crop_images(across, 10, 2, seed=5))
    assert not torch.equal(cuts, random_crop_images(across, 10, 2, seed=6))
    assert torch.equal(random_crop_images(across, 999, 999), across)


def test_colours_are_adjusted_and_alpha_stays() -> None:
    image = picture()
    colours, alpha = image[..., :3], image[..., 3]
    for result, wanted in (
        (normalize_images(image, 0.25, 0.125), (colours - 0.25) * 8),
        (adjust_brightness(image, 1.5), (colours * 1.5).clamp(max=1)),
        (adjust_contrast(image, 2.0), (colours * 2 - 0.5).clamp(0, 1)),
    ):
        assert torch.allclose(result[..., :3], wanted, atol=1e-6)
        assert torch.equal(result[..., 3], alpha)


@pytest.mark.parametrize(("multiple", "size"), [(8, (8, 24)), (5, (10, 30)), (64, (64, 64))])
def test_a_size_goes_down_to_multiples_and_the_rest_is_cut(multiple: int, size: tuple[int, int]) -> None:
    image = picture()
    scaled = resize_image_mask(image, {"resize_type": "scale to multiple", "multiple": multiple}, "bilinear")
    assert scaled.shape[1:3] == size
    same = {"resize_type": "scale dimensions", "width": size[1], "height": size[0], "crop": "center"}
    assert torch.equal(scaled, resize_image_mask(image, same, "bilinear"))
