"""Text encoders under hooks: a conditioning for each stretch of the sampling over which no hook changes its strength."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engine.models.checkpoints import read_header
from engine.models.errors import LoraError, ModelError
from engine.models.hooks import CLIP_END, CLIP_START, HOOKS, HookedClip, WeightHook, combined, strength_at
from engine.models.lora import is_for_text
from engine.models.merging import Share, merged

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from engine.models.encoded import Encoded
    from engine.models.handles import ClipHandle


class Models(Protocol):
    """What opens and holds text encoders: a model manager."""

    def use(self, handle: ClipHandle) -> AbstractContextManager[Any]:
        """Hold the text encoder of a handle in a block."""
        ...

    def lora(self, path: Path, *, clip: ClipHandle, strength_clip: float) -> Any:
        """Put a LoRA on it."""
        ...


def conditioning(models: Models, clip: ClipHandle, encode: Callable[[Any], Encoded]) -> list[list[Any]]:
    """Return the CONDITIONING that `encode` makes with the text encoder of a handle, under the hooks that it has.

    Without a schedule it has one entry. With one it has an entry for each stretch between keyframes, which holds there.
    """
    if not isinstance(clip, HookedClip):
        with models.use(clip) as encoder:
            return [[*encode(encoder)]]
    found = []
    for start, end in clip.stretches():
        with models.use(hooked_at(models, clip, start)) as encoder:
            context, options = encode(encoder)
        told: dict[str, Any] = {CLIP_START: start, CLIP_END: end} if clip.scheduled else {}
        if clip.passed_on:
            told[HOOKS] = combined((options.get(HOOKS), clip.under))
        found.append([context, {**options, **told}])
    return found


def hooked_at(models: Models, clip: HookedClip, share: float) -> ClipHandle:
    """Return the text encoder with its hooks' changes at a share (0..1) of the sampling; without a schedule, without keyframes.

    Raises ModelError for a hook that does not fit it.
    """
    handle = clip.alone()
    for hook in clip.under.hooks:
        strength = hook.strength_clip * (strength_at(hook.frames, share) if clip.scheduled else 1.0)
        if strength:
            handle = _changed(models, handle, hook, strength)
    return handle


def _changed(models: Models, handle: ClipHandle, hook: WeightHook, strength: float) -> ClipHandle:
    if hook.clip is not None:
        return _like(handle, hook.clip, strength)
    if hook.lora is None:
        return handle
    path = Path(hook.lora.path)
    try:
        found: ClipHandle | None = models.lora(path, clip=handle, strength_clip=strength).clip
        return found or handle
    except LoraError:
        if any(is_for_text(name) for name in read_header(path).shapes):
            raise
        return handle  # it is for denoisers alone, and told of there


def _like(handle: ClipHandle, other: ClipHandle, strength: float) -> ClipHandle:
    """Return the text encoder with so much of another's weights in the place of its own, tower by tower."""
    others = {one.tower: one for one in other.towers}
    shares = [Share(1.0 - strength, strength)]
    towers = [merged(one, others[one.tower], shares)[0] if one.tower in others else one for one in handle.towers]
    if not others.keys() & {one.tower for one in handle.towers}:
        raise ModelError(
            f"hooks: {other.source.path} has the text encoders {', '.join(others)}, and {handle.source.path} has "
            f"{', '.join(one.tower for one in handle.towers)}. Make the hook of a checkpoint of the same family."
        )
    return handle.with_towers(towers)
