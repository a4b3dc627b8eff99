"""What a run is made of, as records: the model, what it starts from, what steers it, which steps it takes, and its end.

And what functions of a pack may put in the place of ours: a whole run, a guidance, the steps of a sampler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from engine.datatypes.parameterization import LatentFormat

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from engine.denoising.hooked import HookedNetwork
    from engine.models.handles import ModelHandle
    from engine.sampling.conditions import Controls, Inputs, Surroundings
    from engine.sampling.denoisers import Denoiser, Network
    from engine.sampling.guiders import Guidance
    from engine.sampling.names import Sampler
    from engine.sampling.noise_schedule import NoiseSchedule
    from engine.sampling.samplers import SamplerFunction
    from engine.sampling.samplers.steps import Callback


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A model that is ready to be called: its network, and all that a run must know of it.

    `controls` makes functions of the control objects in conditionings. `device` is where runs are (None: where the latent
    is). `inpaint_model`: the network takes mask and masked picture as further channels. `inputs` makes what it takes beside
    text and time of a conditioning's options. `repeats_text`: texts of other lengths may be repeated to share a call.
    `max_rows` bounds the rows (pictures × conditions) of one call of it. `hooks` makes runs its own. `handle` is the recipe
    that the model was made by, None for networks that have none. `negative` is the model that predicts for negative
    conditionings, where it is another. `guided_channels`: how many of the first channels guidance is for; None: all.
    `steering`: control objects that steer every run of it. `hold` loads a further model of a handle, until the run's end.
    `hooked`: what lets hooks of conditionings change its weights.
    """

    network: Network
    schedule: NoiseSchedule
    latent_format: LatentFormat
    controls: Controls | None = None
    device: torch.device | str | None = None
    inpaint_model: bool = False
    inputs: Inputs | None = None
    repeats_text: bool = True
    max_rows: int | None = None
    hooks: TakesOver | None = None
    handle: ModelHandle | None = None
    negative: LiveModel | None = None
    guided_channels: int | None = None
    steering: tuple[Any, ...] = ()
    hold: Callable[[Any], Any] | None = None
    hooked: HookedNetwork | None = None


@dataclass(frozen=True, eq=False)
class Start:
    """What a run starts from: `latent` (B, C, h, w) in VAE space, plus `noise` (B, C, h, w) of unit variance.

    `noise_mask` (H, W), (B, H, W) or (B, 1, H, W), 0..1: where it is 0 the latent comes back bit for bit once the run ends
    at sigma 0. `seed` feeds samplers that draw more noise on the way.
    """

    latent: Tensor
    noise: Tensor
    noise_mask: Tensor | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """Which steps a KSampler takes: a sampler over a schedule of `steps`, or a part of it.

    KSampler gives `denoise` 0..1. KSamplerAdvanced gives `start_step` and `last_step` of the whole schedule, and
    `force_full_denoise` (the last step goes to zero even when it is not the schedule's last; otherwise noise is left over).
    """

    steps: int
    sampler_name: str
    scheduler: str
    denoise: float = 1.0
    start_step: int | None = None
    last_step: int | None = None
    force_full_denoise: bool = False


class NoiseSource(Protocol):
    """The value of type NOISE: where the initial noise of a run comes from."""

    @property
    def seed(self) -> int | None:
        """The seed that also feeds samplers which draw more noise on the way; None: 0."""
        ...

    def generate_noise(self, latent: dict[str, Any]) -> Tensor:
        """Return the noise (B, C, h, w) of unit variance for a LATENT."""
        ...


class Sampled(NamedTuple):
    """The end of a run, both (B, C, h, w) in VAE space: the sampler's x, and the last prediction of x_0."""

    samples: Tensor
    denoised: Tensor


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
class Staged(Protocol):
    """A sampler that makes several runs of one, such as on latents of other sides."""

    def in_stages(self, run: Run) -> Sampled:
        """Return what `sample` returns for these arguments; it calls `sample` inside, with the model's hooks."""
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

AnySampler: TypeAlias = "Sampler | str | TakesOver | Staged | SamplerFunction"
"""What may take the steps of a run: a name, a name with options, a function, or what makes the whole run its own."""
