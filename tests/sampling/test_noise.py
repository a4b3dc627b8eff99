from __future__ import annotations

import warnings
from itertools import pairwise

import pytest
import torch
import torchsde

from engine.denoising.run import noise_sampler_of
from engine.sampling.noise import ancestral_noise, brownian_noise, initial_noise
from engine.sampling.schedules import karras_sigmas

LEVELS = karras_sigmas(20, 0.0291675, 14.614642)


def test_initial_noise_is_the_stream_of_its_seed_on_the_cpu():
    latent = torch.zeros(2, 4, 8, 8)
    torch.manual_seed(42)
    assert torch.equal(initial_noise(latent, 42), torch.randn(2, 4, 8, 8))


def test_only_the_low_32_bits_of_a_seed_count_for_initial_noise():
    latent = torch.zeros(1, 4, 8, 8)
    assert torch.equal(initial_noise(latent, 42 + 2**32), initial_noise(latent, 42))
    assert not torch.equal(initial_noise(latent, 42 + 2**31), initial_noise(latent, 42))


def test_drawing_noise_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    expected = torch.randn(3)
    torch.manual_seed(1)
    initial_noise(torch.zeros(1, 4, 2, 2), 5)
    assert torch.equal(torch.randn(3), expected)


def test_a_picture_of_a_batch_can_be_drawn_again_alone():
    latent = torch.zeros(4, 4, 8, 8)
    batch = initial_noise(latent, 7, [0, 1, 2, 3])
    assert torch.equal(initial_noise(latent[:1], 7, [2]), batch[2:3])
    assert torch.equal(initial_noise(latent[:3], 7, [3, 0, 3]), batch[[3, 0, 3]])


@pytest.mark.parametrize(("side", "is_so"), [(8, True), (2, True), (3, False)])  # 4 * 3 * 3 is no multiple of 16
def test_a_batch_is_its_pictures_drawn_one_after_the_other_where_they_have_a_multiple_of_16_values(side, is_so):
    latent = torch.zeros(3, 4, side, side)
    assert torch.equal(initial_noise(latent, 7), initial_noise(latent, 7, [0, 1, 2])) is is_so


def test_a_batch_index_of_another_length_is_refused():
    with pytest.raises(ValueError, match="one number for each of 2 latents, got 1"):
        initial_noise(torch.zeros(2, 4, 8, 8), 7, [0])


def test_the_largest_seed_works():
    x = torch.zeros(1, 4, 2, 2)
    assert torch.isfinite(initial_noise(x, 2**64 - 1)).all()
    assert torch.isfinite(ancestral_noise(x, 2**64 - 1)(2.0, 1.0)).all()
    assert torch.isfinite(brownian_noise(x, 0.1, 5.0, 2**64 - 1)(2.0, 1.0)).all()


def test_fresh_noise_is_one_stream_of_the_seed_which_on_the_cpu_begins_as_the_initial_noise():
    x = torch.zeros(1, 4, 8, 8)
    draw = ancestral_noise(x, 7)
    generator = torch.Generator().manual_seed(7)
    first, second = (torch.randn(1, 4, 8, 8, generator=generator) for _ in range(2))
    assert torch.equal(draw(2.0, 1.0), first)
    assert torch.equal(draw(1.0, 0.5), second)
    assert torch.equal(first, initial_noise(x, 7))


def through_torchsde(x, sigmas, seed, sigma, sigma_next):
    """k-diffusion's BrownianTreeNoiseSampler, written out: W(lower) - W(higher) over the root of their distance."""
    tree = torchsde.BrownianTree(t0=sigmas[sigmas > 0].min(), w0=torch.zeros_like(x), t1=sigmas.max(), entropy=seed)
    low, high = (sigma, sigma_next) if sigma < sigma_next else (sigma_next, sigma)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the last bit of an end
        increment = tree(low, high)
    return increment * (1 if sigma < sigma_next else -1) / (sigma_next - sigma).abs().sqrt()


