"""Control-LLLite of Stable Diffusion XL (kohya-ss 2023), which works on what layers of the U-Net are given. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.shapes import Facts, Shapes, Spread

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "Control-LLLite of Stable Diffusion XL"
PATCH: Final = True
MODULE: Final = "engine.models.networks.lllite:Lllite"
CALL: Final = "engine.models.networks.lllite:LlliteControl"
_PREFIX: Final = "lllite_unet_"
_DOWN: Final = ".down.0.weight"
_SEEN: Final = ".conditioning1."


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors."""
    return any(name.startswith(_PREFIX) and name.endswith(_DOWN) for name in shapes)


def family(shapes: Shapes) -> str:
    """It needs none."""
    return ""


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return the arguments of `Lllite`."""
    layers = {}
    for tensor in sorted(shapes):
        if tensor.endswith(_DOWN):
            name = tensor.removesuffix(_DOWN)
            rank, width = shapes[tensor][:2]
            layers[name] = [_convolutions(shapes, f"{name}{_SEEN}"), width, rank, len(shapes[tensor]) == 4]
    return {"layers": layers}


def _convolutions(shapes: Shapes, prefix: str) -> list[list[int]]:
    """What each makes and sees, and its side; between them stand layers without weights."""
    names = sorted(name for name in shapes if name.startswith(prefix) and name.endswith(".weight"))
    if not names:
        raise KeyError(f"{prefix}0.weight")
    return [list(shapes[name][:3]) for name in names]


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors: they have the names of `Lllite`."""
    return dict(tensors)
