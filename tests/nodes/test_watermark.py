"""The invisible watermark: what it survives, what it costs, and what it is not found in."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.fft import dctn

from engine.media import watermark
from engine.media.watermark import BITS, framed, read, soft_bits, unframed
from nodes.watermark import watermark_embed, watermark_read


def scene(height: int = 512, width: int = 640, channels: int = 3) -> torch.Tensor:
    """A picture (1, H, W, C) with soft parts and edges."""
    generator = torch.Generator().manual_seed(3)
    soft = torch.nn.functional.interpolate(
        torch.rand(1, channels, 9, 9, generator=generator), (height, width), mode="bicubic"
    )
    image = soft.clamp(0, 1)[0].permute(1, 2, 0).contiguous()
    image[40:140, 30:200] = 0.95
    image[-30:] = 0.1
    return image[None]


def as_file(
    image: torch.Tensor, kind: str = "PNG", size: tuple[int, int] | None = None, **options: int
) -> torch.Tensor:
    picture = Image.fromarray((image.numpy() * 255).astype(np.uint8))
    if size is not None:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return torch.from_numpy(np.array(Image.open(file))).float() / 255


def accuracy(image: torch.Tensor, text: str, key: int) -> float:
    return float(((soft_bits(image, key, 60.0) > 0).long() == framed(text)).float().mean())


@pytest.mark.parametrize(
    ("kind", "size", "options"),
    [
        ("PNG", None, {}), ("JPEG", None, {"quality": 80}), ("JPEG", None, {"quality": 60}), ("WEBP", None, {"quality": 80}),
        ("PNG", (320, 256), {}), ("PNG", (832, 666), {}), ("PNG", (533, 400), {}), ("JPEG", (480, 384), {"quality": 80}),
    ],
)  # fmt: skip
def test_it_survives_lossy_files_and_other_sizes(bench, kind, size, options):
    marked = watermark_embed(bench, scene(), "id-4711 é", 5)
    assert bench.warned == []
    later = as_file(marked[0], kind, size, **options)
    assert accuracy(later, "id-4711 é", 5) >= 0.99
    found = watermark_read(bench, later[None], 5)
    assert (found.text, found.found) == ("id-4711 é", True)
    assert found.certainty > 0.7


def test_it_is_not_seen(bench):
    image = scene()
    before = image.clone()
    marked = watermark_embed(bench, image, "sixteen bytes ok")
    assert torch.equal(image, before), "inputs are not written into"
    noise = float(((marked - image) ** 2).mean())
    assert 10 * math.log10(1 / noise) > 45
    assert float((marked - image).abs().max()) < 12 / 255
    assert float(marked.min()) >= 0
    assert float(marked.max()) <= 1


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_pictures_and_alpha_are_taken_and_batches_are_marked_one_by_one(bench, channels):
    image = scene(channels=channels).expand(2, -1, -1, -1)
    marked = watermark_embed(bench, image, "x", 9, 80.0)
    assert marked.shape == image.shape
    if channels == 4:
        assert torch.equal(marked[..., 3], image[..., 3])
    assert torch.equal(marked[0], marked[1])
    found = watermark_read(bench, torch.stack([torch.zeros_like(marked[0]), marked[1]]), 9, 80.0)
    assert found.text == "x"


def test_nothing_is_found_without_one_or_with_another_key(bench):
    marked = watermark_embed(bench, scene(), "x", 1)
    for image, key in ((scene(), 1), (marked, 2), (torch.zeros(1, 300, 300, 3), 0), (torch.rand(1, 40, 30, 3), 0)):
        assert watermark_read(bench, image, key)[:2] == ("", False)
    assert watermark_read(bench, torch.zeros(0, 300, 300, 3))[:2] == ("", False)


def test_a_picture_without_room_is_told(bench):
    stripes = torch.zeros(1, 256, 256, 3)
    watermark_embed(bench, stripes, "x", 0, 10.0)
    assert len(bench.warned) <= 1
    bench.warned.clear()
    nan = torch.full((1, 256, 256, 3), float("nan"))
    watermark_embed(bench, nan, "x")
    assert bench.warned == [
        "The watermark cannot be read in picture 1, which leaves no room for it. Raise the strength."
    ]


@pytest.mark.parametrize("text", ["", "seventeen bytes !", "é" * 9])
def test_texts_that_do_not_fit_are_refused(bench, text):
    with pytest.raises(ValueError, match="1 to 16 bytes"):
        watermark_embed(bench, scene(), text)


def test_small_pictures_are_refused(bench):
    with pytest.raises(ValueError, match="at least 256 pixels, got 640 × 255"):
        watermark_embed(bench, scene(255), "x")


def test_every_changed_bit_is_caught_by_the_checksum():
    bits = framed("some id")
    assert len(bits) == BITS == 168
    assert unframed(bits) == "some id"
    for at in range(BITS):
        changed = bits.clone()
        changed[at] ^= 1
        assert unframed(changed) is None


def test_the_carriers_are_the_dct_of_a_haar_band():
    luma = torch.rand(watermark.SIDE, watermark.SIDE, generator=torch.Generator().manual_seed(1)) * 255
    low = luma.numpy().reshape(128, 2, 128, 2).mean((1, 3)) * 2
    expected = dctn(low[8:16, 24:32], norm="ortho")
    found = watermark._carriers(luma).reshape(16, 16, -1)[1, 3].numpy()
    np.testing.assert_allclose(found, [expected[u, v] for u, v in watermark._PLACES], rtol=1e-4, atol=1e-2)
    values = torch.rand(16 * 16 * 12, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(watermark._carriers(watermark._from_carriers(values)), values, rtol=1e-4, atol=1e-4)


def test_the_directions_of_a_key_stay_what_they_are():
    """Pictures that were marked with an earlier version must stay readable."""
    chosen, signs = watermark._directions(0)
    assert chosen.shape == signs.shape == (168, 18)
    assert chosen[0, :4].tolist() == [2955, 310, 2448, 2594]
    assert (signs[0] > 0)[:8].tolist() == [False, False, True, True, False, True, False, True]
    assert len(set(chosen.flatten().tolist())) == 168 * 18
    assert read(scene()[0]).found is False
