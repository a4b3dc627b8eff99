"""What a model's handle says of layers that guidance leaves out: options that nodes put on it, and networks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.denoising.inside.network import PatchedNetwork
from engine.models.errors import ModelError
from engine.models.families import family_named
from engine.models.families.base import named
from engine.models.network import Network
from engine.sampling.pushes import DifferentiableNetwork
from engine.sampling.skips import Skip

if TYPE_CHECKING:
    from torch import Tensor

    from engine.denoising.records import LiveModel
    from engine.models.handles import ModelHandle
    from engine.sampling.denoisers import Occasion

_SKIPS = "skipped_layers"
"""Option: [double layers, single layers, start, end, scale, rescale] of each guidance, in order."""

_NEGATIVE = "negative_skipped_layers"
"""Option: [double layers, single layers, start, end] of what predicts for the negative conditioning."""


def with_skip(
    model: ModelHandle, double: Sequence[int], single: Sequence[int], within: tuple[float, float], *scales: float
) -> ModelHandle:
    """Return the model guided away from itself without these layers; `scales`: how far, and how far its spread is pulled back.

    Raises ModelError for a model that has no layers to leave out.
    """
    _check(model)
    told = [list(double), list(single), *within, *scales]
    return model.with_option(_SKIPS, [*model.options.get(_SKIPS, ()), told])


def with_negative_skip(
    model: ModelHandle, double: Sequence[int], single: Sequence[int], within: tuple[float, float]
) -> ModelHandle:
    """Return the model without these layers where it predicts for the negative conditioning; of several the last counts.

    Raises ModelError for a model that has no layers to leave out.
    """
    _check(model)
    return model.with_option(_NEGATIVE, [list(double), list(single), *within])


def skips_of(model: LiveModel) -> list[Skip]:
    """Return the guidances by left out layers that nodes put on a model. Raises ModelError for layers that it lacks."""
    told = model.handle.options.get(_SKIPS, ()) if model.handle else ()
    return [
        Skip(_shallow(model, double, single), start, end, scale, rescale)
        for double, single, start, end, scale, rescale in told
    ]


def negative_skip_of(model: LiveModel) -> Skip | None:
    """Return what predicts for the negative conditioning in its place. Raises ModelError for layers that it lacks."""
    told = model.handle.options.get(_NEGATIVE) if model.handle else None
    if told is None:
        return None
    double, single, start, end = told
    return Skip(_shallow(model, double, single), start, end)


@dataclass(frozen=True, eq=False)
class _Shallow:
    """A network that is called without some of its layers."""

    network: Network
    double: Sequence[int]
    single: Sequence[int]

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        with self.network.without_layers(self.double, self.single):
            return DifferentiableNetwork(self.network)(*args, **kwargs)

    @property
    def backwards(self) -> bool:
        return False

    def on(self, occasion: Occasion) -> Callable[..., Tensor]:
        """Return the network for calls on an occasion, where its patches want to know that."""
        if not isinstance(self.network, PatchedNetwork):
            return self
        return partial(self, occasion=occasion)


def _shallow(model: LiveModel, double: Sequence[int], single: Sequence[int]) -> _Shallow:
    network: Any = model.network
    if isinstance(network, PatchedNetwork):
        network = network.anew()
    with network.without_layers(double, single):
        return _Shallow(network, double, single)


def _check(model: ModelHandle) -> None:
    family = family_named(model.family)
    calls: type[Network] = named(family.network.call)
    if calls.double_layers is None and calls.single_layers is None:
        raise ModelError(
            f"{model.source.path}: {family.title} has no layers here that can be skipped one by one. Leave the skip-layer "
            "guidance out, or load a transformer that docs/models.md says it of."
        )
