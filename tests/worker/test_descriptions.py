"""What is told of a value that travelled on a link, and its small picture."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine.datatypes.parameterization import LatentFormat
from engine.worker.descriptions import FEW_NUMBERS, LONGEST_TEXT, description, kind_of
from engine.worker.thumbnails import SIDE, thumbnail

TOKENS = torch.zeros(1, 77, 8)


@pytest.mark.parametrize(
    ("value", "type", "kind"),
    [
        (True, "BOOLEAN", "boolean"),
        (1, "INT", "number"),
        (0.5, "FLOAT", "number"),
        ("a", "STRING", "text"),
        ({"samples": torch.zeros(1, 4, 2, 2)}, "LATENT", "latent"),
        ({"waveform": torch.zeros(1, 2, 9)}, "AUDIO", "audio"),
        ({"a": 1}, "", "other"),
        (torch.zeros(1, 4, 4, 3), "IMAGE", "image"),
        (torch.zeros(1, 4, 4, 3), "*", "image"),
        (torch.zeros(1, 4, 4, 2), "IMAGE", "tensor"),
        (torch.zeros(1, 4, 4, 3), "LATENT", "tensor"),
        (torch.zeros(1, 4, 4), "MASK", "mask"),
        (torch.zeros(4, 4), "MASK", "mask"),
        (torch.zeros(4, 4), "", "tensor"),
        ([[TOKENS, {}]], "CONDITIONING", "conditioning"),
        ([], "CONDITIONING", "other"),
        (object(), "VAE", "model"),
        (object(), "", "other"),
    ],
)
def test_values_are_told_apart_by_what_they_are_and_their_sockets_type(value: Any, type: str, kind: str) -> None:
    assert kind_of(value, type) == kind


def test_a_tensor_is_told_in_numbers_and_what_is_none_is_counted_apart() -> None:
    told = description(torch.tensor([1.0, 2.0, 3.0, math.nan, math.inf]), "SIGMAS")
    assert (told.shape, told.dtype, told.min, told.max, told.mean) == ([5], "float32", 1.0, 3.0, 2.0)
    assert told.std == pytest.approx(math.sqrt(2 / 3))
    assert (told.not_finite, told.numbers) == (2, None)
    assert (sum(told.histogram.counts), told.histogram.counts[0], told.histogram.counts[-1]) == (3, 1, 1)
    assert (told.histogram.low, told.histogram.high) == (1.0, 3.0)


def test_numbers_are_listed_where_they_are_few() -> None:
    assert description(torch.arange(3.0), "SIGMAS").numbers == [0.0, 1.0, 2.0]
    assert len(description(torch.zeros(FEW_NUMBERS), "SIGMAS").numbers) == FEW_NUMBERS
    assert description(torch.zeros(FEW_NUMBERS + 1), "SIGMAS").numbers is None
    assert description(torch.zeros(2, 2), "").numbers is None
    assert description(torch.full((4,), 7.0), "").histogram.counts == [4]


def test_a_text_is_cut_and_says_so() -> None:
    assert (description("a" * LONGEST_TEXT).text, description("a" * LONGEST_TEXT).cut) == ("a" * LONGEST_TEXT, False)
    assert (description("a" * (LONGEST_TEXT + 1)).text, description("a" * (LONGEST_TEXT + 1)).cut) == (
        "a" * LONGEST_TEXT,
        True,
    )
    assert description(math.inf).value == "inf"
    assert description(True).value is True


def test_of_several_tensors_the_main_one_is_told_and_the_parts_by_name() -> None:
    told = description({"samples": torch.ones(1, 4, 2, 3), "batch_index": [0]}, "LATENT")
    assert (told.shape, told.max, told.picture) == ([1, 4, 2, 3], 1.0, True)
    assert [part.name for part in told.parts] == ["samples", "batch_index"]
    told = description([[TOKENS, {"strength": 0.5, "area": None}]], "CONDITIONING")
    assert (told.shape, told.picture) == ([1, 77, 8], False)
    assert [(part.name, part.summary) for part in told.parts] == [("0", "Tensor (1, 77, 8) float32; strength: 0.5")]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def test_a_thumbnail_has_the_pictures_sides_and_colours() -> None:
    image = torch.zeros(1, 40, 80, 3)
    image[..., 0] = 1.0  # red
    made = opened(thumbnail(image, "image"))
    assert made.size == (80, 40)
    red, green, blue = (int(value) for value in np.asarray(made)[20, 40])
    assert red > 200 > 60 > max(green, blue)
    assert opened(thumbnail(torch.zeros(1, 2000, 1000, 3), "image")).size == (SIDE // 2, SIDE)
    assert opened(thumbnail(torch.ones(16, 24), "mask")).size == (24, 16)
    assert thumbnail(torch.zeros(0, 4, 4, 3), "image") == b""


def test_several_pictures_stand_two_in_a_row_and_at_most_four() -> None:
    levels = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.5])
    made = np.asarray(opened(thumbnail(levels[:, None, None, None].expand(5, 20, 30, 3), "image")).convert("L"))
    assert made.shape == (40, 60)
    assert [made[row, column] > 128 for row in (10, 30) for column in (15, 45)] == [False, True, False, True]


def test_a_latent_is_drawn_in_the_colours_of_its_model() -> None:
    space = LatentFormat(channels=4, scale=1.0, rgb_factors=((1.0, 0.0, 0.0), *((0.0, 0.0, 0.0),) * 3))
    latent = torch.zeros(1, 4, 8, 16)
    latent[:, 0] = 1.0
    made = opened(thumbnail({"samples": latent}, "latent", space))
    assert made.size == (SIDE, SIDE // 2)
    red, green, blue = (int(value) for value in np.asarray(made)[50, 50])
    assert red > 200 > 60 > max(green, blue)
