"""The formulas of the two loops, against hand computation."""

from __future__ import annotations

import pytest
import torch

from engine.training.losses import alpha_bars, gaussian_kl, min_snr_weights, noisy_and_target, reconstruction_loss


def test_equal_pictures_lose_nothing_and_a_constant_offset_only_counts_once():
    picture = torch.rand(2, 3, 8, 8)
    assert reconstruction_loss(picture, picture, 0.5, 3.0) == 0
    assert reconstruction_loss(picture + 0.25, picture, 10.0, 10.0).item() == pytest.approx(0.25, abs=1e-5)


def test_an_edge_in_the_wrong_place_costs_more_with_the_gradient_term():
    target = torch.zeros(1, 3, 8, 8)
    output = target.clone()
    output[..., 4:] = 1
    # Half of the pixels are off by 1; one of seven column pairs differs.
    assert reconstruction_loss(output, target, 0.0, 5.0).item() == pytest.approx(0.5)
    assert reconstruction_loss(output, target, 1.0, 5.0).item() == pytest.approx(0.5 + 1 / 7)


def test_a_wrong_hue_costs_more_with_the_chroma_term_and_a_wrong_brightness_does_not():
    target = torch.zeros(1, 3, 16, 16)
    hue, grey = target.clone(), target + 0.1
    hue[:, 1] = 0.3
    assert reconstruction_loss(hue, target, 0.0, 0.0).item() == pytest.approx(0.1)
    # The differences to grey are -0.1, 0.2, -0.1.
    assert reconstruction_loss(hue, target, 0.0, 3.0).item() == pytest.approx(0.1 + 3 * 0.4 / 3)
    assert reconstruction_loss(grey, target, 0.0, 3.0).item() == pytest.approx(0.1)


def test_the_kl_of_the_standard_normal_is_zero_and_grows_with_mean_and_variance():
    zero = torch.zeros(4)
    assert gaussian_kl(zero, zero) == 0
    assert gaussian_kl(zero + 2, zero).item() == pytest.approx(2.0)
    assert gaussian_kl(zero, zero + 1).item() == pytest.approx(0.5 * (torch.e - 2), abs=1e-6)


def test_min_snr_weights_cap_the_clean_steps_for_each_prediction():
    alpha_bar = torch.tensor([0.5, 0.9, 0.99])  # SNR 1, 9, 99
    assert min_snr_weights(alpha_bar, 5.0, "x0").tolist() == pytest.approx([1, 5, 5], rel=1e-4)
    assert min_snr_weights(alpha_bar, 5.0, "eps").tolist() == pytest.approx([1, 5 / 9, 5 / 99], rel=1e-4)
    assert min_snr_weights(alpha_bar, 5.0, "v").tolist() == pytest.approx([1, 5 / 10, 5 / 100], rel=1e-4)


def test_v_keeps_its_full_weight_where_noise_is_strongest():
    assert min_snr_weights(torch.tensor([0.005, 0.2]), 5.0, "v").tolist() == pytest.approx([1, 1])


def test_an_unknown_prediction_is_refused_by_name():
    with pytest.raises(ValueError, match='got "w"'):
        min_snr_weights(torch.tensor([0.5]), 5.0, "w")
    with pytest.raises(ValueError, match='got "w"'):
        noisy_and_target(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.tensor([0.5]), "w")


def test_x0_and_noise_come_back_from_x_t_and_v():
    x0, noise = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    alpha_bar = torch.tensor([0.1, 0.5, 0.9])
    noisy, v = noisy_and_target(x0, noise, alpha_bar, "v")
    alpha, sigma = alpha_bar.sqrt()[:, None, None, None], (1 - alpha_bar).sqrt()[:, None, None, None]
    torch.testing.assert_close(alpha * noisy - sigma * v, x0)
    torch.testing.assert_close(sigma * noisy + alpha * v, noise)


def test_the_noise_schedule_is_that_of_stable_diffusion_one():
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    theirs = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").alphas_cumprod
    torch.testing.assert_close(alpha_bars("scaled_linear", 0.00085, 0.012, 1000), theirs, atol=1e-6, rtol=1e-5)
    with pytest.raises(ValueError, match='got "cosine"'):
        alpha_bars("cosine", 0.1, 0.2, 10)
