"""Augmentation, and the normalisation that is folded into the autoencoder."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from engine.training.augment import augment
from engine.training.autoencoder import normalise_latents, psnr
from engine.training.latents import encode_doubled, encode_shifted, preview_factors, to_unit
from engine.training.loop import Clock, learning_rate
from engine.training.networks import build_vae
from engine.training.recipe import load_recipe


@pytest.fixture
def vae(recipe_path):
    torch.manual_seed(0)
    return build_vae(load_recipe(recipe_path)).eval()


def pictures(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_normalised_latents_have_mean_zero_and_variance_one_and_the_same_reconstruction(vae):
    before = vae.decode(vae.encode(pictures()).latent_dist.mean).sample
    spread = vae.encode(pictures()).latent_dist.std
    old_mean_spread = vae.encode(pictures()).latent_dist.mean.std((0, 2, 3))
    normalise_latents(vae, pictures())
    posterior = vae.encode(pictures()).latent_dist
    torch.testing.assert_close(posterior.mean.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(posterior.mean.std((0, 2, 3)), torch.ones(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(vae.decode(posterior.mean).sample, before, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(posterior.std, spread / old_mean_spread[:, None, None], atol=1e-4, rtol=1e-3)


def test_half_of_an_augmented_batch_is_the_plain_picture_on_white():
    planes = torch.zeros(8, 4, 16, 16, dtype=torch.uint8)
    planes[:, 0, 4:12, 4:12] = 255
    planes[:, 3, 4:12, 4:12] = 255
    out = augment(planes, torch.Generator().manual_seed(0))
    assert out.shape == (8, 3, 16, 16)
    assert out.min() >= -1
    assert out.max() <= 1
    for picture in out[:4]:
        assert picture[:, 0, 0].tolist() == [1, 1, 1]
        assert int((picture[1] < 0).sum()) == 64
    assert not torch.equal(out[4], out[5])


def test_augmentation_is_a_function_of_its_generator():
    planes = torch.randint(0, 256, (4, 4, 16, 16), dtype=torch.uint8)
    first, second, other = (augment(planes, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_perfect_copy_has_a_high_psnr_and_a_known_error_the_known_one():
    class Copy:
        def encode(self, pixels):
            self.latent_dist = self
            self.pixels = pixels
            return self

        def mode(self):
            return self.pixels

        def decode(self, latents):
            self.sample = latents + 0.2
            return self

    assert psnr(Copy(), torch.zeros(2, 3, 8, 8)) == pytest.approx(20.0, abs=1e-3)


def test_shifted_latents_start_with_the_picture_in_place(vae):
    plain = to_unit(((pictures() + 1) * 127.5).round().byte().permute(0, 2, 3, 1))
    latents = encode_shifted(vae, plain, copies=3, shift=1)
    assert latents.shape == (6, 3, 4, 8, 8)
    torch.testing.assert_close(latents[:, 0].float(), vae.encode(plain).latent_dist.mean, atol=1e-2, rtol=1e-2)
    assert not torch.equal(latents[:, 0], latents[:, 1])
    assert encode_doubled(vae, plain).shape == (6, 1, 4, 16, 16)


def test_preview_factors_recover_a_linear_map():
    latents = torch.randn(4, 5, 2, 2)
    factors = torch.rand(5, 3) * 0.1
    colours = torch.einsum("bchw,cr->brhw", latents, factors) + 0.5
    found, bias = preview_factors(latents, (colours * 2 - 1).repeat_interleave(8, 2).repeat_interleave(8, 3))
    torch.testing.assert_close(torch.tensor(found), factors, atol=1e-4, rtol=1e-3)
    assert bias == pytest.approx([0.5] * 3, abs=1e-4)


def test_the_learning_rate_warms_up_stays_and_decays():
    rates = [learning_rate(step, 100, 1.0, 10, 0.5) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == rates[50] == 1.0
    assert all(a > b for a, b in pairwise(rates[50:]))
    assert learning_rate(100, 100, 1.0, 10, 0.5) == pytest.approx(0.02)


def test_the_clock_stops_after_its_time_and_saves_once_an_interval():
    now = [0.0]
    clock = Clock(10, 4, now=lambda: now[0])
    assert not clock.is_over()
    assert not clock.is_save_due()
    now[0] = 5
    assert clock.is_save_due()
    assert not clock.is_save_due()
    now[0] = 10
    assert clock.is_over()
    assert clock.seconds() == 10
    assert not Clock(None, 4, now=lambda: 1e9).is_over()
