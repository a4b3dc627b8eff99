"""FLUX.2: whole runs by our nodes and by diffusers' pipelines on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.manager import ModelManager
from engine.paths import Paths
from engine.sampling.noise import initial_noise
from nodes.conditioning_edit import flux_guidance, reference_latent
from nodes.loaders import denoiser_loader
from nodes.sampling import ksampler
from tests.conftest import Bench
from tests.families import Tiny
from tests.tiny_flux2 import write

SEED, STEPS = 11, 4


@pytest.fixture(scope="module")
def dev(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_flux2"), guidance=True)


@pytest.fixture(scope="module")
def klein(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_klein"), guidance=False)


def bench_of(tiny: Tiny) -> Bench:
    return Bench(ModelManager("cpu"), Paths(tiny.base))


def words(seed: int = 1) -> torch.Tensor:
    return torch.randn(1, 9, 48, generator=torch.Generator().manual_seed(seed))


def levels(model: Any) -> list[float]:
    from engine.sampling.noise_schedule import NoiseSchedule
    from engine.sampling.schedules import compute_sigmas

    return compute_sigmas(NoiseSchedule.of(model.parameterization), "simple", STEPS).tolist()[:-1]


def ours(bench: Bench, model: Any, positive: Any, negative: Any, cfg: float = 1.0) -> torch.Tensor:
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    empty = {"samples": torch.zeros(1, 128, 4, 6)}
    return ksampler(bench, model, **settings, positive=positive, negative=negative, latent_image=empty)["samples"]


def pipeline(tiny: Tiny, kind: str) -> Any:
    from diffusers.pipelines.flux2.pipeline_flux2 import Flux2Pipeline
    from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    parts = dict.fromkeys(("vae", "text_encoder", "tokenizer")) | tiny.modules
    made = {"dev": Flux2Pipeline, "klein": Flux2KleinPipeline}[kind](scheduler=FlowMatchEulerDiscreteScheduler(), **parts)
    made.set_progress_bar_config(disable=True)
    return made


def theirs(tiny: Tiny, kind: str, sigmas: list[float], **told: Any) -> torch.Tensor:
    noise = initial_noise(torch.zeros(1, 128, 4, 6), SEED)
    given = {"sigmas": sigmas, "num_inference_steps": STEPS, "latents": noise, "height": 64, "width": 96}
    tokens = pipeline(tiny, kind)(**given, output_type="latent", **told).images
    return tokens.mT.reshape(1, 128, 4, 6) if tokens.ndim == 3 else tokens


def test_dev_is_told_its_guidance(dev):
    bench = bench_of(dev)
    model = denoiser_loader(bench, "flux2.safetensors")
    assert model.family == "flux2"
    told = flux_guidance([[words(), {}]], 2.5)
    got = ours(bench, model, told, told)
    expected = theirs(dev, "dev", levels(model), prompt_embeds=words(), guidance_scale=2.5)
    assert float((got - expected).abs().max()) <= 1e-4


def test_klein_has_two_branches(klein):
    bench = bench_of(klein)
    model = denoiser_loader(bench, "flux2.safetensors")
    got = ours(bench, model, [[words(), {}]], [[words(2), {}]], cfg=3.0)
    told = {"prompt_embeds": words(), "negative_prompt_embeds": words(2), "guidance_scale": 3.0}
    expected = theirs(klein, "klein", levels(model), **told)
    assert float((got - expected).abs().max()) <= 1e-4
