"""MoGe-2 (Wang et al. 2025): points, normals and a mask of a picture. Names of files are those of its authors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.networks import dino_names
from engine.models.shapes import count, part

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.shapes import Facts, Shapes

TITLE = "MoGe 2"
LOADER = "LoadMoGeModel"
USE = "MoGeInference"
CALL = "engine.models.networks.geometries:GeometryEstimator"
READS = False
MODEL_TYPES = ()

_EYE = "encoder.backbone."
_STACKS = ("neck", "points_head", "normal_head", "mask_head")
_LEVELS = 5
_TOKENS = (1200, 3600)


def is_there(shapes: Shapes) -> bool:
    """Say whether tensors are MoGe-2."""
    return (
        f"{_EYE}pos_embed" in shapes
        and "neck.input_blocks.0.weight" in shapes
        and "points_head.input_blocks.0.weight" in shapes
    )


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return `MoGeNetwork`'s arguments, and `tokens`, the least and the most; KeyError for a tensor that is not there.

    `taken`, `tokens` and `head` (the width of a head of attention) may stand in the metadata's `perception`. Without, the last
    layer of each quarter is seen, as in the released models of 24 layers (of others inferred).
    """
    eye = dino_names.sizes(part(shapes, _EYE), int(hints.get("head", 64)))
    layers, seen = eye["layers"], count(shapes, "encoder.output_projections.")
    scale = [shapes[name] for name in _scale_names(shapes)]
    return {
        "eye": eye,
        "taken": list(hints.get("taken", [layers * (one + 1) // seen - 1 for one in range(seen)])),
        "projected": shapes["encoder.output_projections.0.weight"][0],
        "stacks": {name: _stack(part(shapes, f"{name}.")) for name in _STACKS if part(shapes, f"{name}.")},
        "scale": [scale[0][1], *(shape[0] for shape in scale)] if scale else [],
        "tokens": list(hints.get("tokens", _TOKENS)),
    }


def _scale_names(shapes: Shapes) -> list[str]:
    numbers = sorted({int(name.split(".")[1]) for name in shapes if name.startswith("scale_head.")})
    return [f"scale_head.{number}.weight" for number in numbers]


def _stack(shapes: Shapes) -> dict[str, Any]:
    """`Stack`'s arguments, read off its tensors."""
    first = shapes["input_blocks.0.weight"]
    widths, grows = [first[0]], []
    for level in range(_LEVELS - 1):
        here = f"resamplers.{level}."
        if f"{here}2.weight" in shapes:
            way, width = "pixel_shuffle", shapes[f"{here}2.weight"][0]
        elif f"{here}0.weight" in shapes:
            way, width = "conv_transpose", shapes[f"{here}0.weight"][1]
        else:
            way, width = "bilinear", shapes[f"{here}1.weight"][0]
        grows.append(way)
        widths.append(width)
    block = next(
        (
            f"res_blocks.{level}.0.layers."
            for level in range(_LEVELS)
            if f"res_blocks.{level}.0.layers.2.weight" in shapes
        ),
        "",
    )
    inner = shapes[f"{block}2.weight"][0] // shapes[f"{block}2.weight"][1] if block else 1
    return {
        "takes": [shapes.get(f"input_blocks.{level}.weight", (0, 0))[1] for level in range(_LEVELS)],
        "gives": [shapes.get(f"output_blocks.{level}.weight", (0,))[0] for level in range(_LEVELS)],
        "widths": widths,
        "blocks": [count(shapes, f"res_blocks.{level}.") for level in range(_LEVELS)],
        "grows": grows,
        "inner": inner,
        "norms": ["layer" if f"{block}0.weight" in shapes else "", "group" if f"{block}3.weight" in shapes else ""],
    }


def build(config: Facts) -> nn.Module:
    """Return the network."""
    from engine.models.networks.moge_module import MoGeNetwork

    return MoGeNetwork(**{name: value for name, value in config.items() if name != "tokens"})


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the names of the network."""
    eye = dino_names.renamed(
        {name.removeprefix(_EYE): value for name, value in tensors.items() if name.startswith(_EYE)}
    )
    found = {f"{_EYE}{name}": value for name, value in eye.items()}
    return found | {name: value for name, value in tensors.items() if not name.startswith(_EYE)}
