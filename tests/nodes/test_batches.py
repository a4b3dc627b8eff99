"""Latents and masks put together, and the size of latents."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nodes.batches import batch_latents, batch_masks, get_latent_size


def test_the_size_of_a_latent() -> None:
    assert get_latent_size({"samples": torch.zeros(2, 4, 5, 7)}).values == (7, 5, 1, 2)
    shown = get_latent_size({"samples": torch.zeros(1, 16, 3, 5, 7)})
    assert shown.values == (7, 5, 3, 1)
    assert shown.ui["text"] == ["7 × 5, frames: 3, batch: 1"]


def test_of_several_streams_the_first_is_measured() -> None:
    nested = (torch.zeros(1, 16, 3, 5, 7), torch.zeros(1, 8, 3, 20, 4))
    assert get_latent_size({"samples": nested}).values == (7, 5, 3, 1)


def test_latents_keep_their_noise_and_get_the_size_of_the_first() -> None:
    first: dict[str, Any] = {"samples": torch.rand(2, 4, 6, 8), "batch_index": [7, 9]}
    second: dict[str, Any] = {"samples": torch.rand(1, 4, 6, 8)}
    third = {"samples": torch.rand(1, 4, 3, 4)}
    joined = batch_latents({"latent1": second, "latent0": first, "latent2": third})
    assert joined["samples"].shape == (4, 4, 6, 8)
    assert torch.equal(joined["samples"][:3], torch.cat([first["samples"], second["samples"]]))
    assert joined["batch_index"] == [7, 9, 0, 0]
    assert batch_latents({"latent0": second}) is second


def test_latents_of_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="channels"):
        batch_latents(
            {"latent0": {"samples": torch.zeros(1, 4, 2, 2)}, "latent1": {"samples": torch.zeros(1, 16, 2, 2)}}
        )


def test_masks_get_the_size_of_the_first() -> None:
    first, second = torch.rand(2, 4, 6), torch.rand(3, 8, 12)
    joined = batch_masks({"mask1": second, "mask0": first})
    expected = torch.nn.functional.interpolate(second[:, None], size=(4, 6), mode="bilinear")[:, 0]
    assert torch.equal(joined, torch.cat([first, expected]))
    assert torch.equal(batch_masks({"mask0": first[0]}), first[:1])
