"""Pictures to latents and back: sizes, tiles, and what happens when memory runs out."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.autoencoder import Autoencoder
from engine.models.errors import ModelError
from engine.models.manager import ModelManager
from engine.models.tiles import in_tiles, starts


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


@pytest.fixture
def told(vae: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Sizes of the tiles that the network was given; it paints each one with its place in this list."""
    sizes: list[tuple[int, int]] = []

    def decode(z: torch.Tensor) -> torch.Tensor:
        sizes.append((z.shape[-2], z.shape[-1]))
        return torch.full((1, 3, z.shape[-2] * 8, z.shape[-1] * 8), float(len(sizes)))

    def encode(images: torch.Tensor) -> torch.Tensor:
        sizes.append((images.shape[-2], images.shape[-1]))
        return torch.full((1, 4, images.shape[-2] // 8, images.shape[-1] // 8), float(len(sizes)))

    monkeypatch.setattr(vae, "_decode", decode)
    monkeypatch.setattr(vae, "_encode", encode)
    return sizes


def test_tiles_are_wide_tall_and_square_even_where_one_square_holds_the_whole(
    vae: Autoencoder, told: list[tuple[int, int]]
) -> None:
    vae.decode_tiled(torch.zeros(1, 4, 8, 8), tile=64, overlap=16)
    assert told == [(8, 4)] * 3 + [(4, 8)] * 3 + [(8, 8)]


def test_the_last_tile_of_a_row_is_what_is_left(vae: Autoencoder, told: list[tuple[int, int]]) -> None:
    vae.decode_tiled(torch.zeros(1, 4, 3, 19), tile=64, overlap=16, tiling="square only")
    assert told == [(3, 8), (3, 8), (3, 7)]
    told.clear()
    vae.encode_tiled(torch.zeros(1, 24, 152, 3), tile=64, overlap=16, tiling="square only")
    assert told == [(24, 64), (24, 64), (24, 56)]


def test_the_mean_of_the_three_is_taken_before_it_is_cut_to_the_range(
    vae: Autoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {(8, 4): 5.0, (4, 8): -1.0, (8, 8): -2.5}  # of pictures in -1..1: the mean is 0.5, of 0..1 0.75
    monkeypatch.setattr(
        vae,
        "_decode",
        lambda z: (
            torch.full((1, 3, 64, 64), values[(z.shape[-2], z.shape[-1])])
            .narrow(2, 0, z.shape[-2] * 8)
            .narrow(3, 0, z.shape[-1] * 8)
        ),
    )
    picture = vae.decode_tiled(torch.zeros(1, 4, 8, 8), tile=64, overlap=0)
    assert torch.allclose(picture, torch.tensor(0.75))


def test_tiles_blend_as_in_a_hand_made_sum(vae: Autoencoder, told: list[tuple[int, int]]) -> None:
    latent = vae.encode_tiled(torch.zeros(1, 24, 112, 3), tile=64, overlap=16, tiling="square only")
    assert told == [(24, 64), (24, 64)]  # columns 0 to 7 hold 1, 6 to 13 hold 2, and in 6 and 7 they blend over 2
    first, second = {6: 1.0, 7: 0.5}, {6: 0.5, 7: 1.0}
    mixed = [(first[at] + 2 * second[at]) / (first[at] + second[at]) for at in (6, 7)]
    assert latent[0, 0, 1].tolist() == pytest.approx([1.0] * 6 + mixed + [2.0] * 6)


def test_tiles_cover_every_size_and_stay_close_to_the_whole(vae: Autoencoder) -> None:
    latent = torch.randn(1, 4, 7, 11)
    tiled = vae.decode_tiled(latent, tile=32, overlap=16)
    assert tiled.shape == (1, 56, 88, 3)
    assert tiled.isfinite().all()
    pixels = torch.rand(1, 56, 88, 3)
    assert vae.encode_tiled(pixels, tile=32, overlap=16).shape == (1, 4, 7, 11)


@pytest.mark.parametrize(
    ("length", "tile", "overlap", "places"),
    [(64, 16, 4, [0, 12, 24, 36, 48]), (17, 16, 4, [0, 12]), (16, 16, 4, [0]), (5, 16, 4, [0]), (20, 8, 0, [0, 8, 16])],
)
def test_blending_tiles_of_a_local_map_gives_the_map(length: int, tile: int, overlap: int, places: list[int]) -> None:
    picture = torch.randn(1, 3, length, 9)
    doubled = in_tiles(picture, lambda piece: piece * 2 + 1, (tile, 7), (overlap, 3), (1, 1), 3)
    assert torch.allclose(doubled, picture * 2 + 1, atol=1e-5)
    assert list(starts(length, tile, overlap)) == places


def test_running_out_of_memory_falls_back_to_tiles(vae: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> None:
    latent, pixels = torch.randn(1, 4, 80, 66), torch.rand(1, 512, 528, 3)
    whole_decode, sizes = vae._decode, []

    def small_decode(z: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(z.shape))
        if z.shape[-1] * z.shape[-2] > 64 * 64:
            raise torch.OutOfMemoryError("out of memory")
        return whole_decode(z[:, :, :2, :2]).repeat(1, 1, z.shape[-2] // 2, z.shape[-1] // 2)

    def small_encode(images: torch.Tensor) -> torch.Tensor:
        if images.shape[-1] * images.shape[-2] > 512 * 512:
            raise torch.OutOfMemoryError("out of memory")
        return images[:, :1, ::8, ::8].expand(1, 4, -1, -1)

    monkeypatch.setattr(vae, "_decode", small_decode)
    monkeypatch.setattr(vae, "_encode", small_encode)
    assert vae.decode(latent).shape == (1, 640, 528, 3)
    assert sizes[0] == (1, 4, 80, 66)
    # of 64 latent pixels that share 16: they begin at 0, 16, 32 and 48 where they are 32 long, else at 0 and 48
    assert [size[2:] for size in sizes[1:]] == [
        *[(80, 32)] * 3,
        (80, 18),
        *[(32, 66)] * 4,
        *[(64, 64), (64, 18), (32, 64), (32, 18)],
    ]
    assert vae.encode(pixels).shape == (1, 4, 64, 66)


def test_another_error_is_not_taken_for_memory(vae: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(vae, "_decode", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        vae.decode(torch.randn(1, 4, 4, 4))
