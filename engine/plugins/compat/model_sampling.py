"""`comfy.model_sampling`: noise levels of a denoiser."""

from __future__ import annotations

import math
from typing import Any

from engine.datatypes.parameterization import Parameterization
from engine.plugins.compat.absent import absent_class
from engine.sampling.noise_schedule import NoiseSchedule

_NEEDS = "noise schedules that packs may define by mixing classes"

EPS = absent_class("comfy.model_sampling.EPS", _NEEDS)
V_PREDICTION = absent_class("comfy.model_sampling.V_PREDICTION", _NEEDS)
X0 = absent_class("comfy.model_sampling.X0", _NEEDS)
CONST = absent_class("comfy.model_sampling.CONST", _NEEDS)
ModelSamplingDiscrete = absent_class("comfy.model_sampling.ModelSamplingDiscrete", _NEEDS)
ModelSamplingDiscreteFlow = absent_class("comfy.model_sampling.ModelSamplingDiscreteFlow", _NEEDS)
ModelSamplingFlux = absent_class("comfy.model_sampling.ModelSamplingFlux", _NEEDS)
ModelSamplingContinuousEDM = absent_class("comfy.model_sampling.ModelSamplingContinuousEDM", _NEEDS)


def time_snr_shift(alpha: float, t: Any) -> Any:
    """Shift a flow's time towards noise (Esser et al. 2024)."""
    return t if alpha == 1.0 else alpha * t / (1 + (alpha - 1) * t)


def flux_time_shift(mu: float, sigma: float, t: Any) -> Any:
    """Shift a flow's time towards noise, in Flux's form."""
    return math.exp(mu) / (math.exp(mu) + (1 / t - 1) ** sigma)


class ModelSampling:
    """The noise levels of one denoiser."""

    def __init__(self, parameterization: Parameterization) -> None:
        self.parameterization = parameterization
        self._schedule = NoiseSchedule.of(parameterization)
        self.sigmas = self._schedule.sigmas
        self.num_timesteps = parameterization.timesteps
        self.shift = parameterization.shift

    @property
    def sigma_min(self) -> Any:
        """The lowest."""
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Any:
        """The highest."""
        return self.sigmas[-1]

    def timestep(self, sigma: Any) -> Any:
        """The timestep of a noise level."""
        import torch

        return torch.tensor(
            [self._schedule.timestep(float(one)) for one in torch.as_tensor(sigma).reshape(-1)]
        ).reshape(torch.as_tensor(sigma).shape)

    def sigma(self, timestep: Any) -> Any:
        """The noise level of a timestep."""
        import torch

        return torch.tensor(
            [self._schedule.sigma(float(one)) for one in torch.as_tensor(timestep).reshape(-1)]
        ).reshape(torch.as_tensor(timestep).shape)

    def percent_to_sigma(self, percent: float) -> float:
        """The noise level after that share of the sampling."""
        return float(self._schedule.percent_to_sigma(percent))
