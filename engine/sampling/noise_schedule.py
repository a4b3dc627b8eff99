"""The noise process as numbers: which noise level belongs to which timestep, and how data and noise mix there.

Samplers work on x = alpha(sigma) * x_0 + sigma * noise. For eps, v and x0 models that is the variance-exploding form of
their process (x_t / sqrt(abar_t), so alpha = 1 and sigma = sqrt((1 - abar_t) / abar_t); Karras et al. 2022, appendix C);
for flow models alpha = 1 - sigma. In both the probability-flow ODE is dx/dsigma = (x - x_0) / sigma.

Levels, and what is compared with them, are worked out in float32 in the field's order of operations. Ranges of timesteps
are closed at both ends and schedules fall between two timesteps, so one bit decides whether a step is inside.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from engine.datatypes.parameterization import LatentFormat, Parameterization

# A level no schedule reaches: "from the very start", whatever the model's own largest sigma.
ABOVE_ALL_SIGMAS = 999999999.9
# What latent consistency models are distilled to (Luo et al. 2023).
_DISTILLED_LEVELS = 50
# Stands for zero where a logarithm is taken.
_NO_LEVEL = 1e-12
# How far the signal of a cosine schedule falls and rises, Stable Cascade's bounds.
_LEAST_SIGNAL, _MOST_SIGNAL = 0.0001, 0.9999
# Nichol & Dhariwal 2021, eq. 17: the offset keeps the first steps from being too small to see.
_COSINE_OFFSET = 0.008
# What is left of abar at the last step after rescaling to zero terminal SNR, so that sigma stays finite.
_ZERO_SNR_ABAR = 4.8973451890853435e-08


class _Told(NamedTuple):
    """What a network is told of a noise level, and the level that it is told so."""

    time: Callable[[float], float]
    level: Callable[[float], float]


_CONTINUOUS: dict[str, _Told] = {
    "log_time": _Told(lambda sigma: 0.25 * math.log(sigma), lambda time: math.exp(4.0 * time)),
    "tangent_time": _Told(lambda sigma: 2.0 / math.pi * math.atan(sigma), lambda time: math.tan(time * math.pi / 2.0)),
    "share_time": _Told(lambda sigma: sigma / (sigma + 1.0), lambda time: time / (1.0 - time)),
}
"""Schedules of networks that know every level of a range."""


@dataclass(frozen=True)
class NoiseSchedule:
    """The noise levels of one parameterization. Scalars are Python floats: asking costs no device synchronisation."""

    parameterization: Parameterization

    @classmethod
    def of(cls, source: NoiseSchedule | Parameterization) -> NoiseSchedule:
        """Return the schedule of a parameterization; a schedule is returned as it is."""
        return source if isinstance(source, NoiseSchedule) else cls(source)

    @property
    def is_flow(self) -> bool:
        """Whether x = (1 - sigma) x_0 + sigma noise."""
        return self.parameterization.schedule == "flow"

    @property
    def _in_time(self) -> bool:
        """Whether the network is told a time 0..1 of a cosine, not a timestep."""
        return self.parameterization.schedule == "cosine_time"

    @property
    def _told(self) -> _Told | None:
        """How the network is told of a level, where it knows a range of them and no table."""
        return _CONTINUOUS.get(self.parameterization.schedule)

    @property
    def timesteps(self) -> int:
        """The number T of timesteps that the network was trained on."""
        return self.parameterization.timesteps

    @property
    def stride(self) -> int:
        """How many timesteps lie between two levels: 1, or 20 of 1000 for a model distilled to 50 of them."""
        return self.timesteps // _DISTILLED_LEVELS if self.parameterization.prediction == "lcm" else 1

    @cached_property
    def sigmas(self) -> Tensor:
        """The noise levels (T / stride,), float32, ascending."""
        return self._exact.to(torch.float32)

    @cached_property
    def _exact(self) -> Tensor:
        levels = _levels(self.parameterization)
        # What a distilled model knows is the last of every `stride` timesteps, kept in float32.
        return levels if self.stride == 1 else levels[self.stride - 1 :: self.stride].to(torch.float32)

    @cached_property
    def log_sigmas(self) -> Tensor:
        """Their logarithms, float32: those of the levels before they were rounded."""
        return self._exact.log().to(torch.float32)

    @property
    def sigma_min(self) -> float:
        """The smallest noise level."""
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        """The largest noise level."""
        return float(self.sigmas[-1])

    def sigma(self, timestep: float) -> float:
        """Return the noise level at `timestep` (0..T - 1, or 0..T for flow); between two of the table log sigma is linear.

        For a cosine in time it is at the time `timestep`, 0..1, and for a range of levels that of which the network is told it.
        """
        if self._told is not None:
            return self._told.level(timestep)
        time = torch.tensor(timestep, dtype=torch.float32)
        if self._in_time:
            return float(_cosine_level(time, self.parameterization.shift))
        if self.is_flow:
            return float(_shifted(time / self.timesteps, self.parameterization.shift))
        position = ((time - (self.stride - 1)) / self.stride).clamp(0, len(self.log_sigmas) - 1)
        low, high, weight = (
            self.log_sigmas[int(position.floor())],
            self.log_sigmas[int(position.ceil())],
            position.frac(),
        )
        return float(((1 - weight) * low + weight * high).exp())

    def timestep(self, sigma: float, *, interpolate: bool = False) -> float:
        """Return the timestep that the network is told at noise level `sigma`.

        Discrete schedules answer with that of the level nearest in log sigma, the lower one of two that are as near, or
        with a fraction between two when `interpolate`. Flow: sigma * T. A cosine in time: the time of the level without shift.
        A range of levels: what its kind says.
        """
        if self._told is not None:
            return self._told.time(max(sigma, _NO_LEVEL))
        if self._in_time:
            return _cosine_time(sigma)
        if self.is_flow:
            return sigma * self.timesteps
        log_sigma = torch.tensor(max(sigma, _NO_LEVEL), dtype=torch.float32).log()
        index = float((log_sigma - self.log_sigmas).abs().argmin())
        if interpolate:
            table = self.log_sigmas.tolist()
            high = min(max(bisect_left(table, float(log_sigma)), 1), len(table) - 1)
            fraction = (float(log_sigma) - table[high - 1]) / (table[high] - table[high - 1])
            index = high - 1 + min(max(fraction, 0.0), 1.0)
        return index * self.stride + self.stride - 1

    def alpha(self, sigma: float) -> float:
        """Return the share of x_0 in x at noise level `sigma`."""
        return 1.0 - sigma if self.is_flow else 1.0

    def half_log_snr(self, sigma: float) -> float:
        """Return log(alpha / sigma), the lambda of DPM-Solver."""
        return math.log(self.alpha(sigma) / sigma)

    def sigma_of_half_log_snr(self, half_log_snr: float) -> float:
        """Return the noise level with that log(alpha / sigma)."""
        ratio = math.exp(-half_log_snr)
        return ratio / (1.0 + ratio) if self.is_flow else ratio

    def level_between(self, sigma: float, sigma_next: float, share: float) -> float:
        """Return the level at `share` (0..1) of the way from one to the other in log(alpha / sigma), as float32 has it.

        Brownian noise is asked for between such levels, and the last bit of a time counts there.
        """
        start, end = self._log_ratio(sigma), self._log_ratio(sigma_next)
        between = start + share * (end - start)
        return float(between.neg().sigmoid() if self.is_flow else between.neg().exp())

    def _log_ratio(self, sigma: float) -> Tensor:
        level = torch.tensor(sigma, dtype=torch.float32)
        return level.logit().neg() if self.is_flow else level.log().neg()

    def percent_to_sigma(self, percent: float) -> float:
        """Return the noise level when `percent` (0..1) of the timesteps are behind; 0 is above every sigma, 1 is zero.

        It has the precision of the levels of a run, float32: a range from one step's level holds that step.
        """
        if percent <= 0.0:
            return 1.0 if self.is_flow else ABOVE_ALL_SIGMAS
        if percent >= 1.0:
            return 0.0
        if self.is_flow:
            return float(torch.tensor(_shifted(1.0 - percent, self.parameterization.shift), dtype=torch.float32))
        if self._told is not None:
            low, high = math.log(self.sigma_min), math.log(self.sigma_max)
            return float(torch.tensor(math.exp((high - low) * (1.0 - percent) + low), dtype=torch.float32))
        return self.sigma(1.0 - percent if self._in_time else (1.0 - percent) * (self.timesteps - 1))

    def is_maximal(self, sigma: float) -> bool:
        """Whether `sigma` is where sampling from pure noise starts."""
        return sigma > self.sigma_max or math.isclose(sigma, self.sigma_max, rel_tol=1e-5)

    def clear_of_infinity(self, sigmas: list[float]) -> list[float]:
        """Return `sigmas` with a flow's level of 1, where log SNR is infinite, moved a hair below it."""
        if not self.is_flow:
            return sigmas
        return [self.percent_to_sigma(1e-4) if sigma >= 1.0 else sigma for sigma in sigmas]


