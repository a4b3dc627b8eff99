"""`comfy.ldm.modules.distributions.distributions`: a normal distribution with its own variance everywhere."""

from __future__ import annotations

from typing import Any

import torch


class DiagonalGaussianDistribution:
    """Of `parameters` (B, 2 C, h, w): mean and logarithm of the variance."""

    def __init__(self, parameters: Any, deterministic: bool = False) -> None:
        self.parameters = parameters
        self.mean, logvar = torch.chunk(parameters, 2, dim=1)
        self.logvar = logvar.clamp(-30.0, 20.0)
        self.deterministic = deterministic
        self.std = torch.zeros_like(self.mean) if deterministic else (0.5 * self.logvar).exp()
        self.var = self.std**2

    def sample(self) -> Any:
        """A draw."""
        return self.mean + self.std * torch.randn_like(self.mean)

    def mode(self) -> Any:
        """The mean."""
        return self.mean

    def kl(self, other: Any = None) -> Any:
        """Divergence from the standard normal distribution, or from another."""
        if self.deterministic:
            return torch.zeros(1)
        if other is None:
            terms = self.mean**2 + self.var - 1.0 - self.logvar
        else:
            terms = (self.mean - other.mean) ** 2 / other.var + self.var / other.var - 1.0 - self.logvar + other.logvar
        return 0.5 * terms.sum(dim=[1, 2, 3])
