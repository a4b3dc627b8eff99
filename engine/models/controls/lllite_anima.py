"""Control-LLLite of Anima (kohya-ss 2026), second format: one network for the picture, a small one for each layer. No torch.

The names and sums are those of github.com/invoke-ai/InvokeAI at commit 8e71a8a, whose code is a port of its author's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.shapes import Facts, Shapes, Spread, count

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "Control-LLLite of Anima"
PATCH: Final = True
MODULE: Final = "engine.models.networks.lllite_anima:AnimaLllite"
CALL: Final = "engine.models.networks.lllite_anima:AnimaLlliteControl"
_PICTURE: Final = "lllite_conditioning1."
_LAYER: Final = re.compile(
    r"(lllite_dit_blocks_\d+_(?:self_attn_[qkv]_proj|cross_attn_q_proj|mlp_layer1))\.down\.weight"
)
_DILATIONS: Final = (1, 2, 4, 8)
"""Where a file does not tell."""


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors, for a picture with or without a mask."""
    seen = shapes.get(f"{_PICTURE}conv1.weight", (0, 0))[1]
    return seen in (3, 4) and any(map(_LAYER.fullmatch, shapes))


def family(shapes: Shapes) -> str:
    """It needs none."""
    return ""


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return the arguments of `AnimaLllite`, and `blacked`: whether the picture is empty where the mask is."""
    found = {match[1]: shapes[name] for name in sorted(shapes) if (match := _LAYER.fullmatch(name))}
    branches = count(shapes, f"{_PICTURE}aspp.branches.")
    told = str(hints.get("lllite.aspp_dilations") or "")
    dilations = [int(one) for one in told.split(",") if one.strip()] or list(_DILATIONS)
    return {
        "layers": {name: shape[1] for name, shape in found.items()},
        "rank": next(iter(found.values()))[0],
        "shown": shapes[f"{_PICTURE}proj.weight"][0],
        "width": shapes[f"{_PICTURE}conv3.weight"][0],
        "channels": shapes[f"{_PICTURE}conv1.weight"][1],
        "residual": count(shapes, f"{_PICTURE}resblocks."),
        "dilations": dilations[:branches],
        "blacked": str(hints.get("lllite.inpaint_masked_input", "")).lower() == "true",
    }


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors: they have the names of `AnimaLllite`."""
    return dict(tensors)
