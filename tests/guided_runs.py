"""Runs of a network that is small enough to write the same run down again, for what steers predictions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from engine.datatypes.parameterization import LatentFormat, Parameterization
from engine.denoising.records import LiveModel, Start
from engine.denoising.run import sample
from engine.models.handles import ModelHandle, Source
from engine.sampling.noise_schedule import NoiseSchedule

EPS = Parameterization()
FLOW = Parameterization(prediction="flow", schedule="flow", shift=3.0)
FORMAT = LatentFormat(channels=4, scale=1.0)
LEVELS = {"flow": [1.0, 0.8, 0.55, 0.3, 0.1, 0.0], "scaled_linear": [14.0, 6.0, 3.0, 1.2, 0.4, 0.0]}
SHAPE = (2, 4, 6, 5)


def network(x: Tensor, t: Tensor, context: Tensor, **_: Any) -> Tensor:
    """Something smooth in x that depends on time and text in every channel and place."""
    said = context.mean(dim=1)
    mixed = torch.roll(x, 1, dims=-1) - 0.4 * torch.roll(x, 1, dims=1)
    weight = said[:, :4].reshape(-1, 4, *[1] * (x.dim() - 2))
    bias = said[:, 4:8].reshape(-1, 4, *[1] * (x.dim() - 2))
    return torch.tanh(mixed * weight + bias + t.reshape(-1, *[1] * (x.dim() - 1)) / 1500.0) + 0.3 * x


def text(seed: int) -> list[Any]:
    return [[torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(seed)), {}]]


def handle(process: Parameterization = EPS, latent: LatentFormat = FORMAT) -> ModelHandle:
    return ModelHandle(source=Source("tiny.safetensors", "0"), family="sd1", parameterization=process, latent=latent)


def live(model: ModelHandle, **more: Any) -> LiveModel:
    schedule = NoiseSchedule.of(model.parameterization)
    return LiveModel(network, schedule, model.latent, handle=model, **more)  # type: ignore[arg-type]


def sigmas_of(model: ModelHandle) -> Tensor:
    return torch.tensor(LEVELS[model.parameterization.schedule])


def noise(shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def made(
    model: ModelHandle, guidance: Any, sampler: str = "euler", shape: tuple[int, ...] = SHAPE, **more: Any
) -> Tensor:
    """What our sampler makes of noise."""
    start = Start(torch.zeros(shape), noise(shape))
    return sample(live(model, **more), start, guidance, sigmas_of(model), sampler).samples


def outputs(model: ModelHandle, x: Tensor, sigma: float, *texts: list[Any]) -> list[Tensor]:
    """What the network says at x for each text: the noise, or the velocity."""
    schedule = NoiseSchedule.of(model.parameterization)
    scale = 1.0 if schedule.is_flow else (1.0 + sigma**2) ** -0.5
    t = torch.full((len(x),), schedule.timestep(sigma))
    return [network(x * scale, t, one[0][0].expand(len(x), -1, -1)) for one in texts]


def by_hand(
    model: ModelHandle,
    guided: Callable[[Tensor, float, list[Tensor]], Tensor],
    *texts: list[Any],
    shape: tuple[int, ...] = SHAPE,
) -> Tensor:
    """Euler's method written down again; `guided` makes one output of the network's for each text, at x and a level."""
    levels = sigmas_of(model).tolist()
    flow = model.parameterization.schedule == "flow"
    first = levels[0]
    x = noise(shape) * (first if flow else (1.0 + first**2) ** 0.5 if first > 14.6 else first)
    for sigma, following in pairwise(levels):
        x = x + guided(x, sigma, outputs(model, x, sigma, *texts)) * (following - sigma)
    return x
