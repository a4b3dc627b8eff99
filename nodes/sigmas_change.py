"""Schedules with more levels between, and single levels of a model."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, NamedTuple

import torch

from engine.api import In, Model, Out, Sigmas, node
from engine.sampling.noise_schedule import NoiseSchedule


class SigmaValue(NamedTuple):
    """A noise level as a number."""

    sigma_value: Annotated[float, Out(name="sigma_value")]


@node("ExtendIntermediateSigmas", category="sampling/custom_sampling/sigmas", display_name=None)
def extend_intermediate_sigmas(
    sigmas: Sigmas,
    steps: Annotated[int, In(ge=1, le=100, tip="How many steps each step becomes.")] = 2,
    start_at_sigma: Annotated[
        float,
        In(ge=-1, le=20_000, step=0.01, round=False, tip="Steps from higher levels stay as they are; -1: none do."),
    ] = -1.0,
    end_at_sigma: Annotated[
        float, In(ge=0, le=20_000, step=0.01, round=False, tip="Steps from lower levels stay as they are.")
    ] = 12.0,
    spacing: Annotated[
        str,
        In(choices=("linear", "cosine", "sine"), tip="Cosine begins with large steps, sine with small ones."),
    ] = "linear",
) -> Sigmas:
    """Part steps whose first level is within `start_at_sigma`..`end_at_sigma` into `steps` each.

    "linear" parts them evenly; "cosine" by sin(p π / 2) and "sine" by 1 - cos(p π / 2) of the way p (which is which is inferred).
    """
    highest = math.inf if start_at_sigma < 0.0 else start_at_sigma
    shares = torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64)[1:-1]
    if spacing == "cosine":
        shares = torch.sin(shares * math.pi / 2.0)
    elif spacing == "sine":
        shares = 1.0 - torch.cos(shares * math.pi / 2.0)
    levels = sigmas.double()
    parts = []
    for current, following in pairwise(levels):
        parts.append(current[None])
        if end_at_sigma <= float(current) <= highest:
            parts.append(current + shares * (following - current))
    return torch.cat([*parts, levels[-1:]]).to(sigmas)


@node("SamplingPercentToSigma", category="sampling/custom_sampling/sigmas", display_name=None)
def sampling_percent_to_sigma(
    model: Model,
    sampling_percent: Annotated[
        float, In(ge=0, le=1, step=0.0001, tip="Share of the model's noise levels that are behind.")
    ] = 0.0,
    return_actual_sigma: Annotated[
        bool,
        In(
            tip="At 0 and 1 give the model's largest and least level, not what is used to tell whether a step is inside."
        ),
    ] = False,
) -> SigmaValue:
    """The noise level when a share of the sampling is done.

    At 0 it is above every level of the model (of a flow it is 1), and at 1 it is 0, so that a range from or to there holds all.
    """
    schedule = NoiseSchedule.of(model.parameterization)
    if return_actual_sigma and sampling_percent in (0.0, 1.0):
        return SigmaValue(schedule.sigma_min if sampling_percent else schedule.sigma_max)
    return SigmaValue(schedule.percent_to_sigma(sampling_percent))
