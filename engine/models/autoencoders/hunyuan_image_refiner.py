"""The autoencoder of HunyuanImage's refiner (Tencent 2025), which has frames: its sizes, read off names and shapes. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.datatypes import latent_formats
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

MODULE: Final = "diffusers.models.autoencoders.autoencoder_kl_hunyuanimage_refiner:AutoencoderKLHunyuanImageRefiner"
CODEC: Final = "engine.models.autoencoder_twice:TwiceAutoencoder"
LATENT: Final = latent_formats.HUNYUAN_IMAGE_REFINER

_ORIGINAL: Final = "encoder.down.0.block.0.norm1.gamma"
_DIFFUSERS: Final = "encoder.down_blocks.0.resnets.0.norm1.gamma"
_WORDS: Final = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"\.(down|up)\.(\d+)\.block\.", r".\1_blocks.\2.resnets."),
        (r"\.(down|up)\.(\d+)\.(down|up)sample\.", r".\1_blocks.\2.\3samplers.0."),
        (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
        (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
        (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
        (r"\.mid\.attn_1\.", ".mid_block.attentions.0."),
    )
)
"""Its authors' words and the library's."""


def _library_name(name: str) -> str:
    for pattern, word in _WORDS:
        name = pattern.sub(word, name)
    return name


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors: convolutions over time, whose norms have no bias."""
    first = any(name in shapes for name in (_ORIGINAL, _DIFFUSERS))
    return first and len(shapes.get("decoder.conv_in.conv.weight", ())) == 5


def space(config: Facts) -> tuple[int, int]:
    """Return the latents' channels, which stand there twice, and downscale."""
    return 2 * int(config["latent_channels"]), int(config["spatial_compression_ratio"])


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the library's names."""
    return {_library_name(name): value for name, value in tensors.items()}


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return AutoencoderKLHunyuanImageRefiner's arguments, for tensors in its authors' or the library's naming."""
    found = {_library_name(name): shape for name, shape in shapes.items()}
    block = "encoder.down_blocks.{}."
    levels = range(count(found, "encoder.down_blocks."))
    widths = [found[f"{block.format(level)}resnets.0.conv1.conv.weight"][0] for level in levels]
    halved = {
        level: found[name][0]
        for level in levels
        if (name := f"{block.format(level)}downsamplers.0.conv.conv.weight") in found
    }
    # Of eight pixels that become one, over time too, an eighth of the next level's channels is counted.
    over_time = sum(rows * 8 == widths[level + 1] for level, rows in halved.items())
    return {
        "in_channels": found["encoder.conv_in.conv.weight"][1],
        "out_channels": found["decoder.conv_out.conv.weight"][0],
        "latent_channels": found["decoder.conv_in.conv.weight"][1],
        "block_out_channels": widths,
        "layers_per_block": count(found, f"{block.format(0)}resnets."),
        "spatial_compression_ratio": 2 ** len(halved),
        "temporal_compression_ratio": 2**over_time,
    }
