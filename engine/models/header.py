"""What a file says of itself before any weight is read. No torch."""

from __future__ import annotations

import msgspec

from engine.models.shapes import Shape


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Tensor shapes and dtypes (as safetensors names them) by name, and metadata."""

    path: str
    shapes: dict[str, Shape]
    dtypes: dict[str, str]
    metadata: dict[str, str]