def add_noise(
    schedule: NoiseSchedule, latent: Tensor, noise: Tensor, sigma: float, *, from_pure_noise: bool = False
) -> Tensor:
    """Return x at noise level `sigma` in the samplers' space: alpha(sigma) * latent + sigma * noise.

    `latent`, `noise`: (B, C, h, w), the latent as the network sees it. With `from_pure_noise` a discrete schedule's
    noise gets the spread sqrt(1 + sigma^2) that training data have there, as if the latent were part of the noise.
    """
    if schedule.is_flow:
        return torch.lerp(latent, noise, sigma)
    whole = from_pure_noise and schedule.parameterization.prediction != "share"
    scale = math.sqrt(1.0 + sigma * sigma) if whole else sigma
    return torch.add(latent, noise, alpha=scale)


def forward_process(source: NoiseSchedule | Parameterization, x0: Tensor, noise: Tensor, timestep: float) -> Tensor:
    """Draw x_t of q(x_t | x_0) at `timestep` (0 = first trained level .. T - 1), the form that papers write.

    Discrete schedules: sqrt(abar_t) x0 + sqrt(1 - abar_t) noise (Ho et al. 2020, eq. 4); flow: (1 - sigma) x0 + sigma
    noise. `x0`, `noise`: any equal shape, such as a picture in -1..1 or a latent.
    """
    schedule = NoiseSchedule.of(source)
    sigma = schedule.sigma(timestep)
    if schedule.is_flow:
        return torch.lerp(x0, noise, sigma)
    of_share = schedule.parameterization.prediction == "share"
    return (x0 + sigma * noise) / (1.0 + sigma if of_share else math.sqrt(1.0 + sigma * sigma))


