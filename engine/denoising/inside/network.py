"""A network with patches around it, which is called as the network is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from engine.denoising.inside.base import OPTION, Given, Inner, Patch, Where
from engine.denoising.inside.kinds import made
from engine.sampling.denoisers import Occasion

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.handles import ModelHandle
    from engine.models.network import Network
    from engine.sampling.noise_schedule import NoiseSchedule


def patched(network: Network, handle: ModelHandle, schedule: NoiseSchedule) -> Network:
    """Return the network with the patches that nodes put on its handle; itself where there are none."""
    told = handle.options.get(OPTION)
    if not told:
        return network
    found: Any = PatchedNetwork(network, schedule, told)
    return found  # type: ignore[no-any-return]


class PatchedNetwork:
    """A network with patches; the last one is outermost. What it is asked otherwise the network answers."""

    def __init__(
        self, network: Network, schedule: NoiseSchedule, told: Sequence[Any], levels: Sequence[float] | None = None
    ) -> None:
        self._network, self._schedule, self._told, self._levels = network, schedule, list(told), levels
        where = Where(network, schedule, levels)
        self.patches: list[Patch] = [made(kind, where, facts) for kind, facts in self._told]

    @property
    def backwards(self) -> bool:
        """Whether predictions for negative conditionings are wanted before those for positive ones."""
        return any(getattr(patch, "backwards", False) for patch in self.patches)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def anew(self, levels: Sequence[float] | None = None) -> PatchedNetwork:
        """Return it with patches that remember nothing, for another run; `levels`: of that, None for those known."""
        return PatchedNetwork(self._network, self._schedule, self._told, self._levels if levels is None else levels)

    def beside(self, kind: str, **facts: Any) -> PatchedNetwork:
        """Return it with one patch more, which is innermost."""
        return PatchedNetwork(self._network, self._schedule, [[kind, facts], *self._told], self._levels)

    def on(self, occasion: Occasion) -> partial[Tensor]:
        """Return the network for calls on an occasion."""
        return partial(self, occasion=occasion)

    @torch.no_grad()
    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        *,
        concat: Tensor | None = None,
        control: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        occasion: Occasion | None = None,
    ) -> Tensor:
        """Return what the network predicts; see its own. Without an `occasion` the noise level is that of the time `t`."""
        when = occasion or Occasion(self._schedule.sigma(float(t.flatten()[0])))
        call: Inner = self._innermost
        for patch in self.patches:
            call = partial(_around, patch, call)
        return call(Given(x, t, context, concat, control, options, when))

    def _innermost(self, given: Given) -> Tensor:
        return self._network(
            given.x, given.t, given.context, concat=given.concat, control=given.control, options=given.options
        )


def _around(patch: Patch, inner: Inner, given: Given) -> Tensor:
    return patch(given, inner)
