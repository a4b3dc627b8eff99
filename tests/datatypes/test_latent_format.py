"""The way between a VAE's latents and a network's, with numbers for each channel."""

from __future__ import annotations

import pytest
import torch

from engine.datatypes.latent_formats import SDXL, WAN21, same_space
from engine.datatypes.parameterization import LatentFormat

OWN = LatentFormat(channels=2, scale=2.0, shift=1.0, means=(1.0, -1.0), deviations=(2.0, 4.0))


@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 2, 1, 1), (1, 2, 1, 1, 1)])
def test_each_channel_has_its_mean_and_deviation_whatever_lies_behind(shape: tuple[int, ...]) -> None:
    latent = torch.tensor([5.0, 7.0]).reshape(shape)
    seen = OWN.to_network(latent)
    assert seen.flatten().tolist() == [(2.0 - 1.0) * 2.0, (2.0 - 1.0) * 2.0]
    assert torch.equal(OWN.from_network(seen), latent)


def test_a_format_without_them_has_one_scale_and_shift() -> None:
    plain = LatentFormat(channels=2, scale=2.0, shift=1.0)
    assert plain.to_network(torch.full((1, 2, 1, 1), 3.0)).flatten().tolist() == [4.0, 4.0]
    assert plain.from_network(torch.full((1, 2, 1, 1), 4.0)).flatten().tolist() == [3.0, 3.0]


def test_spaces_with_other_means_are_others() -> None:
    assert same_space(WAN21, WAN21)
    assert not same_space(WAN21, LatentFormat(channels=16, scale=1.0))
    assert not same_space(WAN21, SDXL)