def add_noise_to_latent(
    source: NoiseSchedule | Parameterization, latent_format: LatentFormat, latent: Tensor, noise: Tensor, sigmas: Tensor
) -> Tensor:
    """Return the latent (B, C, h, w), in VAE space, with the noise of a run over `sigmas` added, in VAE space.

    The level is sigmas[0] - sigmas[-1], or sigmas[0] when there is one; empty sigmas change nothing. An all-zero latent
    stays zero under the format's shift.
    """
    if len(sigmas) == 0:
        return latent
    schedule = NoiseSchedule.of(source)
    sigma = float(sigmas[0] - sigmas[-1]) if len(sigmas) > 1 else float(sigmas[0])
    scaled = to_network_space(latent, latent_format)
    drawn = noise.to(scaled) * schedule.parameterization.noise_scale
    noisy = from_network_space(add_noise(schedule, scaled, drawn, sigma), latent_format)
    return torch.nan_to_num(noisy, nan=0.0, posinf=0.0, neginf=0.0)


def to_network_space(latent: Tensor, latent_format: LatentFormat) -> Tensor:
    """Return a latent as the network sees it; an empty (all-zero) one stays zero, since it stands for no picture at all."""
    return latent_format.to_network(latent) if torch.count_nonzero(latent) else latent


def from_network_space(latent: Tensor, latent_format: LatentFormat) -> Tensor:
    """Return the inverse of `to_network_space`."""
    return latent_format.from_network(latent)


_OF_EIGHT_PIXELS = (4, 16)
"""Channels of the empty latents whose pixels stand for 8 × 8 of the picture."""


