"""Hooks in a run: which weights the network has for a conditioning at each noise level."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.models.checkpoints import read_header
from engine.models.errors import ModelError
from engine.models.hooks import Hooks, WeightHook, patches_of, strengths_by_level
from engine.models.lora import is_for_text
from engine.models.merging import Share, merged
from engine.models.networks.prefix_cache import CACHE_OPTION
from engine.sampling.noise_schedule import NoiseSchedule
from engine.sampling.samplers.steps import levels as numbers

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.handles import ModelHandle, Patch
    from engine.models.manager import ModelManager
    from engine.models.network import Network
    from engine.sampling.denoisers import Under, Weights


@dataclass(frozen=True, eq=False)
class HookedNetwork:
    """A network in use whose weights hooks can change; what it was made by is `handle`."""

    models: ModelManager
    network: Network
    handle: ModelHandle

    def under(self, patches: tuple[Patch, ...]) -> AbstractContextManager[None]:
        """Let the network have further patches in the block."""
        return self.models.varied(self.network, patches)

    def resolver(self, schedule: NoiseSchedule, sigmas: Tensor) -> Callable[[Hooks], Weights]:
        """Return what makes weights of hooks in a run over `sigmas`; the same weights are the same object.

        It raises ModelError for hooks that do not fit the model.
        """
        made: dict[tuple[tuple[str, float], ...], Under] = {}
        steps = numbers(sigmas)[:-1]

        def resolve(hooks: Hooks) -> Weights:
            fitting = list(self._fitting(hooks))
            names = [Hooks((msgspec.structs.replace(one, frames=()),)).identity() for one in fitting]
            framed = [strengths_by_level(one.frames, schedule.percent_to_sigma, steps) for one in fitting]

            def weights(sigma: float) -> Under | None:
                strengths = [one.strength * _at(frames, sigma) for one, frames in zip(fitting, framed, strict=True)]
                key = tuple((name, strength) for name, strength in zip(names, strengths, strict=True) if strength)
                if not key:
                    return None
                if key not in made:
                    patches = patches_of(list(zip(fitting, strengths, strict=True)))
                    made[key] = lambda: self.under(patches)
                return made[key]

            return weights

        return resolve

    def _fitting(self, hooks: Hooks) -> Iterator[WeightHook]:
        """The hooks that change something in this network, without what says when. Raises ModelError for one that cannot."""
        for hook in hooks.hooks:
            if not hook.strength:
                continue
            if hook.frames and self.handle.options.get(CACHE_OPTION, ["off"])[0] != "off":
                raise ModelError(
                    f"hooks: {hook.name} has keyframes, and the model keeps keys and values of its references for all steps, "
                    "which its weights would change. Leave out FluxKVCache or the keyframes."
                )
            if hook.lora is not None and self._fits(Path(hook.lora.path)):
                yield hook
            if hook.model is not None:
                self._check_model(hook.model)
                yield hook

    def _check_model(self, other: ModelHandle) -> None:
        """Raise ModelError for another model that has no weight in common with this one."""
        try:
            merged(self.handle, other, [Share(0.0, 1.0)])
        except ModelError as problem:
            raise ModelError(
                f"hooks: {other.source.path} ({other.family}) has no weight of the same name and size as "
                f"{self.handle.source.path} ({self.handle.family}), whose weights it was to replace for a conditioning. Make the "
                "hook of a checkpoint of the same family."
            ) from problem

    def _fits(self, path: Path) -> bool:
        """Whether a LoRA changes something in the network: one for text encoders alone does not, and is no mistake."""
        names = read_header(path).shapes
        if names and all(is_for_text(name) for name in names):
            return False
        found = self.models.lora(path, self.handle).model
        if found is not None and msgspec.to_builtins(found.config) != msgspec.to_builtins(self.handle.config):
            raise ModelError(
                f"{path}: this LoRA widens layers of {self.handle.family}, which cannot be done for one conditioning alone. "
                "Put it on the model with LoraLoaderModelOnly, before the sampler, in the place of a hook."
            )
        return True


def _at(frames: Sequence[tuple[float, float]], sigma: float) -> float:
    """The strength of the last keyframe that has begun at a noise level; 1 without any."""
    begun = [strength for begins, strength in frames if begins >= sigma]
    return begun[-1] if begun else 1.0
