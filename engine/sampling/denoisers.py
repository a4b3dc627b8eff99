"""Adapters that make any network "x and sigma in, denoised out" (Karras et al. 2022, section 5: preconditioning).

c_in scales x to what the network was trained on, and `denoised` turns its output into x_0. Samplers see only that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from engine.sampling.noise_schedule import NoiseSchedule

Denoiser = Callable[[Tensor, float], Tensor]
"""`(x (B, C, h, w), sigma) -> x_0 (B, C, h, w)`. sigma is a Python float: one level for the whole batch, no device sync."""

Residuals = Mapping[str, Any]
"""ControlNet residuals: `down`, a list of tensors, and `mid`, a tensor."""

Under = Callable[[], AbstractContextManager[None]]
"""Lets the network have weights of their own in a block; the same weights are the same object."""

Weights = Callable[[float], "Under | None"]
"""`noise level -> what the network is under there`, None: its own weights."""


class Branches(NamedTuple):
    """A guided prediction of x_0 and the one it was steered away from, both (B, C, h, w)."""

    guided: Tensor
    unconditional: Tensor


@runtime_checkable
class Branching(Protocol):
    """A denoiser that knows guidance, for samplers that want both of its predictions."""

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Return the guided prediction of x_0."""
        ...

    def branches(self, x: Tensor, sigma: float) -> Branches:
        """Return both predictions; the unconditional one is made even where guidance has no use for it (cfg 1)."""
        ...


def branches(denoiser: Denoiser, x: Tensor, sigma: float) -> Branches:
    """Return both predictions of a denoiser at x (B, C, h, w); without guidance they are one and the same."""
    if isinstance(denoiser, Branching):
        return denoiser.branches(x, sigma)
    prediction = denoiser(x, sigma)
    return Branches(prediction, prediction)


class Network(Protocol):
    """A denoising network as sampling calls it; see `__call__` for the shapes."""

    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        *,
        concat: Tensor | None = None,
        control: Residuals | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Return the prediction (B, C, h, w) for x (B, C, h, w) with c_in applied, t (B,) timesteps, context (B, T, D).

        A network that has learned the variance of a step returns (B, 2 C, h, w): the prediction, then `Spread.share`.
        """
        ...


class Occasion(NamedTuple):
    """When a network is called, and what for: the noise level, and what each of the equal parts of the rows is.

    `numbers`: of which conditioning (0 the positive one) a part is; `conditions`: the objects that name its conditions;
    `peers`: all that count now of each of these conditionings.
    """

    sigma: float
    numbers: tuple[int, ...] = ()
    conditions: tuple[Any, ...] = ()
    peers: Mapping[int, Sequence[Any]] = {}


@runtime_checkable
class Occasional(Protocol):
    """A network that wants to know what it is called for; `backwards`: for later conditionings before earlier ones."""

    @property
    def backwards(self) -> bool: ...

    def on(self, occasion: Occasion) -> Callable[..., Tensor]:
        """Return the network for calls on an occasion."""
        ...


class Spread(NamedTuple):
    """A prediction of x_0 (B, C, h, w), and how much noise a step down from here wants, as the network has learned it.

    `share` (B, C, h, w): -1 the least, 1 the most (Nichol & Dhariwal 2021, section 3.1); None: it has not.
    """

    prediction: Tensor
    share: Tensor | None


@runtime_checkable
class Spreading(Protocol):
    """A denoiser whose network may have learned the variance of a step."""

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Return the guided prediction of x_0."""
        ...

    def spread(self, x: Tensor, sigma: float) -> Spread:
        """Return it with the variance."""
        ...


def spread(denoiser: Denoiser, x: Tensor, sigma: float) -> Spread:
    """Return a denoiser's prediction at x (B, C, h, w), with the learned variance where there is one."""
    return denoiser.spread(x, sigma) if isinstance(denoiser, Spreading) else Spread(denoiser(x, sigma), None)


def input_scale(schedule: NoiseSchedule, sigma: float) -> float:
    """Return c_in: 1 / sqrt(sigma_data^2 + sigma^2), which is sqrt(abar), or 1 for networks that take x as it is.

    Of a flow's share of the noise it is what is left of the data, 1 / (sigma + 1).
    """
    process = schedule.parameterization
    if schedule.is_flow or process.prediction == "img_to_img":
        return 1.0
    if process.prediction == "share":
        return 1.0 / (sigma + 1.0)
    return 1.0 / math.sqrt(process.sigma_data**2 + sigma * sigma)


def denoised(schedule: NoiseSchedule, x: Tensor, output: Tensor, sigma: float) -> Tensor:
    """Return x_0 from the network's `output` at x, both (B, C, h, w), at noise level `sigma`."""
    x_share, output_share = _shares(schedule, sigma)
    output = output.to(x.dtype)
    if x_share == 0.0:
        return output
    if x_share == 1.0:
        return torch.add(x, output, alpha=output_share)
    return (x * x_share).add_(output, alpha=output_share)


def _shares(schedule: NoiseSchedule, sigma: float) -> tuple[float, float]:
    """Return (a, b) of x_0 = a x + b output."""
    prediction, data = schedule.parameterization.prediction, schedule.parameterization.sigma_data
    if prediction in ("x0", "img_to_img"):
        return 0.0, 1.0
    if prediction in (
        "v",
        "edm",
    ):  # Salimans & Ho 2022: v = sqrt(abar) eps - sqrt(1 - abar) x_0; Karras et al. 2022: F = -v
        total, sign = sigma * sigma + data * data, 1.0 if prediction == "edm" else -1.0
        return data * data / total, sign * sigma * data / math.sqrt(total)
    if prediction == "share":  # a flow at t = sigma / (sigma + 1), of x / (sigma + 1)
        return 1.0 / (sigma + 1.0), -sigma / (sigma + 1.0)
    if prediction == "lcm":  # Luo et al. 2023, eq. 9: c_skip x + c_out (x - sigma output), the identity as t falls to 0
        skip, out = consistency_shares(schedule.timestep(sigma))
        return skip + out, -out * sigma
    return 1.0, -sigma  # eps: x = x_0 + sigma eps; flow: the output is eps - x_0, and x = x_0 + sigma (eps - x_0)


def consistency_shares(timestep: float) -> tuple[float, float]:
    """Return (c_skip, c_out) of a consistency model at a timestep, with sigma_data 1/2 and time counted tenfold."""
    time, data = 10.0 * timestep, 0.5
    return data**2 / (time**2 + data**2), time / math.sqrt(time**2 + data**2)


def unconditional(network: Callable[[Tensor, Tensor], Tensor], schedule: NoiseSchedule) -> Denoiser:
    """Make a denoiser of a network `(x, t (B,)) -> output` that takes no conditioning, such as a toy or a pixel model."""

    def denoise(x: Tensor, sigma: float) -> Tensor:
        t = torch.full((x.shape[0],), schedule.timestep(sigma), device=x.device)
        return denoised(schedule, x, network(x * input_scale(schedule, sigma), t), sigma)

    return denoise
