from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.datatypes.latent_formats import SD, TINY_DECODERS
from engine.datatypes.parameterization import LatentFormat
from engine.denoising.previews import latent_to_rgb, preview
from engine.sampling.noise_schedule import to_network_space
from engine.sampling.samplers.steps import StepInfo


def step(latent):
    return StepInfo(step=0, total=4, x=torch.zeros_like(latent), denoised=latent, sigma=1.0)


@pytest.mark.parametrize(
    ("height", "width", "shape"),
    [
        (8, 8, (256, 256, 3)),
        (64, 64, (512, 512, 3)),
        (40, 24, (320, 192, 3)),
        (128, 32, (512, 128, 3)),
        (1, 200, (3, 512, 3)),
        (700, 2, (512, 1, 3)),
    ],
)
@pytest.mark.parametrize("channels", [4, 16, 2])
def test_a_preview_is_large_enough_to_see_and_never_huge(height, width, shape, channels):
    pixels = preview(step(torch.randn(2, channels, height, width)), LatentFormat(channels=channels))
    assert pixels.shape == shape
    assert pixels.dtype == np.uint8


def test_of_a_video_latent_the_first_frame_is_shown():
    video = torch.zeros(1, 4, 3, 8, 8)
    video[:, :, 0] = torch.randn(1, 4, 8, 8)
    assert np.array_equal(preview(step(video), SD), preview(step(video[:, :, 0]), SD))


def test_known_spaces_show_their_colours_and_unknown_ones_contrast():
    grey = torch.zeros(1, 4, 8, 8)
    assert set(preview(step(grey), LatentFormat(channels=4)).ravel().tolist()) == {128}
    flat = torch.zeros(1, 4, 8, 8)
    flat[..., 4:] = 1e-2
    stretched = preview(step(flat), LatentFormat(channels=4, scale=0.5))
    assert (stretched.min(), stretched.max()) == (0, 255)


def test_network_and_vae_latents_of_one_picture_look_alike():
    for known in TINY_DECODERS.values():
        raw = torch.randn(known.channels, 6, 6)
        seen = latent_to_rgb(to_network_space(raw, known), known, scaled=True).astype(int)
        assert abs(seen - latent_to_rgb(raw, known)).max() <= 1


def test_a_decoder_is_given_no_more_of_a_large_latent_than_the_preview_shows():
    given = []

    def decode(latents):
        given.append(latents.shape)
        return torch.nn.functional.interpolate(latents[:, :3], scale_factor=8)

    assert preview(step(torch.randn(3, 4, 128, 64)), SD, decode).shape == (512, 256, 3)
    assert preview(step(torch.randn(1, 4, 8, 8)), SD, decode).shape == (256, 256, 3)
    assert given == [(1, 4, 64, 32), (1, 4, 8, 8)]


def test_what_is_no_number_is_black():
    pixels = preview(step(torch.full((1, 4, 8, 8), float("nan"))), SD)
    assert not pixels.any()
