"""Between our handles and the wrappers that packs' functions are given. Cheap for all other values, and free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from engine.denoising.guided import GuidedModel
from engine.models.handles import (
    ClipHandle,
    ClipVisionHandle,
    ControlNetHandle,
    HookedModel,
    ModelHandle,
    UpscaleHandle,
    VaeHandle,
)
from engine.models.hooks import HookedClip
from engine.sampling.names import Sampler

HANDLES = (
    *(ModelHandle, HookedModel, ClipHandle, HookedClip, VaeHandle, ControlNetHandle, ClipVisionHandle, UpscaleHandle),
    *(Sampler, GuidedModel),
)
_HANDLES = frozenset(HANDLES)
CHANGED: Final = _HANDLES | {list, tuple}
"""Types of values that `to_pack` may change."""


class Wrapper:
    """Base of what packs get for a handle: `handle` is what goes on to other nodes."""

    if TYPE_CHECKING:
        handle: Any


def to_pack(value: Any) -> Any:
    """The wrapper of a handle, also in a list or tuple (packs pass several as one), or `value` itself."""
    kind = type(value)
    if kind in _HANDLES:
        return _wrapped(value)
    if kind in (list, tuple) and any(type(item) in _HANDLES for item in value):
        return kind(map(to_pack, value))
    return value


def from_pack(value: Any) -> Any:
    """The handle of a wrapper, also in a list or tuple, or `value` itself."""
    if isinstance(value, Wrapper):
        return value.handle
    if type(value) in (list, tuple) and any(isinstance(item, Wrapper) for item in value):
        return type(value)(map(from_pack, value))
    return value


def _wrapped(handle: Any) -> Any:
    from engine.plugins.compat import clip_vision, controlnet, guiders, model_patcher, sd, steps, upscale_models

    kind = type(handle)
    if kind is GuidedModel:
        return guiders.of(handle)
    wrappers: dict[type, Any] = {
        ModelHandle: model_patcher.ModelPatcher,
        HookedModel: model_patcher.ModelPatcher,
        ClipHandle: sd.CLIP,
        HookedClip: sd.CLIP,
        VaeHandle: sd.VAE,
        ControlNetHandle: controlnet.ControlNet,
        ClipVisionHandle: clip_vision.ClipVisionModel,
        UpscaleHandle: upscale_models.UpscaleModel,
        Sampler: steps.KSAMPLER,
    }
    return wrappers[kind].of(handle)
