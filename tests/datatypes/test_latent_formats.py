from __future__ import annotations

import pytest

from engine.datatypes.latent_formats import FLUX, SD, SD3, SDXL, TINY_DECODERS, fitted, tiny_decoder_name, with_colours
from engine.datatypes.parameterization import LatentFormat


def colour(latent_format, pixel):
    """RGB in 0..1 of one latent pixel of the VAE."""
    rows = zip(*latent_format.rgb_factors, strict=True)
    return [
        sum(f * v for f, v in zip(row, pixel, strict=True)) + b
        for row, b in zip(rows, latent_format.rgb_bias, strict=True)
    ]


def test_a_fit_of_network_latents_is_the_same_map_of_the_vaes_latents():
    factors = ((0.5, 0.0, -0.25), (0.25, 1.0, 0.0))
    made = fitted(factors, scale=2.0, shift=0.5)
    raw = (1.5, -0.5)
    network = [(value - 0.5) * 2.0 for value in raw]
    expected = [(sum(row[c] * n for row, n in zip(factors, network, strict=True)) + 1) / 2 for c in range(3)]
    assert colour(made, raw) == pytest.approx(expected)


@pytest.mark.parametrize("known", [SD, SDXL, SD3, FLUX], ids=["sd", "sdxl", "sd3", "flux"])
def test_every_known_space_has_a_colour_for_each_channel_and_is_grey_in_the_middle(known):
    assert len(known.rgb_factors) == known.channels
    assert colour(known, [known.shift] * known.channels) == pytest.approx([0.5] * 3)


def test_a_space_is_known_by_its_numbers():
    for name, known in TINY_DECODERS.items():
        bare = LatentFormat(channels=known.channels, scale=known.scale, shift=known.shift)
        assert tiny_decoder_name(bare) == name
        assert with_colours(bare).rgb_factors == known.rgb_factors


def test_an_unknown_space_stays_as_it_is():
    strange = LatentFormat(channels=16, scale=1.0)
    assert tiny_decoder_name(strange) is None
    assert with_colours(strange) == strange


def test_a_file_s_own_colours_go_before_the_published_ones():
    own = LatentFormat(rgb_factors=((1.0, 1.0, 1.0),) * 4)
    assert with_colours(own) == own
