"""ControlNets of the U-Nets of Stable Diffusion (Zhang et al. 2023), in the original or diffusers naming. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models import detect, sd_keys
from engine.models.families import family_named
from engine.models.networks.unet_sizes import controlnet_config
from engine.models.shapes import Facts, Shapes, Spread

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "ControlNet"
PATCH: Final = False
MODULE: Final = "diffusers.models.controlnets.controlnet:ControlNetModel"
CALL: Final = "engine.models.network:ControlNetwork"
_HINTS: Final = ("input_hint_block.", "controlnet_cond_embedding.")


def is_there(shapes: Shapes) -> bool:
    """Say whether these are ControlNetModel's tensors."""
    others = ("double_blocks.0.img_attn.qkv.weight", "x_embedder.weight", "task_embedding")
    return any(name.startswith(_HINTS) for name in shapes) and not any(name in shapes for name in others)


def family(shapes: Shapes) -> str:
    """Return the family whose U-Net it has the sizes of."""
    return detect.family_of_denoiser(shapes).name


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return ControlNetModel's arguments."""
    return controlnet_config(shapes, hints, family_named(family(shapes)))


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under ControlNetModel's names."""
    kept = {name: value for name, value in tensors.items() if name != sd_keys.DIFFERENCE}
    return dict(sd_keys.controlnet_to_diffusers(kept, config))
