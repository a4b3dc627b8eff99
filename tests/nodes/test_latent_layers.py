"""Latents of several layers, and what cuts them."""

from __future__ import annotations

import pytest
import torch

from nodes.latent_layers import empty_latent_of_layers
from nodes.latent_pieces import latent_cut, latent_cut_to_batch


def test_the_whole_picture_is_one_more_than_the_layers() -> None:
    made = empty_latent_of_layers(640, 512, 2, 3)["samples"]
    assert made.shape == (3, 16, 3, 64, 80)
    assert not made.any()
    assert empty_latent_of_layers(64, 64, 0)["samples"].shape == (1, 16, 1, 8, 8)


def test_layers_are_cut_apart_in_their_order() -> None:
    latent = empty_latent_of_layers(64, 32, 3, 2)
    latent["samples"] += torch.arange(4.0)[:, None, None]
    cut = latent_cut_to_batch(latent_cut(latent, "t", 1, 16384), "t", 1)["samples"]
    assert cut.shape == (6, 16, 1, 4, 8)
    assert cut[:, 0, 0, 0, 0].tolist() == [1, 2, 3, 1, 2, 3]


def test_more_than_fits_in_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="use a smaller width"):
        empty_latent_of_layers(16384, 16384, 16384, 4096)
