from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from engine.sampling.noise import BrownianPath, ancestral_noise, brownian_noise, initial_noise


def test_initial_noise_is_the_stream_of_its_seed_on_the_cpu():
    latent = torch.zeros(2, 4, 8, 8)
    torch.manual_seed(42)
    assert torch.equal(initial_noise(latent, 42), torch.randn(2, 4, 8, 8))


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


def test_a_batch_index_of_another_length_is_refused():
    with pytest.raises(ValueError, match="one number for each of 2 latents, got 1"):
        initial_noise(torch.zeros(2, 4, 8, 8), 7, [0])


def test_the_largest_seed_works():
    x = torch.zeros(1, 4, 2, 2)
    assert torch.isfinite(initial_noise(x, 2**64 - 1)).all()
    assert torch.isfinite(ancestral_noise(x, 2**64 - 1)(2.0, 1.0)).all()


def test_ancestral_noise_does_not_repeat_the_initial_noise():
    x = torch.zeros(1, 4, 8, 8)
    draw = ancestral_noise(x, 7)
    first, second = draw(2.0, 1.0), draw(1.0, 0.5)
    torch.manual_seed(8)
    assert torch.equal(first, torch.randn(1, 4, 8, 8))
    assert not torch.equal(first, second)
    assert not torch.equal(first, initial_noise(x, 7))


def test_brownian_increments_add_up():
    path = BrownianPath((5,), 0.02, 15.0, (1, 0))
    whole = path.increment(0.1, 9.0)
    parts = path.increment(0.1, 0.5) + path.increment(0.5, 3.3) + path.increment(3.3, 9.0)
    assert torch.allclose(whole, parts, atol=1e-12)


def test_a_brownian_path_does_not_depend_on_the_order_of_questions():
    spans = [(0.02, 0.5), (3.0, 14.9), (0.7, 0.71), (0.5, 3.0), (0.02, 15.0)]
    forwards, backwards = BrownianPath((5,), 0.02, 15.0, (1, 0)), BrownianPath((5,), 0.02, 15.0, (1, 0))
    first = {span: forwards.increment(*span) for span in spans}
    second = {span: backwards.increment(*span) for span in reversed(spans)}
    assert all(torch.equal(first[span], second[span]) for span in spans)


def test_brownian_increments_are_independent_with_the_variance_of_their_length():
    path = BrownianPath((40_000,), 0.02, 15.0, (1, 0))
    times = [0.02, 0.021, 0.05, 0.3, 0.301, 2.0, 7.0, 15.0]
    increments = torch.stack([path.increment(low, high) for low, high in pairwise(times)])
    lengths = torch.tensor([high - low for low, high in pairwise(times)], dtype=torch.float64)
    scaled = increments / lengths.sqrt()[:, None]
    assert torch.allclose(torch.cov(scaled), torch.eye(len(lengths), dtype=torch.float64), atol=0.03)
    assert scaled.mean(dim=1).abs().max() < 0.02


def test_brownian_noise_has_unit_variance_and_is_its_own_for_each_picture_and_seed():
    x = torch.zeros(2, 4, 32, 32)
    noise = brownian_noise(x, 0.02, 15.0, seed=3)(8.0, 6.0)
    assert noise.std().item() == pytest.approx(1.0, abs=0.03)
    assert abs((noise[0] * noise[1]).mean().item()) < 0.05
    assert torch.equal(brownian_noise(x[:1], 0.02, 15.0, seed=3, batch_index=[1])(8.0, 6.0), noise[1:])
    assert not torch.allclose(brownian_noise(x, 0.02, 15.0, seed=4)(8.0, 6.0), noise, atol=0.1)


def test_a_step_in_two_halves_has_the_noise_of_the_whole():
    x = torch.zeros(1, 4, 8, 8)
    draw = brownian_noise(x, 0.02, 15.0, seed=3)
    whole = draw(8.0, 6.0) * 2.0**0.5
    assert torch.allclose(draw(8.0, 7.5) * 0.5**0.5 + draw(7.5, 6.0) * 1.5**0.5, whole, atol=1e-5)


def test_an_empty_interval_is_refused():
    with pytest.raises(ValueError, match="0 < start < end"):
        BrownianPath((1,), 1.0, 1.0, (0, 0))
