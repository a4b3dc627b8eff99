"""`node_helpers`: small functions that many nodes share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any


def conditioning_set_values(
    conditioning: Any, values: Mapping[str, Any] | None = None, append: bool = False
) -> list[Any]:
    """A copy of the conditioning with options set on each entry; with `append`, lists are added to those that are there."""
    changed = []
    for tensor, options in conditioning:
        new = dict(options)
        for name, value in (values or {}).items():
            new[name] = [*new[name], *value] if append and name in new else value
        changed.append([tensor, new])
    return changed


def pillow(fn: Callable[..., Any], arg: Any) -> Any:
    """`fn(arg)`, once more with Pillow reading truncated files if it refuses one."""
    from PIL import ImageFile, UnidentifiedImageError

    before = None
    try:
        return fn(arg)
    except (OSError, UnidentifiedImageError, ValueError):
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        return fn(arg)
    finally:
        if before is not None:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def hasher() -> Any:
    """The hash function that names files."""
    return hashlib.sha256


def string_to_torch_dtype(string: str) -> Any:
    """The dtype of that name; None for one that is none."""
    import torch

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(string)


def image_alpha_fix(destination: Any, source: Any) -> tuple[Any, Any]:
    """Both images (B, H, W, C) with as many channels as the destination: alpha is cut off the source, or added opaque."""
    import torch

    if destination.shape[-1] < source.shape[-1]:
        source = source[..., : destination.shape[-1]]
    elif destination.shape[-1] > source.shape[-1]:
        destination = torch.nn.functional.pad(destination, (0, 1))
        destination[..., -1] = 1.0
    return destination, source
