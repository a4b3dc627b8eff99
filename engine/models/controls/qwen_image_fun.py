"""Fun control networks of Qwen-Image (Qwen-Image-2512-Fun-Controlnet-Union; Alibaba PAI 2026). No torch.

They share the denoiser's embedders; their layers are spread evenly over its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.shapes import Facts, Shapes, Spread, count

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "Fun ControlNet of Qwen-Image"
PATCH: Final = False
MODULE: Final = "engine.models.networks.qwen_image_fun:FunControl"
CALL: Final = "engine.models.networks.qwen_image_fun:QwenImageFun"
_PICTURE: Final = "control_img_in.weight"
_LAYERS: Final = 60
"""Of the denoiser."""


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors."""
    return _PICTURE in shapes and "control_blocks.0.before_proj.weight" in shapes


def family(shapes: Shapes) -> str:
    """It needs none."""
    return ""


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return the arguments of `FunControl`."""
    width, channels = shapes[_PICTURE]
    head = shapes["control_blocks.0.attn.norm_q.weight"][0]
    blocks = count(shapes, "control_blocks.")
    places = hints.get("control_layers") or [i * (_LAYERS // blocks) for i in range(blocks)]
    return {"places": [int(place) for place in places], "width": width, "head": head, "channels": channels}


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors: they have the names of `FunControl`."""
    return dict(tensors)
