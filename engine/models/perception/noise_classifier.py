"""Classifiers of noisy pictures: the first half of a U-Net with attention over its end (Dhariwal and Nichol 2021).

In the naming of OpenAI's guided-diffusion. What no tensor tells is where sides are halved: at every (depth + 1)-th block, which
has no attention; depth is read off which blocks have some.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.renaming import substituted
from engine.models.shapes import count

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.shapes import Facts, Shapes

TITLE = "a classifier of noisy pictures (guided diffusion)"
LOADER = "UNETLoader"
USE = "ClassifierGuidance"
CALL = "engine.models.networks.noise_classifier:NoiseClassifier"
READS = False
MODEL_TYPES = ()

_PLACES = "out.2.positional_embedding"
_HEAD = 64
"""Channels of a head of attention in every such classifier that is about."""

_NAMES = [
    (r"^time_embed\.0\.", "time_embedding.linear_1."),
    (r"^time_embed\.2\.", "time_embedding.linear_2."),
    (r"^input_blocks\.0\.0\.", "conv_in."),
    (r"^input_blocks\.(\d+)\.", r"blocks.\1."),
    (r"^middle_block\.", "middle."),
    (r"^out\.0\.", "norm_out."),
    (r"^out\.2\.", "pool."),
    (r"\.in_layers\.0\.", ".norm1."),
    (r"\.in_layers\.2\.", ".conv1."),
    (r"\.emb_layers\.1\.", ".time_emb_proj."),
    (r"\.out_layers\.0\.", ".norm2."),
    (r"\.out_layers\.3\.", ".conv2."),
    (r"\.skip_connection\.", ".conv_shortcut."),
    (r"\.1\.norm\.", ".1.group_norm."),
    (r"\.1\.proj_out\.", ".1.to_out.0."),
]
"""From their names to those of the library's blocks."""


def is_there(shapes: Shapes) -> bool:
    """Say whether tensors are such a classifier."""
    return _PLACES in shapes and "input_blocks.0.0.weight" in shapes and "out.2.c_proj.weight" in shapes


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return sizes and the channels of every block; KeyError for a tensor that is not there."""
    total = count(shapes, "input_blocks.")
    attends = [f"input_blocks.{number}.1.qkv.weight" in shapes for number in range(total)]
    depth = _depth(total, attends)
    levels = total // (depth + 1)
    width, places = shapes[_PLACES]
    scaled = shapes["input_blocks.1.0.emb_layers.1.weight"][0] == 2 * shapes["input_blocks.1.0.in_layers.2.weight"][0]
    return {
        "in_channels": shapes["input_blocks.0.0.weight"][1],
        "time_channels": shapes["time_embed.0.weight"][1],
        "channels": [
            shapes[f"input_blocks.{number}.0.in_layers.2.weight" if number else "input_blocks.0.0.weight"][0]
            for number in range(total)
        ],
        "attends": attends,
        "depth": depth,
        "head": min(_HEAD, width),
        "scaled": scaled,
        "image_size": round((places - 1) ** 0.5) << (levels - 1),
        "classes": shapes["out.2.c_proj.weight"][0],
    }


def _depth(total: int, attends: list[bool]) -> int:
    """How many blocks there are before each that halves sides; KeyError where none fits."""
    first = attends.index(True) if True in attends else total
    for depth in range(1, total):
        halving = range(depth + 1, total, depth + 1)
        within = [number for number in range(first, total) if number not in halving]
        if total % (depth + 1) == 0 and not any(attends[n] for n in halving) and all(attends[n] for n in within):
            return depth
    raise KeyError("input_blocks of a depth that is the same at every size")


def build(config: Facts) -> nn.Module:
    """Return the network, of the library's blocks."""
    from engine.models.networks.noise_classifier import HalfUNet

    return HalfUNet(**config)


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the names of the library's blocks: queries, keys and values apart, of every head."""
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        place = substituted(name, _NAMES)
        if not re.search(r"\.1\.qkv\.", place):
            found[place] = value
            continue
        flat = value.reshape(value.shape[:2]) if value.ndim == 3 else value
        heads = flat.reshape(-1, 3, int(config["head"]), *flat.shape[1:])
        for number, part in enumerate(("to_q", "to_k", "to_v")):
            found[place.replace("qkv", part)] = heads[:, number].reshape(-1, *flat.shape[1:])
    return {
        name: value.reshape(value.shape[:2]) if name.endswith("to_out.0.weight") and value.ndim == 3 else value
        for name, value in found.items()
    }
