"""Pictures to latents and back: sizes, tiles, and what happens when memory runs out."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from engine.models.autoencoder import Autoencoder, _starts, _tiled
from engine.models.errors import ModelError
from engine.models.manager import ModelManager


@pytest.fixture
def vae(tiny_sd: Any) -> Autoencoder:
    manager = ModelManager()
    with manager.use(manager.vae(tiny_sd.file("vae", "tiny_vae.safetensors"))) as live:
        return live


def test_a_picture_is_an_eighth_of_its_size_and_comes_back_in_its_own(vae: Autoencoder) -> None:
    latent = vae.encode(torch.rand(2, 32, 48, 3))
    assert (latent.shape, latent.dtype) == ((2, 4, 4, 6), torch.float32)
    picture = vae.decode(latent)
    assert (picture.shape, picture.dtype) == ((2, 32, 48, 3), torch.float32)
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert picture.is_contiguous()


def test_encoding_is_deterministic_and_a_batch_is_its_pictures(vae: Autoencoder) -> None:
    pixels = torch.rand(2, 16, 16, 3)
    latent = vae.encode(pixels)
    assert torch.equal(latent, vae.encode(pixels))
    assert torch.allclose(latent, torch.cat([vae.encode(pixels[:1]), vae.encode(pixels[1:])]), atol=1e-5)


def test_sizes_that_eight_does_not_divide_are_cropped_about_the_centre_and_alpha_is_dropped(vae: Autoencoder) -> None:
    pixels = torch.rand(1, 21, 19, 4)
    assert torch.equal(vae.encode(pixels), vae.encode(pixels[:, 2:18, 1:17, :3]))


def test_what_is_no_picture_and_no_latent_of_this_vae_is_refused(vae: Autoencoder) -> None:
    with pytest.raises(ModelError, match=r"at least 8 pixels a side, got \[1, 7, 16, 3\]"):
        vae.encode(torch.rand(1, 7, 16, 3))
    with pytest.raises(ModelError, match="expected pictures"):
        vae.encode(torch.rand(16, 16, 3))
    with pytest.raises(ModelError, match=r"\(B, 4, h, w\), got \[1, 16, 8, 8\]"):
        vae.decode(torch.rand(1, 16, 8, 8))


def test_one_tile_is_the_whole_picture(vae: Autoencoder) -> None:
    latent, pixels = torch.randn(1, 4, 4, 6), torch.rand(1, 32, 48, 3)
    assert torch.allclose(vae.decode_tiled(latent, tile=64, overlap=16), vae.decode(latent), atol=1e-6)
    assert torch.allclose(vae.encode_tiled(pixels, tile=64, overlap=16), vae.encode(pixels), atol=1e-5)


def test_tiles_cover_every_size_and_stay_close_to_the_whole(vae: Autoencoder) -> None:
    latent = torch.randn(1, 4, 7, 11)
    tiled = vae.decode_tiled(latent, tile=32, overlap=16)
    assert tiled.shape == (1, 56, 88, 3)
    assert tiled.isfinite().all()
    pixels = torch.rand(1, 56, 88, 3)
    assert vae.encode_tiled(pixels, tile=32, overlap=16).shape == (1, 4, 7, 11)


@pytest.mark.parametrize(
    ("length", "tile", "overlap"), [(64, 16, 4), (17, 16, 4), (100, 16, 15), (16, 16, 4), (5, 16, 4)]
)
def test_blending_tiles_of_a_local_map_gives_the_map(length: int, tile: int, overlap: int) -> None:
    picture = torch.randn(1, 3, length, 9)
    doubled = _tiled(picture, lambda piece: piece * 2 + 1, tile, overlap, lambda n: n, 3)
    assert torch.allclose(doubled, picture * 2 + 1, atol=1e-5)
    starts = _starts(length, tile, overlap)
    assert starts[-1] + tile >= length
    assert all(second - first <= tile - overlap for first, second in itertools.pairwise(starts))


def test_running_out_of_memory_falls_back_to_tiles(vae: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> None:
    latent, pixels = torch.randn(1, 4, 80, 66), torch.rand(1, 16, 528, 3)
    whole_decode, whole_encode = vae._decode, vae._encode
    sizes = []

    def small_decode(z: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(z.shape))
        if max(z.shape[-2:]) > 64:
            raise torch.OutOfMemoryError("out of memory")
        return whole_decode(z[:, :, :2, :2]).repeat(1, 1, z.shape[-2] // 2, z.shape[-1] // 2)

    def small_encode(images: torch.Tensor) -> torch.Tensor:
        if max(images.shape[-2:]) > 512:
            raise torch.OutOfMemoryError("out of memory")
        return whole_encode(images)

    monkeypatch.setattr(vae, "_decode", small_decode)
    monkeypatch.setattr(vae, "_encode", small_encode)
    assert vae.decode(latent).shape == (1, 640, 528, 3)
    assert sizes[0] == (1, 4, 80, 66)
    assert set(sizes[1:]) == {(1, 4, 64, 64)}
    assert vae.encode(pixels).shape == (1, 4, 2, 66)


def test_another_error_is_not_taken_for_memory(vae: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(vae, "_decode", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        vae.decode(torch.randn(1, 4, 4, 4))
