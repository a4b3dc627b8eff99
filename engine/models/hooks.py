"""Hooks: changes to weights that hold for one conditioning only, and change their strength on the way. As data, without torch.

A hook is a LoRA's file, or another model whose weights come in the place of a model's own. Its strength is what its maker says
times that of the keyframe which holds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import xxhash

from engine.models.handles import ClipHandle, ModelHandle, Patch, Source, without_paths

HOOKS = "hooks"
"""Option of a conditioning: the Hooks under which the network predicts for it."""

CLIP_START, CLIP_END = "clip_start_percent", "clip_end_percent"
"""Options of a conditioning that a text encoder with a schedule made: within which share of sampling its text holds."""


class Keyframe(msgspec.Struct, frozen=True):
    """From `start` (0..1 of the sampling) on hooks count `strength` times. `sure`: it holds for one step at least."""

    start: float
    strength: float = 1.0
    sure: bool = False


class HookKeyframes(msgspec.Struct, frozen=True):
    """Keyframes in the order of their starts; of those with the same start, in which they were added."""

    frames: tuple[Keyframe, ...] = ()

    def identity(self) -> str:
        """Return 32 hex digits; equal ones mean the same keyframes."""
        return _identity(self)

    def adding(self, frames: Iterable[Keyframe]) -> HookKeyframes:
        """Return these and more."""
        return HookKeyframes(tuple(sorted((*self.frames, *frames), key=lambda frame: frame.start)))


class WeightHook(msgspec.Struct, frozen=True, kw_only=True):
    """One change to weights: a LoRA's file, or other models (`model`, `clip`) of which the weights are taken instead.

    `strength`: of what is for the denoiser; `strength_clip`: of what is for the text encoder.
    """

    lora: Source | None = None
    model: ModelHandle | None = None
    clip: ClipHandle | None = None
    strength: float = 1.0
    strength_clip: float = 1.0
    frames: tuple[Keyframe, ...] = ()

    @property
    def name(self) -> str:
        """What messages call it: the path of its file."""
        other = self.lora or (self.model or self.clip or _NOTHING).source
        return other.path


class Hooks(msgspec.Struct, frozen=True):
    """Several hooks, which hold together."""

    hooks: tuple[WeightHook, ...] = ()

    def identity(self) -> str:
        """Return 32 hex digits; equal ones mean the same changes. Where the files lie does not count."""
        return _identity(self)

    def with_keyframes(self, keyframes: HookKeyframes) -> Hooks:
        """Return them with keyframes, in the place of those that they had."""
        return Hooks(tuple(msgspec.structs.replace(one, frames=keyframes.frames) for one in self.hooks))


class HookedClip(ClipHandle, frozen=True, kw_only=True, tag="hooked_clip"):
    """A text encoder under hooks. `scheduled`: it encodes once for each stretch between keyframes; else without keyframes.

    `passed_on`: conditionings that it makes have the hooks too.
    """

    under: Hooks = Hooks()
    scheduled: bool = False
    passed_on: bool = True

    def alone(self) -> ClipHandle:
        """Return the text encoder without its hooks."""
        return ClipHandle(**{name: getattr(self, name) for name in ClipHandle.__struct_fields__})

    def stretches(self) -> list[tuple[float, float]]:
        """Return (start, end) of each share of the sampling over which no hook changes its strength."""
        if not self.scheduled:
            return [(0.0, 1.0)]
        changes = {frame.start for hook in self.under.hooks for frame in hook.frames[1:] if hook.strength_clip}
        edges = [0.0, *sorted(change for change in changes if 0.0 < change < 1.0), 1.0]
        return list(itertools.pairwise(edges))


def without_hooks(clip: ClipHandle) -> ClipHandle:
    """Return a text encoder as it is where no hook changes it."""
    return clip.alone() if isinstance(clip, HookedClip) else clip


_NOTHING = ClipHandle(source=Source("", ""), family="")


def combined(groups: Iterable[Hooks | None]) -> Hooks | None:
    """Return the hooks of several groups, in their order; None where there is none."""
    found = [hook for group in groups if group is not None for hook in group.hooks]
    return Hooks(tuple(found)) if found else None


def strength_at(frames: Sequence[Keyframe], share: float) -> float:
    """Return what a hook counts at a share of the sampling: as the last keyframe that has begun says, or else the first."""
    begun = [frame for frame in frames if frame.start <= share]
    return (begun[-1] if begun else frames[0]).strength if frames else 1.0


def strengths_by_level(
    frames: Sequence[Keyframe], sigma_of: Callable[[float], float], levels: Sequence[float]
) -> list[tuple[float, float]]:
    """Return (highest noise level at which it holds, strength) of each keyframe; the first holds from the run's beginning.

    `sigma_of` makes a noise level of a share of the sampling; `levels` are those of the run, falling. A keyframe that is sure
    of a step puts off those after it until it has had one.
    """
    if not frames:
        return []
    begins = [math.inf, *(sigma_of(frame.start) for frame in frames[1:])]
    current, since = 0, 0
    for step, level in enumerate(levels):
        while current + 1 < len(frames) and begins[current + 1] >= level:
            if frames[current].sure and since == step:
                begins[current + 1 :] = [
                    min(other, levels[min(step + 1, len(levels) - 1)]) for other in begins[current + 1 :]
                ]
                break
            current, since = current + 1, step
    return [(begin, frame.strength) for begin, frame in zip(begins, frames, strict=True)]


def patches_of(hooks: Sequence[tuple[WeightHook, float]]) -> tuple[Patch, ...]:
    """Return what hooks at these strengths put on a denoiser: other models first, then LoRAs, each in their order."""
    models = [
        Patch(kind="model", source=hook.model.source, strength=strength, keep=1.0 - strength, other=hook.model)
        for hook, strength in hooks
        if hook.model is not None and strength
    ]
    loras = [
        Patch(kind="lora", source=hook.lora, strength=strength)
        for hook, strength in hooks
        if hook.lora is not None and strength
    ]
    return (*models, *loras)


def encode(value: Hooks | HookKeyframes | HookedClip) -> list[Any]:
    """Return a value of this module as plain data, for the cache."""
    return [type(value).__name__, msgspec.msgpack.encode(value)]


def decode(data: Sequence[Any]) -> Hooks | HookKeyframes | HookedClip:
    """Re-make a value of `encode`'s plain data. Raises msgspec.ValidationError or KeyError for anything else."""
    kinds: dict[str, type[Any]] = {kind.__name__: kind for kind in (Hooks, HookKeyframes, HookedClip)}
    found: Hooks | HookKeyframes | HookedClip = msgspec.msgpack.decode(data[1], type=kinds[data[0]])
    return found


def sources(value: Hooks | HookKeyframes | HookedClip) -> list[Source]:
    """Return the files that a value names."""
    hooks = value.hooks if isinstance(value, Hooks) else value.under.hooks if isinstance(value, HookedClip) else ()
    handles = [one for hook in hooks for one in (hook.model, hook.clip) if one is not None]
    handles += value.towers if isinstance(value, HookedClip) else ()
    patches = [patch.source for one in handles for patch in one.patches]
    return [hook.lora for hook in hooks if hook.lora is not None] + [one.source for one in handles] + patches


def _identity(value: msgspec.Struct) -> str:
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode(without_paths(msgspec.to_builtins(value)), order="sorted"))
