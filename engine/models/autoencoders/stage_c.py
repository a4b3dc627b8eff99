"""Stable Cascade's stage C: EfficientNetV2's view of a picture as its latent, and a small decoder to look at one. No torch.

Files have the encoder (`effnet_encoder`), the decoder (`previewer`), or both. Strides are those of EfficientNetV2-S, the rest is
read off names and shapes. The decoder's pictures are 8 pixels for one of the latent, where the encoder takes 32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.datatypes import latent_formats
from engine.models.shapes import Facts, Shapes, count, part

if TYPE_CHECKING:
    from torch import Tensor

MODULE: Final = "engine.models.stage_c_coder:StageCCoder"
CODEC: Final = "engine.models.stage_c_coder:StageCCodec"
LATENT: Final = latent_formats.CASCADE_C
_DOWNSCALE: Final = 32


def is_there(shapes: Shapes) -> bool:
    """Say whether these are stage C's encoder or decoder, alone or together."""
    return any(
        name in _named(shapes) for name in ("encoder.backbone.1.0.block.0.1.weight", "previewer.blocks.11.running_mean")
    )


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return StageCCoder's arguments; KeyError for a tensor that is not there."""
    named = _named(shapes)
    backbone, blocks = part(named, "encoder.backbone."), part(named, "previewer.blocks.")
    stages = [_stage(backbone, f"{i}.") for i in range(1, count(backbone, "") - 1)] if backbone else []
    last = f"{len(stages) + 1}.0.weight"
    return {
        "first": backbone["0.0.weight"][0] if backbone else 0,
        "stages": stages,
        "last": backbone[last][0] if backbone else 0,
        "decoder": [list(shape) for name, shape in sorted(blocks.items(), key=_place) if len(shape) == 4],
        "latent_channels": named["encoder.mapper.0.weight"][0] if backbone else blocks["0.weight"][1],
    }


def _place(one: tuple[str, tuple[int, ...]]) -> int:
    return int(one[0].split(".")[0])


def _stage(backbone: Shapes, stage: str) -> list[int]:
    """Layers, width, expansion of a stage, and whether its blocks squeeze (MBConv) or not (Fused-MBConv)."""
    block = f"{stage}0.block."
    expanded, given = backbone[f"{block}0.0.weight"][:2]
    squeezes = f"{block}2.fc1.weight" in backbone
    out = next(backbone[name][0] for i in (3, 1, 0) if (name := f"{block}{i}.0.weight") in backbone)
    return [count(backbone, stage), out, expanded // given, int(squeezes)]


def space(config: Facts) -> tuple[int, int]:
    """Return the latents' channels and the encoder's downscale."""
    return int(config["latent_channels"]), _DOWNSCALE


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under StageCCoder's names."""
    return _named(tensors)


def _named(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """What is alone in its file has no prefix there."""
    whole = {"backbone.": "encoder.", "mapper.": "encoder.", "blocks.": "previewer."}
    found = {}
    for name, value in tensors.items():
        prefix = next((prefix for start, prefix in whole.items() if name.startswith(start)), "")
        if not name.endswith("num_batches_tracked") and name not in ("encoder.mean", "encoder.std"):
            found[f"{prefix}{name}"] = value
    return found
