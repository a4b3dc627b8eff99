"""ControlNets of Stable Cascade's stage C (Stability AI 2024): a picture, seen once, is added before some blocks. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.autoencoders import stage_c
from engine.models.shapes import Facts, Shapes, Spread, count

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "ControlNet of Stable Cascade"
PATCH: Final = False
MODULE: Final = "engine.models.networks.cascade_control:CascadeControlNet"
CALL: Final = "engine.models.networks.cascade_control:CascadeControl"
_FIRST, _WIDE = "projections.0.0.weight", "projections.0.2.weight"
_EFFICIENT: Final = "backbone.0.0.weight"
_PLACES: Final = (0, 4, 8, 12, 51, 55, 59, 63)
"""Blocks of stage C, in the order in which they are run, of its authors' files."""


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors."""
    return _FIRST in shapes and _WIDE in shapes and ("backbone.0.weight" in shapes or _EFFICIENT in shapes)


def family(shapes: Shapes) -> str:
    """It needs none."""
    return ""


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return the arguments of `CascadeControlNet`."""
    parts = count(shapes, "projections.")
    told = {
        "places": [int(one) for one in hints.get("controlnet_blocks") or _PLACES[:parts]],
        "inner": shapes[_FIRST][0],
        "width": shapes[_WIDE][0],
    }
    if _EFFICIENT in shapes:
        of_encoder = {f"encoder.{name}": shape for name, shape in shapes.items() if name.startswith("backbone.")}
        sizes = stage_c.config({**of_encoder, "encoder.mapper.0.weight": (1, 1, 1, 1)}, {})
        seen = {name: sizes[name] for name in ("first", "stages", "last")}
        return {**told, "kind": "efficient", "channels": shapes[_EFFICIENT][1], "sizes": seen}
    first = shapes["backbone.0.weight"]
    if first[-1] > 1:
        return {**told, "kind": "simple", "channels": first[1], "sizes": {"first": first[0]}}
    narrow = shapes["backbone.2.weight"][0]
    residual = len({name.split(".")[1] for name in shapes if name.startswith("backbone.") and ".blocks." in name})
    return {
        **told,
        "kind": "large",
        "channels": first[1],
        "sizes": {"first": first[0], "narrow": narrow, "residual": residual},
    }


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors: they have the names of `CascadeControlNet`."""
    return {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}
