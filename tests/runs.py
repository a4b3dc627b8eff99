"""Whole runs of tiny models by our nodes, for comparison with a library's pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import torch

from engine.models.manager import ModelManager
from engine.paths import Paths
from engine.sampling.noise import initial_noise
from tests.conftest import Bench
from tests.families import Tiny

SEED, STEPS = 11, 4


def bench_of(tiny: Tiny) -> Bench:
    return Bench(ModelManager("cpu", tokenizer_dirs=[tiny.base / "models" / "text_encoders"]), Paths(tiny.base))


def text(length: int, width: int, seed: int) -> torch.Tensor:
    """A conditioning as an encoder might give it, (1, length, width)."""
    return torch.randn(1, length, width, generator=torch.Generator().manual_seed(seed))


def levels(model: Any) -> list[float]:
    """Our own levels, without the last: how schedules are made is tested elsewhere."""
    from engine.sampling.noise_schedule import NoiseSchedule
    from engine.sampling.schedules import compute_sigmas

    return compute_sigmas(NoiseSchedule.of(model.parameterization), "simple", STEPS).tolist()[:-1]


def noise(height: int, width: int, channels: int = 16) -> torch.Tensor:
    """What a run of so many pixels starts from."""
    return initial_noise(torch.zeros(1, channels, height // 8, width // 8), SEED)


def picture(
    bench: Bench, model: Any, vae: Any, positive: Any, negative: Any, cfg: float, height: int, width: int
) -> torch.Tensor:
    """The picture (1, H, W, 3) of KSampler and VAEDecode, of two conditionings."""
    from nodes.sampling import ksampler
    from nodes.vae import vae_decode

    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    f = model.latent.downscale
    empty = {"samples": torch.zeros(1, model.latent.channels, height // f, width // f)}
    latent = ksampler(bench, model, **settings, positive=positive, negative=negative, latent_image=empty)
    return vae_decode(bench, latent, vae)


def library(pipeline: type, tiny: Tiny, **parts: Any) -> Any:
    """A pipeline of the library on a tiny model's modules, silent, with levels that are left as they are."""
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    made = pipeline(scheduler=FlowMatchEulerDiscreteScheduler(), **(tiny.modules | tiny.tokenizers | parts))
    made.set_progress_bar_config(disable=True)
    return made
