"""Blockwise control networks of Qwen-Image (DiffSynth-Studio; ModelScope 2025), which work between its layers. No torch.

Comfy-Org's files of them are taken to have the same names (inferred).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.shapes import Facts, Shapes, Spread, count

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "blockwise control network of Qwen-Image"
PATCH: Final = True
MODULE: Final = "engine.models.networks.qwen_image_blocks:BlockwiseControl"
CALL: Final = "engine.models.networks.qwen_image_blocks:QwenImageBlocks"
_LATENT: Final = 64
"""Numbers of a token of the latent."""


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors."""
    return "controlnet_blocks.0.y_rms.weight" in shapes and "img_in.weight" in shapes


def family(shapes: Shapes) -> str:
    """It needs none."""
    return ""


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return the arguments of `BlockwiseControl`."""
    width, seen = shapes["img_in.weight"]
    return {"layers": count(shapes, "controlnet_blocks."), "width": width, "channels": seen, "masked": seen > _LATENT}


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors: they have the names of `BlockwiseControl`."""
    return dict(tensors)
