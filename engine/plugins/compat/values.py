"""Between our handles and the wrappers that packs' functions are given. Cheap for all other values, and free of torch."""

from __future__ import annotations

from typing import Any

from engine.models.handles import ClipHandle, ControlNetHandle, ModelHandle, VaeHandle

HANDLES = (ModelHandle, ClipHandle, VaeHandle, ControlNetHandle)
_HANDLES = frozenset(HANDLES)


class Wrapper:
    """Base of what packs get for a handle: `handle` is what goes on to other nodes."""

    handle: Any


def to_pack(value: Any) -> Any:
    """The wrapper of a handle, or `value` itself."""
    return _wrapped(value) if type(value) in _HANDLES else value


def from_pack(value: Any) -> Any:
    """The handle of a wrapper, also in a list or tuple, or `value` itself."""
    if isinstance(value, Wrapper):
        return value.handle
    if type(value) in (list, tuple) and any(isinstance(item, Wrapper) for item in value):
        return type(value)(map(from_pack, value))
    return value


def _wrapped(handle: Any) -> Any:
    if type(handle) is ModelHandle:
        from engine.plugins.compat.model_patcher import ModelPatcher

        return ModelPatcher.of(handle)
    from engine.plugins.compat import controlnet, sd

    if type(handle) is ControlNetHandle:
        return controlnet.ControlNet.of(handle)
    return sd.CLIP.of(handle) if type(handle) is ClipHandle else sd.VAE.of(handle)