def fit_empty_latent(latent: Tensor, latent_format: LatentFormat) -> Tensor:
    """Return an empty (all-zero) latent (B, C, h, w) with the channels of the model; any other latent as it is.

    An empty latent is made before its model is known, by convention with four channels, or sixteen, for every 8 × 8 pixels of
    the picture: it gets the size that the picture has in the model's latents. Draw noise for what this returns. Of a model
    whose latents have frames, a latent without them is one frame: (B, C, 1, h, w); of one whose latents have none, an empty one
    of one frame loses it.
    """
    channels = latent_format.channels
    if latent.dim() == 4 and latent_format.axes == 3:
        latent = latent[:, :, None]
    elif latent.dim() == 5 and latent_format.axes == 2 and latent.shape[2] == 1 and not torch.count_nonzero(latent):
        latent = latent[:, :, 0]
    if latent.dim() < 4 or latent.shape[1] == channels or torch.count_nonzero(latent):
        return latent
    sides = latent.shape[-2:]
    if latent.shape[1] in _OF_EIGHT_PIXELS:
        sides = torch.Size(max(1, side * 8 // latent_format.downscale) for side in sides)
    return latent.new_zeros((latent.shape[0], channels, *latent.shape[2:-2], *sides))


Time = TypeVar("Time", float, Tensor)


def _shifted(time: Time, shift: float) -> Time:
    """The resolution shift of Esser et al. 2024, section 5.3.2: more steps at high noise for `shift` > 1."""
    return time if shift == 1.0 else shift * time / (1 + (shift - 1) * time)


def _levels(p: Parameterization) -> Tensor:
    """The level of every timestep (T,): float64, or float32 for a flow."""
    if p.schedule == "flow":
        times = torch.arange(1, p.timesteps + 1) / p.timesteps * p.timesteps
        return _shifted(times / p.timesteps, p.shift)
    if p.schedule == "cosine_time":
        return _cosine_level(torch.arange(1, p.timesteps + 1) / p.timesteps, p.shift)
    if p.schedule in _CONTINUOUS:
        return torch.linspace(math.log(p.sigma_min), math.log(p.sigma_max), p.timesteps).exp()
    abar = np.cumprod(1.0 - _betas(p))
    sigmas = np.sqrt((1.0 - abar) / abar)
    return torch.from_numpy(_zero_terminal_snr(sigmas) if p.zero_terminal_snr else sigmas)


def _cosine_level(time: Tensor, shift: float) -> Tensor:
    """The level at times 0..1 of a cosine schedule, float32, the signal to noise ratio divided by the square of `shift`."""
    signal = torch.cos((time + _COSINE_OFFSET) / (1 + _COSINE_OFFSET) * math.pi * 0.5) ** 2 / _first_signal()
    if shift != 1.0:
        signal = ((signal / (1 - signal)).log() - 2 * math.log(shift)).sigmoid()
    signal = signal.clamp(_LEAST_SIGNAL, _MOST_SIGNAL)
    return ((1 - signal) / signal) ** 0.5


def _cosine_time(sigma: float) -> float:
    """The time 0..1 of a level, where there is no shift."""
    root = math.sqrt(_first_signal() / (sigma * sigma + 1.0))
    return math.acos(min(root, 1.0)) / (math.pi * 0.5) * (1.0 + _COSINE_OFFSET) - _COSINE_OFFSET


def _first_signal() -> float:
    return math.cos(_COSINE_OFFSET / (1.0 + _COSINE_OFFSET) * math.pi * 0.5) ** 2


def _betas(p: Parameterization) -> np.ndarray:
    if p.schedule == "linear":
        return np.linspace(p.beta_start, p.beta_end, p.timesteps)
    if p.schedule == "scaled_linear":
        return np.asarray(np.linspace(p.beta_start**0.5, p.beta_end**0.5, p.timesteps) ** 2)
    steps = np.linspace(0.0, 1.0, p.timesteps + 1)
    abar = np.cos((steps + _COSINE_OFFSET) / (1.0 + _COSINE_OFFSET) * np.pi / 2) ** 2
    return np.asarray(np.clip(1.0 - abar[1:] / abar[:-1], 0.0, 0.999))


def _zero_terminal_snr(sigmas: np.ndarray) -> np.ndarray:
    """Lin et al. 2023, algorithm 1: shift and scale sqrt(abar) so that the last level holds no signal."""
    root = 1.0 / np.sqrt(sigmas**2 + 1.0)
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    abar = root**2
    abar[-1] = _ZERO_SNR_ABAR
    return np.asarray(np.sqrt((1.0 - abar) / abar))
