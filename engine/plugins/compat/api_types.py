"""`comfy_api.input`, `.input_impl` and `.util`: the types of values by the names that packs from before V3 know."""

from __future__ import annotations

from typing import Any, TypeAlias

from engine.plugins.compat.comfy_api import (
    VideoCodec,
    VideoComponents,
    VideoContainer,
    VideoFromComponents,
    VideoFromFile,
    VideoInput,
)

__all__ = ["VideoCodec", "VideoComponents", "VideoContainer", "VideoFromComponents", "VideoFromFile", "VideoInput"]

AudioInput: TypeAlias = dict[str, Any]
ImageInput: TypeAlias = Any
MaskInput: TypeAlias = Any
LatentInput: TypeAlias = dict[str, Any]
