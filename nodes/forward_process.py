"""The forward process q(x_t | x_0), shown: a latent or a picture at any time between itself and pure noise."""

from __future__ import annotations

from typing import Annotated

import torch

from engine.api import Image, In, Latent, Model, Seed, node
from engine.models.latent_spaces import changed
from engine.sampling.noise import initial_noise
from engine.sampling.noise_schedule import NoiseSchedule, forward_process, from_network_space, to_network_space

Time = Annotated[float, In(ge=0, le=1, step=0.01, tip="0: no noise; 1: the last timestep the model was trained on.")]


@node("ForwardProcess", category="advanced/noise", display_name="Forward Process")
def forward_process_latent(model: Model, samples: Latent, noise_seed: Seed = 0, t: Time = 0.5) -> Latent:
    """Add noise to a latent (B, C, h, w) as training does: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise.

    Under the model's own schedule and scale; one seed gives the same noise at every time. For a row of times, link a
    list of numbers (FloatRange) to `t`.
    """
    x0 = to_network_space(samples["samples"].float(), model.latent)
    noise = initial_noise(x0, noise_seed, samples.get("batch_index"))
    shown = _at_time(NoiseSchedule.of(model.parameterization), x0, noise, t)
    return changed(samples, from_network_space(shown, model.latent))


@node("ForwardProcessImage", category="advanced/noise", display_name="Forward Process (Image)")
def forward_process_image(model: Model, image: Image, noise_seed: Seed = 0, t: Time = 0.5) -> Image:
    """Add noise to a picture (B, H, W, C) itself, at the same noise level; alpha is left out.

    The process runs over -1..1, and the result is clamped to 0..1 to be shown.
    """
    x0 = image[..., :3].movedim(-1, 1) * 2.0 - 1.0
    shown = _at_time(NoiseSchedule.of(model.parameterization), x0, initial_noise(x0, noise_seed), t)
    return (shown.movedim(1, -1) * 0.5 + 0.5).clamp(0.0, 1.0)


def _at_time(schedule: NoiseSchedule, x0: torch.Tensor, noise: torch.Tensor, time: float) -> torch.Tensor:
    """Return x_t at `time` 0..1 of the trained timesteps; 0 is x_0 itself, before the first of them."""
    return forward_process(schedule, x0, noise, time * (schedule.timesteps - 1)) if time > 0 else x0
