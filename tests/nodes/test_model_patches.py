"""What a model is told to do otherwise during a run: masks that say when a place is painted, and attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.datatypes.parameterization import Parameterization
from engine.sampling.inpaint import falling_threshold
from engine.sampling.noise_schedule import NoiseSchedule
from nodes.conditioning import text_encode
from nodes.loaders import checkpoint_loader
from nodes.model_patches import differential_diffusion, model_attention_backend
from nodes.sampling import ksampler

FLOW = NoiseSchedule(Parameterization(prediction="flow", schedule="flow", timesteps=1000))


@pytest.fixture
def model(bench):
    return checkpoint_loader(bench, "tiny.safetensors").MODEL


@pytest.fixture
def run(bench):
    clip = checkpoint_loader(bench, "tiny.safetensors").CLIP
    texts = {name: text_encode(bench, text, clip) for name, text in {"positive": "red apple", "negative": ""}.items()}
    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))

    def run(model: Any, mask: torch.Tensor | None = None, **options: Any) -> torch.Tensor:
        latent = {"samples": start} if mask is None else {"samples": start, "noise_mask": mask}
        told = {"seed": 1, "steps": 4, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal"} | options
        found: torch.Tensor = ksampler(bench, model, latent_image=latent, **texts, **told)["samples"]
        return found

    run.start = start
    return run


def test_a_place_is_painted_from_the_share_of_timesteps_that_its_mask_says():
    mask = torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0])
    mask_at = falling_threshold(FLOW, 0.8, 0.2, 1.0)
    painted = {sigma: mask_at(sigma, mask).tolist() for sigma in (0.8, 0.5001, 0.4999, 0.2)}
    assert painted == {
        0.8: [0, 0, 0, 0, 1],
        0.5001: [0, 0, 0, 1, 1],
        0.4999: [0, 0, 1, 1, 1],
        0.2: [1, 1, 1, 1, 1],
    }


def test_strength_mixes_with_the_mask_as_it_is():
    mask = torch.tensor([0.2, 0.6])
    assert falling_threshold(FLOW, 1.0, 0.0, 0.25)(0.5, mask).tolist() == pytest.approx([0.15, 0.7])
    assert falling_threshold(FLOW, 1.0, 0.0, 0.0)(0.5, mask).tolist() == pytest.approx([0.2, 0.6])


def test_a_run_to_zero_ends_at_the_lowest_level_and_a_run_of_one_level_paints_all():
    mask = torch.tensor([0.001, 0.5])
    assert falling_threshold(FLOW, 1.0, 0.0, 1.0)(FLOW.sigma_min, mask).tolist() == [1, 1]
    assert falling_threshold(FLOW, 0.5, 0.5, 1.0)(0.5, mask).tolist() == [1, 1]


def test_white_is_painted_as_without_and_black_is_kept(run, model):
    changed, white = differential_diffusion(model), torch.ones(1, 8, 8)
    assert torch.equal(run(changed, white), run(model, white))
    half = white.clone()
    half[:, :, :4] = 0.0
    assert torch.equal(run(changed, half)[..., :4], run.start[..., :4])


def test_a_grey_mask_changes_the_run_unless_the_strength_is_zero(run, model):
    grey = torch.linspace(0, 1, 8).expand(1, 8, 8)
    plain = run(model, grey)
    assert torch.equal(run(differential_diffusion(model, 0.0), grey), plain)
    painted = run(differential_diffusion(model), grey)
    assert not torch.allclose(painted, plain, atol=1e-3)
    assert torch.equal(painted[..., 0], run.start[..., 0])  # black is kept


def test_without_a_mask_there_is_nothing_to_paint_late(run, model):
    assert torch.equal(run(differential_diffusion(model)), run(model))


@pytest.mark.parametrize("attention", ["pytorch attention", "comfy kitchen attention"])
def test_attention_is_pytorchs_whatever_is_asked_for(model, attention):
    assert model_attention_backend(model, attention) == model
