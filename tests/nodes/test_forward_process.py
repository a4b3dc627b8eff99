"""The forward process at any time, in latents and in pixels."""

from __future__ import annotations

import pytest
import torch

from engine.sampling.noise import initial_noise
from nodes.forward_process import forward_process_image, forward_process_latent
from nodes.loaders import checkpoint_loader


@pytest.fixture
def model(bench):
    return checkpoint_loader(bench, "tiny.safetensors").MODEL


def correlation(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


def test_time_zero_is_the_latent_itself_and_time_one_is_nearly_pure_noise(model):
    x0 = torch.randn(2, 4, 8, 8)
    start, end = (forward_process_latent(model, {"samples": x0}, 9, t)["samples"] for t in (0.0, 1.0))
    assert torch.allclose(start, x0, atol=1e-5)
    assert correlation(end, initial_noise(x0, 9)) > 0.99


def test_a_time_in_between_is_the_closed_form_of_the_paper(model):
    x0 = torch.randn(1, 4, 8, 8)
    shown = forward_process_latent(model, {"samples": x0}, 9, 333 / 999)["samples"]
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    abar = (1 - betas).cumprod(0)[333]
    expected = abar.sqrt() * x0 * model.latent.scale + (1 - abar).sqrt() * initial_noise(x0, 9)
    assert torch.allclose(shown * model.latent.scale, expected.float(), atol=1e-5)


def test_noise_grows_with_time(model):
    x0 = {"samples": torch.full((1, 4, 16, 16), 3.0)}
    spreads = [float(forward_process_latent(model, x0, 1, t)["samples"].std()) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert spreads == sorted(spreads)


def test_the_latents_other_facts_stay_and_choose_its_noise(model):
    x0 = {"samples": torch.zeros(2, 4, 8, 8), "batch_index": [0, 3]}
    shown = forward_process_latent(model, x0, 1, 0.5)
    assert shown["batch_index"] == [0, 3]
    alone = forward_process_latent(model, {"samples": x0["samples"][:1], "batch_index": [3]}, 1, 0.5)
    assert torch.allclose(shown["samples"][1:], alone["samples"])


def test_pictures_stay_pictures(model):
    picture = torch.rand(1, 16, 24, 4)
    start, end = (forward_process_image(model, picture, 1, t) for t in (0.0, 1.0))
    assert end.shape == (1, 16, 24, 3)
    assert torch.allclose(start, picture[..., :3], atol=1e-6)
    assert 0.0 <= float(end.min()) <= float(end.max()) <= 1.0
    assert abs(correlation(end, picture[..., :3])) < 0.2
