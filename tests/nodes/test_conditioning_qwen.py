"""Prompts about pictures: which pictures an encoder and a VAE are given, in which size, and what the conditionings carry."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nodes.conditioning_qwen import (
    text_encode_qwen_image21,
    text_encode_qwen_image_edit,
    text_encode_qwen_image_edit_plus,
)


class Seeing:
    """A text encoder and a VAE that keep what they are given."""

    def __init__(self) -> None:
        self.prompts: list[tuple[str, str, list[tuple[int, ...]]]] = []
        self.shown: list[torch.Tensor] = []
        self.encoded: list[torch.Tensor] = []

    def encode(self, given: Any, warn: Any = None, pictures: Any = (), style: str = "") -> Any:
        if isinstance(given, torch.Tensor):
            self.encoded.append(given)
            return torch.full((1, 4, 1, 1, 1), float(len(self.encoded)))
        self.prompts.append((given, style, [tuple(one.shape[1:]) for one in pictures]))
        self.shown = list(pictures)
        return torch.zeros(1, 3, 2), {"from": given}


@pytest.fixture
def seeing() -> Seeing:
    return Seeing()


@pytest.fixture
def ctx(seeing: Seeing) -> Any:
    @contextmanager
    def use(handle: Any) -> Any:
        yield seeing

    return SimpleNamespace(models=SimpleNamespace(use=use), warn=lambda message: None)


def picture(height: int, width: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(1, height, width, channels, generator=torch.Generator().manual_seed(height))


def test_edit_shows_and_encodes_one_picture_of_about_a_megapixel(ctx: Any, seeing: Seeing) -> None:
    [[tokens, options]] = text_encode_qwen_image_edit(ctx, "clip", "blue", "vae", picture(100, 400, 4))
    assert seeing.prompts == [("blue", "edit", [(512, 2048, 3)])]
    assert [one.shape[1:] for one in seeing.encoded] == [(512, 2048, 3)]
    assert tokens.shape == (1, 3, 2)
    assert [float(one.mean()) for one in options["reference_latents"]] == [1.0]
    assert options["from"] == "blue"


def test_edit_goes_without_a_vae_and_without_a_picture(ctx: Any, seeing: Seeing) -> None:
    [[_, options]] = text_encode_qwen_image_edit(ctx, "clip", "blue", None, picture(64, 64))
    assert options == {"from": "blue"}
    assert text_encode_qwen_image_edit(ctx, "clip", "red", "vae")[0][1] == {"from": "red"}
    assert seeing.prompts == [("blue", "edit", [(1024, 1024, 3)]), ("red", "", [])]
    assert seeing.encoded == []


def test_edit_plus_shows_small_pictures_and_encodes_large_ones(ctx: Any, seeing: Seeing) -> None:
    [[_, options]] = text_encode_qwen_image_edit_plus(ctx, "clip", "", "vae", None, picture(64, 64), picture(100, 150))
    assert seeing.prompts == [("", "edit_plus", [(384, 384, 3), (314, 470, 3)])]
    assert [one.shape[1:] for one in seeing.encoded] == [(1024, 1024, 3), (840, 1256, 3)]
    assert len(options["reference_latents"]) == 2
    assert text_encode_qwen_image_edit_plus(ctx, "clip", "", "vae")[0][1] == {"from": ""}


def test_21_shows_pictures_on_white_and_encodes_their_alpha(ctx: Any, seeing: Seeing) -> None:
    seen_through = picture(64, 96, 4)
    images = {"image_10": picture(100, 100), "image_2": seen_through}
    made = text_encode_qwen_image21(ctx, "clip", "blue", "", 0, images, "vae")
    assert [(text, style) for text, style, _ in seeing.prompts] == [("blue", "edit"), (" ", "edit")]
    assert seeing.prompts[0][2] == [(64, 96, 3), (96, 96, 3)]
    assert torch.equal(seeing.encoded[0], seen_through)
    white = seen_through[..., :3] * seen_through[..., 3:] + 1 - seen_through[..., 3:]
    assert torch.allclose(seeing.shown[0], white)
    assert made.latent["samples"].shape == (1, 64, 4, 6)
    for conditioning in (made.positive, made.negative):
        assert [float(one.mean()) for one in conditioning[0][1]["reference_latents"]] == [1.0, 2.0]


@pytest.mark.parametrize(("resolution", "size"), [(512, (32, 32)), (0, (64, 64))])
def test_21_without_pictures_makes_a_square(ctx: Any, seeing: Seeing, resolution: int, size: tuple[int, int]) -> None:
    made = text_encode_qwen_image21(ctx, "clip", "blue", "red", resolution)
    assert made.latent["samples"].shape == (1, 64, *size)
    assert seeing.prompts == [("blue", "", []), ("red", "", [])]
    assert made.positive[0][1] == {"from": "blue"}


def test_21_scales_pictures_to_a_resolution_on_a_grid_of_32(ctx: Any, seeing: Seeing) -> None:
    made = text_encode_qwen_image21(ctx, "clip", "blue", "red", 128, {"image_1": picture(50, 100)})
    assert seeing.prompts[0][2] == [(96, 192, 3)]
    assert made.latent["samples"].shape == (1, 64, 6, 12)
    assert made.positive[0][1] == {"from": "blue"}
