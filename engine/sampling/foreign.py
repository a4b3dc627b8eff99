"""What functions of a pack may put in the place of ours: a whole run, a guidance, the steps of a sampler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from engine.sampling.conditions import Surroundings
    from engine.sampling.denoisers import Denoiser, Network


@dataclass(frozen=True, eq=False)
class Run:
    """The arguments of one call of `engine.sampling.run.sample`, as they were given."""

    network: Any
    parameterization: Any
    latent_format: Any
    guidance: Any
    noise: Tensor
    latent: Tensor
    sigmas: Tensor
    sampler: Any = "euler"
    noise_mask: Tensor | None = None
    seed: int = 0
    batch_index: Sequence[int] | None = None
    callback: Any = None
    controls: Any = None
    inpaint_model: bool = False
    forwarded: Sequence[str] = ()
    max_rows: int | None = None
    device: Any = None

    def arguments(self) -> dict[str, Any]:
        """The arguments by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@runtime_checkable
class TakesOver(Protocol):
    """Functions around a model, or a sampler, that make a whole run their own; they may call `sample` inside."""

    def take_over(self, run: Run) -> Any:
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
