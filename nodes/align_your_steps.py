"""Schedules that were searched for, as tables."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch

from engine.api import In, Sigmas, node
from engine.datatypes.parameterization import Parameterization
from engine.sampling.noise_schedule import NoiseSchedule

_TIMESTEPS = {
    "SD1": (999, 850, 736, 645, 545, 455, 343, 233, 124, 24, 0),
    "SDXL": (999, 845, 730, 587, 443, 310, 193, 116, 53, 13, 0),
}
"""Of Sabour et al. 2024, in 10 steps, of networks with Stable Diffusion's noise; the last is the least that they know."""

_LEVELS = {"SVD": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002)}


@node("AlignYourStepsScheduler", category="sampling/custom_sampling/schedulers", display_name=None)
def align_your_steps_scheduler(
    model_type: Annotated[str, In(choices=("SD1", "SDXL", "SVD"), tip="What the model is built on.")] = "SD1",
    steps: Annotated[int, In(ge=1, le=10_000, tip="How many denoising steps to take.")] = 10,
    denoise: Annotated[float, In(ge=0, le=1, step=0.01, tip="Share of the schedule to run, from its end.")] = 1.0,
) -> Sigmas:
    """The schedules that Sabour et al. 2024 ("Align Your Steps") found for few steps.

    They are of 10 steps; for another number their levels are interpolated, linearly in the logarithm. With `denoise` below 1
    only the last round(`steps` × `denoise`) steps are taken; 0 gives no levels.
    """
    if denoise <= 0.0:
        return torch.zeros(0)
    table = _LEVELS.get(model_type) or _of_timesteps(_TIMESTEPS[model_type])
    at = np.linspace(0.0, 1.0, steps + 1)
    sigmas = np.exp(np.interp(at, np.linspace(0.0, 1.0, len(table)), np.log(table)))
    sigmas[-1] = 0.0
    return torch.tensor(sigmas[-(round(steps * denoise) + 1) :], dtype=torch.float32)


def _of_timesteps(timesteps: tuple[int, ...]) -> tuple[float, ...]:
    schedule = NoiseSchedule(Parameterization())
    return tuple(schedule.sigma(timestep) for timestep in timesteps)
