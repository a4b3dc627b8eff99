"""Predictions pushed along the gradient of a likelihood: of a classifier that knows noise, or of what the prediction shows.

With the score of p(y | x) added to that of p(x), the prediction x_0 becomes x_0 + scale sigma² / alpha ∇ log p(y | x): Dhariwal &
Nichol 2021, algorithm 2, in the samplers' form, whose noise falls by scale sigma ∇ log p.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.sampling.denoisers import Branches, Denoiser, Network, Spread, branches, spread
from engine.sampling.noise_schedule import NoiseSchedule

Likelihood = Callable[[Tensor, float, Tensor], Tensor]
"""`(x, sigma, x_0)`, (B, C, …) -> log p(y | x) of each picture (B,), up to a constant; gradients flow back to x."""


@dataclass(frozen=True, eq=False)
class Push:
    """A likelihood and how strongly it counts, from the noise level `start` down to `end`.

    `through_network`: whether it is one of the prediction x_0, so that its gradient goes back through the network to x.
    """

    likelihood: Likelihood
    scale: float
    start: float
    end: float
    through_network: bool

    def active(self, sigma: float) -> bool:
        """Whether it counts at this noise level."""
        return self.end <= sigma <= self.start


class PushedDenoiser:
    """A denoiser whose predictions are pushed: `(x (B, C, …), sigma) -> x_0`."""

    def __init__(self, denoiser: Denoiser, pushes: Sequence[Push], schedule: NoiseSchedule) -> None:
        self._denoiser, self._pushes, self._schedule = denoiser, pushes, schedule

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Return the prediction pushed."""
        return self._pushed(x, sigma, lambda at: (self._denoiser(at, sigma), None))[0]

    def branches(self, x: Tensor, sigma: float) -> Branches:
        """Return it, and the unconditional prediction as it is."""
        guided, unconditional = self._pushed(x, sigma, lambda at: tuple(branches(self._denoiser, at, sigma)))
        return Branches(guided, unconditional)

    def spread(self, x: Tensor, sigma: float) -> Spread:
        """Return it, and the share of the variance as it is."""
        return Spread(*self._pushed(x, sigma, lambda at: tuple(spread(self._denoiser, at, sigma))))

    def _pushed(self, x: Tensor, sigma: float, predict: Callable[[Tensor], tuple[Any, ...]]) -> tuple[Tensor, Any]:
        """Return the prediction pushed, and what `predict` gives beside it.

        Raises ValueError where the gradient does not come back through the network, or is not finite.
        """
        alpha = self._schedule.alpha(sigma)
        active = [one for one in self._pushes if one.active(sigma)] if alpha > 0.0 else []
        if not active:
            prediction, beside = predict(x)
            return prediction, beside
        through = any(one.through_network for one in active)
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            with torch.set_grad_enabled(through):
                prediction, beside = predict(leaf)
            if through and not prediction.requires_grad:
                raise ValueError(
                    "Guidance by what the prediction shows: no gradient comes back through this model's network. Use a model "
                    "without functions of packs around it, or guidance that looks at the noisy picture itself."
                )
            total = sum(one.scale * one.likelihood(leaf, sigma, prediction).sum() for one in active)
            (slope,) = torch.autograd.grad(total, leaf)  # type: ignore[arg-type]  # a tensor, as there is one at least
        if not bool(slope.isfinite().all()):
            raise ValueError(
                f"Guidance by a gradient: it is not finite at the noise level {sigma:.4g}. Lower the strength, or let it "
                "end earlier."
            )
        pushed = prediction.detach() + slope * (sigma * sigma / alpha)
        return pushed, beside.detach() if isinstance(beside, Tensor) else beside


def differentiable(function: Any) -> Any:
    """Return a bound method, or an object that can be called, without the decorators that keep gradients from it."""
    owner = getattr(function, "__self__", function)
    inner = inspect.unwrap(function.__func__ if inspect.ismethod(function) else type(function).__call__)
    return lambda *args, **kwargs: inner(owner, *args, **kwargs)


class DifferentiableNetwork:
    """A network through which gradients go where they are wanted at all."""

    def __init__(self, network: Network) -> None:
        self._plain, self._open = network, differentiable(network)

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """As the network's own."""
        made: Tensor = (self._open if torch.is_grad_enabled() else self._plain)(*args, **kwargs)
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


def spherical(one: Tensor, others: Tensor) -> Tensor:
    """Return how far each vector of `one` (B, P) is from `others` (N, P) on average, (B,): 2 arcsin²(|u - v| / 2).

    Half the square of the angle between the two directions (Crowson 2021, CLIP guided diffusion).
    """
    unit, wanted = (torch.nn.functional.normalize(vectors.float(), dim=-1) for vectors in (one, others))
    length = (unit[:, None] - wanted[None]).norm(dim=-1)
    far: Tensor = 2.0 * (length / 2.0).clamp(max=1.0 - 1e-7).arcsin().square().mean(dim=1)
    return far
