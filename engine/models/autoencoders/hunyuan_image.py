"""The autoencoder of HunyuanImage 2.1 (Tencent 2025), whose sides are 32 times smaller: its sizes, off names and shapes.

Its authors' names are those of Stable Diffusion's; what is made smaller there keeps its pixels as channels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.datatypes import latent_formats
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

MODULE: Final = "diffusers.models.autoencoders.autoencoder_kl_hunyuanimage:AutoencoderKLHunyuanImage"
CODEC: Final = "engine.models.autoencoder:Autoencoder"
LATENT: Final = latent_formats.HUNYUAN_IMAGE

_SMALLER: Final = "encoder.down.0.downsample.conv.weight"
_DIFFUSERS: Final = "encoder.down_blocks.0.conv1.weight"
_BLOCK: Final = re.compile(r"(encoder\.down|decoder\.up)\.(\d+)\.(block\.\d+|downsample|upsample)\.")
_MIDDLE: Final = (
    ("mid.block_1.", "mid_block.resnets.0."),
    ("mid.block_2.", "mid_block.resnets.1."),
    ("mid.attn_1.norm.", "mid_block.attentions.0.norm."),
    ("mid.attn_1.proj_out.", "mid_block.attentions.0.proj."),
    *((f"mid.attn_1.{part}.", f"mid_block.attentions.0.to_{part}.") for part in "qkv"),
)


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors: four pixels of what is made smaller are channels of one, so that few are counted."""
    smaller = shapes.get(_SMALLER, ())
    if len(smaller) in (4, 5):
        return smaller[0] < smaller[1]
    return len(shapes.get(_DIFFUSERS, ())) == 4 and "decoder.mid_block.attentions.0.proj.weight" in shapes


def space(config: Facts) -> tuple[int, int]:
    """Return the latents' channels and downscale."""
    return int(config["latent_channels"]), int(config["spatial_compression_ratio"])


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the library's names; convolutions that have one frame lose it."""
    if _SMALLER not in tensors:
        return dict(tensors)
    places = _places(config)
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        flat = value.squeeze(2) if value.ndim == 5 and value.shape[2] == 1 else value
        found[_library_name(name, places)] = flat
    return found


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return AutoencoderKLHunyuanImage's arguments, for tensors in its authors' or the library's naming."""
    widths, layers, halved = _levels(shapes) if _SMALLER in shapes else _levels_of_library(shapes)
    return {
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "block_out_channels": widths,
        "layers_per_block": layers,
        "spatial_compression_ratio": 2**halved,
        "sample_size": int(hints.get("sample_size", 384)),
    }


def _levels(shapes: Shapes) -> tuple[list[int], int, int]:
    """The widths of the encoder's levels, how many blocks each has, and how often sides are halved."""
    levels = range(count(shapes, "encoder.down."))
    widths = [shapes[f"encoder.down.{level}.block.0.conv1.weight"][0] for level in levels]
    halved = sum(f"encoder.down.{level}.downsample.conv.weight" in shapes for level in levels)
    return widths, count(shapes, "encoder.down.0.block."), halved


def _levels_of_library(shapes: Shapes) -> tuple[list[int], int, int]:
    """The same of one list, in which what halves sides stands between the levels."""
    levels: list[list[int]] = [[]]
    for number in range(count(shapes, "encoder.down_blocks.")):
        if block := shapes.get(f"encoder.down_blocks.{number}.conv1.weight"):
            levels[-1].append(block[0])
        else:
            levels.append([])
    return [level[0] for level in levels], len(levels[0]), len(levels) - 1


def _places(config: Facts) -> dict[tuple[str, int, str], int]:
    """Where each level's blocks stand in the library's lists."""
    found: dict[tuple[str, int, str], int] = {}
    levels, halved = len(config["block_out_channels"]), int(config["spatial_compression_ratio"]).bit_length() - 1
    for half, more, between in (("encoder.down", 0, "downsample"), ("decoder.up", 1, "upsample")):
        parts = [
            (half, level, part)
            for level in range(levels)
            for part in (*(f"block.{i}" for i in range(int(config["layers_per_block"]) + more)), between)
            if part != between or (level < halved and level != levels - 1)
        ]
        found |= {part: number for number, part in enumerate(parts)}
    return found


def _library_name(name: str, places: Mapping[tuple[str, int, str], int]) -> str:
    if (found := _BLOCK.match(name)) is not None:
        half, level, part = found.groups()
        return f"{half}_blocks.{places[half, int(level), part]}.{name[found.end() :]}"
    for theirs, ours in _MIDDLE:
        name = name.replace(theirs, ours)
    return name
