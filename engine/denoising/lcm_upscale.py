"""Latent consistency sampling that makes the latent larger on the way: every step is a run of its own, on its own sides."""

from __future__ import annotations

import msgspec
import torch

from engine.denoising.records import Run, Sampled, Start
from engine.denoising.run import sample
from engine.media.resizing import LatentMethod, resize
from engine.sampling.noise_schedule import add_noise, from_network_space, to_network_space
from engine.sampling.samplers.steps import Callback, StepInfo

_SEEDS = 2**64


class LcmUpscale(msgspec.Struct, frozen=True):
    """A sampler: jump to the prediction, resize it, add noise for the next level.

    `ratio`: how much larger the sides are in the end, reached evenly over `steps` steps, -1 for half of the run's.
    """

    ratio: float = 1.0
    steps: int = -1
    method: LatentMethod = "bislerp"

    def identity(self) -> str:
        """Return a string equal for samplers that do the same."""
        return f"lcm-upscale:{self.ratio!r},{self.steps},{self.method}"

    def ratios(self, total: int) -> list[float]:
        """Return how much larger the sides are after each of `total` steps than at the start."""
        growing = max((total + 1) // 2, 1) if self.steps < 0 else min(self.steps, total + 1)
        return [1.0 + (self.ratio - 1.0) * min((step + 1) / growing, 1.0) if growing else 1.0 for step in range(total)]

    def in_stages(self, run: Run) -> Sampled:
        """Return the end of a run, whose latents (B, C, …) have other sides than those that it started with."""
        start, total = run.start, len(run.sigmas) - 1
        if total < 1:
            return Sampled(start.latent, start.latent)
        generator = torch.Generator().manual_seed(start.seed % _SEEDS)
        height, width = start.latent.shape[-2:]
        latent, noise = start.latent, start.noise
        end = run.sigmas.new_zeros(1)
        for step, ratio in enumerate(self.ratios(total)):
            levels = torch.cat([run.sigmas[step : step + 1], end])
            here = Start(latent, noise, start.noise_mask, start.seed)
            latent = sample(run.model, here, run.guidance, levels, "euler", _numbered(run, step, total)).samples
            down, across = (max(1, round(side * ratio)) for side in (height, width))
            if (down, across) != tuple(latent.shape[-2:]):
                latent = resize(latent, across, down, self.method)
            noise = torch.randn(latent.shape, generator=generator)
        last = float(run.sigmas[-1])
        if last <= 0.0:
            return Sampled(latent, latent)
        schedule, space = run.model.schedule, run.model.latent_format
        noisy = add_noise(schedule, to_network_space(latent, space), noise.to(latent), last)
        share = schedule.alpha(last)
        return Sampled(from_network_space(noisy / share if share > 0.0 else noisy, space), latent)


def _numbered(run: Run, step: int, total: int) -> Callback:
    """The callback of a run, told of a step of the whole of it."""

    def tell(info: StepInfo) -> None:
        if run.callback is not None:
            run.callback(info._replace(step=step, total=total))

    return tell
