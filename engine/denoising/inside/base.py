"""What a patch of the network is: a function around a call of it, which knows the call and may look inside the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from engine.models.errors import ModelError
from engine.models.families import family_named
from engine.models.networks.unet_sizes import U_NET
from engine.sampling.denoisers import Occasion

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.handles import ModelHandle
    from engine.models.network import Network
    from engine.sampling.noise_schedule import NoiseSchedule

OPTION = "inside"
"""Option of a model handle: [kind, {name: value}] of each patch of the network, in order."""


@dataclass(frozen=True, eq=False)
class Given:
    """The arguments of a call of a network, and when it is: see `engine.models.network.Network`.

    `occasion` tells the noise level and whose the rows are; of a call outside of guidance only the level is known.
    """

    x: Tensor
    t: Tensor
    context: Tensor
    concat: Tensor | None
    control: Mapping[str, Any] | None
    options: Mapping[str, Any] | None
    occasion: Occasion

    @property
    def sigma(self) -> float:
        """The noise level."""
        return self.occasion.sigma

    def but(self, **changes: Any) -> Given:
        """Return the same call with other arguments."""
        return replace(self, **changes)


Inner: TypeAlias = "Callable[[Given], Tensor]"
"""The network with the patches before this one."""


class Where(NamedTuple):
    """What a patch works on."""

    network: Network
    schedule: NoiseSchedule
    levels: Sequence[float] | None = None
    """Of the run, where it is known."""


class Patch(Protocol):
    """A patch in one run."""

    def __call__(self, given: Given, inner: Inner) -> Tensor:
        """Return the prediction (B, C, …) of the call, made by `inner` or otherwise."""
        ...


class Range(NamedTuple):
    """A part of a run: noise levels."""

    start: float
    end: float

    @classmethod
    def of(cls, schedule: NoiseSchedule, start_percent: float, end_percent: float) -> Range:
        """Return the levels at which the share of sampling done is within `start_percent`..`end_percent` (0..1)."""
        return cls(schedule.percent_to_sigma(start_percent), schedule.percent_to_sigma(end_percent))

    def __contains__(self, sigma: object) -> bool:
        return isinstance(sigma, float) and self.end <= sigma <= self.start


def with_patch(model: ModelHandle, kind: str, **told: Any) -> ModelHandle:
    """Return the model with a patch around all that it has; `told`: plain data, which `engine.denoising.inside.kinds` takes."""
    return model.with_option(OPTION, [*model.options.get(OPTION, ()), [kind, told]])


_MADE_BY: Final = {
    "engine.models.networks.cosmos:transformer": "CosmosTransformer3DModel",
    "engine.models.networks.wan_module:transformer": "WanTransformer3DModel",
}
"""Functions that make networks → the library's class of these."""


def class_of(model: ModelHandle) -> str:
    """Return what the library calls the class of a model's network."""
    module = family_named(model.family).network.module
    return _MADE_BY.get(module, module.rpartition(":")[2])


def check_unet(model: ModelHandle, node: str, place: str) -> None:
    """Raise ModelError at a node for a model that is no U-Net of Stable Diffusion; `place`: what the node works on there."""
    family = family_named(model.family)
    if not is_unet(model):
        raise ModelError(
            f"{node}: model: {model.source.path} is {family.title}, whose {family.network.title} has no {place} such as the "
            "U-Nets of Stable Diffusion have. Load a model of Stable Diffusion 1, 2 or XL, or leave this node out."
        )


def is_unet(model: ModelHandle) -> bool:
    """Whether the network has the layout of Stable Diffusion's U-Nets."""
    network = family_named(model.family).network
    return network.sizes is U_NET.sizes
