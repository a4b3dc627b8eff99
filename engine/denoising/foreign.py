"""What functions of a pack may put in the place of ours: a whole run, a guidance, the steps of a sampler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from engine.denoising.records import LiveModel, Sampled, Start
    from engine.sampling.conditions import Surroundings
    from engine.sampling.denoisers import Denoiser, Network
    from engine.sampling.guiders import Guidance
    from engine.sampling.names import Sampler
    from engine.sampling.samplers import SamplerFunction
    from engine.sampling.samplers.steps import Callback


@dataclass(frozen=True, eq=False)
class Run:
    """The arguments of one call of `engine.denoising.run.sample`, as they were given; the model without its hooks."""

    model: LiveModel
    start: Start
    guidance: AnyGuidance
    sigmas: Tensor
    sampler: AnySampler = "euler"
    callback: Callback | None = None


@runtime_checkable
class TakesOver(Protocol):
    """Functions around a model, or a sampler, that make a whole run their own; they may call `sample` inside."""

    def take_over(self, run: Run) -> Sampled:
        """Return what `sample` returns for these arguments."""
        ...


@runtime_checkable
class OwnGuidance(Protocol):
    """A guidance that predicts by itself."""

    def denoiser(self, network: Network, around: Surroundings, max_rows: int | None) -> Denoiser:
        """Return the denoiser of a run."""
        ...

    def mask_at(self, sigma: float, mask: Tensor) -> Tensor:
        """Return the noise mask (B, 1, h, w) to use at a noise level; `mask` is that of the run."""
        ...


AnyGuidance: TypeAlias = "Guidance | OwnGuidance"
"""What may steer a run."""

AnySampler: TypeAlias = "Sampler | str | TakesOver | SamplerFunction"
"""What may take the steps of a run: a name, a name with options, a function, or what makes the whole run its own."""