@pytest.mark.parametrize("seed", [0, 7, 2**33 + 7])
def test_brownian_noise_is_the_tree_of_torchsde_to_the_bit(seed):
    x = torch.zeros(2, 4, 8, 8)
    draw = brownian_noise(x, float(LEVELS[-2]), float(LEVELS[0]), seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = [draw(float(high), float(low)) for high, low in pairwise(LEVELS[:-1])]
    theirs = [through_torchsde(x, LEVELS, seed, high, low) for high, low in pairwise(LEVELS[:-1])]
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert torch.equal(draw(1.0, 2.0), through_torchsde(x, LEVELS, seed, torch.tensor(1.0), torch.tensor(2.0)))


def test_all_bits_of_a_seed_count_for_brownian_noise():
    x = torch.zeros(1, 4, 8, 8)
    low, high = (brownian_noise(x, 0.02, 15.0, seed)(8.0, 6.0) for seed in (7, 2**33 + 7))
    assert not torch.allclose(low, high, atol=0.1)


def test_a_seed_for_each_picture_is_a_tree_for_each():
    x = torch.zeros(2, 4, 8, 8)
    both = brownian_noise(x, 0.02, 15.0, [3, 4])(8.0, 6.0)
    for picture, seed in enumerate((3, 4)):
        assert torch.equal(both[picture], brownian_noise(x[:1], 0.02, 15.0, seed)(8.0, 6.0)[0])
    with pytest.raises(ValueError, match="one for each of 2 pictures, got 3"):
        brownian_noise(x, 0.02, 15.0, [1, 2, 3])


def test_a_step_in_two_halves_has_the_noise_of_the_whole_and_unit_variance():
    x = torch.zeros(2, 4, 32, 32)
    draw = brownian_noise(x, 0.02, 15.0, seed=3)
    whole = draw(8.0, 6.0)
    assert whole.std().item() == pytest.approx(1.0, abs=0.03)
    assert abs((whole[0] * whole[1]).mean().item()) < 0.05
    assert torch.allclose(draw(8.0, 7.5) * 0.5**0.5 + draw(7.5, 6.0) * 1.5**0.5, whole * 2.0**0.5, atol=1e-5)


def test_a_step_of_no_length_has_no_noise():
    x = torch.zeros(1, 4, 2, 2)
    assert brownian_noise(x, 0.02, 15.0, seed=3)(8.0, 8.0).count_nonzero() == 0


def test_few_kept_tensors_change_no_value(monkeypatch):
    x = torch.zeros(1, 4, 8, 8)
    spans = [(8.0, 6.0), (14.9, 3.0), (0.7, 0.69), (8.0, 6.0)]
    expected = [brownian_noise(x, 0.02, 15.0, seed=3)(*span) for span in spans]
    monkeypatch.setattr("engine.sampling.noise._Increments._MOST", 3)
    draw = brownian_noise(x, 0.02, 15.0, seed=3)
    assert all(torch.equal(draw(*span), whole) for span, whole in zip(spans, expected, strict=True))


def test_the_path_runs_between_the_runs_own_levels():
    x = torch.zeros(1, 4, 8, 8)
    part = LEVELS[5:12]
    draw = noise_sampler_of("dpmpp_2m_sde", x, part.tolist(), 3)
    assert torch.equal(draw(float(part[1]), float(part[2])), through_torchsde(x, part, 3, part[1], part[2]))


def test_only_names_ending_in_gpu_draw_their_noise_where_the_run_is(monkeypatch):
    places = []
    monkeypatch.setattr("engine.denoising.run.brownian_noise", lambda *_, device: places.append(str(device)))
    x = torch.zeros(1, 4, 8, 8, device="meta")
    for name in ("dpmpp_sde", "dpmpp_2m_sde_heun_gpu"):
        noise_sampler_of(name, x, LEVELS.tolist(), 3)
    assert places == ["cpu", "meta"]
