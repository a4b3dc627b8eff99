"""`comfy.k_diffusion.sampling`: our samplers as functions, and small functions that samplers of packs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from engine.plugins.compat.steps import field_function
from engine.sampling.names import SAMPLER_NAMES


def append_zero(x: Any) -> Any:
    """Levels with a zero behind them."""
    return torch.cat([x, x.new_zeros([1])])


def append_dims(x: Any, target_dims: int) -> Any:
    """A tensor with dimensions of size 1 behind it, up to that many."""
    return x[(...,) + (None,) * (target_dims - x.ndim)]


def to_d(x: Any, sigma: Any, denoised: Any) -> Any:
    """The slope dx/dsigma of the probability flow (Karras et al. 2022)."""
    return (x - denoised) / append_dims(torch.as_tensor(sigma), x.ndim)


def get_ancestral_step(sigma_from: Any, sigma_to: Any, eta: float = 1.0) -> tuple[Any, Any]:
    """(level to step down to, noise to add) of an ancestral step (Song et al. 2020)."""
    if not eta:
        return sigma_to, 0.0
    up = torch.as_tensor(eta * (sigma_to**2 * (sigma_from**2 - sigma_to**2) / sigma_from**2) ** 0.5)
    up = torch.minimum(torch.as_tensor(sigma_to), up)
    return (torch.as_tensor(sigma_to) ** 2 - up**2) ** 0.5, up


def default_noise_sampler(x: Any, seed: int | None = None) -> Callable[[Any, Any], Any]:
    """A function of two levels that gives fresh noise like `x`; with a seed, always the same."""
    if seed is None:
        return lambda sigma, sigma_next: torch.randn_like(x)
    from engine.sampling.noise import ancestral_noise

    return ancestral_noise(x, seed)


class BrownianTreeNoiseSampler:
    """Noise as increments of a Brownian path over `transform` of the level; a list of seeds is one path for each picture."""

    def __init__(
        self, x: Any, sigma_min: Any, sigma_max: Any, seed: Any = None, transform: Any = None, cpu: bool = False
    ) -> None:
        from engine.sampling.noise import brownian_noise

        self._time = transform or (lambda level: level)
        low, high = sorted(float(self._time(torch.as_tensor(level))) for level in (sigma_min, sigma_max))
        if seed is None:
            seed = int(torch.randint(0, 2**63 - 1, ()))
        seeds = [int(one) for one in seed] if isinstance(seed, list | tuple) else int(seed)
        self._noise: Any = brownian_noise(x, low, high, seeds, device="cpu" if cpu else x.device)
        # The path goes the way of the levels, upwards, also where `transform` turns them round.
        self._way = 1.0 if self._time(torch.as_tensor(sigma_min)) < self._time(torch.as_tensor(sigma_max)) else -1.0

    def __call__(self, sigma: Any, sigma_next: Any) -> Any:
        start, end = (float(self._time(torch.as_tensor(level))) for level in (sigma, sigma_next))
        return self._noise(start, end) * self._way


def get_sigmas_karras(n: int, sigma_min: float, sigma_max: float, rho: float = 7.0, device: Any = "cpu") -> Any:
    """Levels of Karras et al. 2022."""
    from engine.sampling.schedules import karras_sigmas

    return karras_sigmas(n, sigma_min, sigma_max, rho).to(device)


def get_sigmas_exponential(n: int, sigma_min: float, sigma_max: float, device: Any = "cpu") -> Any:
    """Levels even in their logarithm."""
    from engine.sampling.schedules import exponential_sigmas

    return exponential_sigmas(n, sigma_min, sigma_max).to(device)


def get_sigmas_polyexponential(
    n: int, sigma_min: float, sigma_max: float, rho: float = 1.0, device: Any = "cpu"
) -> Any:
    """Levels polynomial in their logarithm."""
    from engine.sampling.schedules import polyexponential_sigmas

    return polyexponential_sigmas(n, sigma_min, sigma_max, rho).to(device)


for _name in SAMPLER_NAMES:
    globals()[f"sample_{_name}"] = field_function(_name)
