"""The first MoGe (Wang et al. 2024): points and a mask of a picture. Names of files are those of its authors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.networks import dino_names
from engine.models.shapes import count, part

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.shapes import Facts, Shapes

TITLE = "MoGe 1"
LOADER = "LoadMoGeModel"
USE = "MoGeInference"
CALL = "engine.models.networks.geometries:GeometryEstimator"
READS = False
MODEL_TYPES = ()

_EYE, _LEVEL, _END = "backbone.", "head.upsample_blocks.0.", "head.output_block.0."
_TOKENS = (1200, 2500)


def is_there(shapes: Shapes) -> bool:
    """Say whether tensors are the first MoGe."""
    return f"{_EYE}pos_embed" in shapes and f"{_LEVEL}0.0.weight" in shapes and f"{_END}0.weight" in shapes


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return `FirstMoGeNetwork`'s arguments, and `tokens`, the least and the most; KeyError for a tensor that is not there.

    `taken`, `tokens` and `head` (the width of a head of attention) may stand in the metadata's `perception`. Without, as many of
    the last layers are seen as there are projections.
    """
    eye = dino_names.sizes(part(shapes, _EYE), int(hints.get("head", 64)))
    layers, seen = eye["layers"], count(shapes, "head.projects.")
    grows = [
        shapes[f"head.upsample_blocks.{level}.0.0.weight"][1] for level in range(count(shapes, "head.upsample_blocks."))
    ]
    final = max(int(name.removeprefix(_END).split(".")[0]) for name in shapes if name.startswith(_END))
    block = next((one for one in (f"{_LEVEL}1.layers.2.weight", f"{_END}1.layers.2.weight") if one in shapes), "")
    return {
        "eye": eye,
        "taken": list(hints.get("taken", range(layers - seen, layers))),
        "projected": shapes["head.projects.0.weight"][0],
        "grows": grows,
        "blocks": count(shapes, _LEVEL) - 1,
        "last": [shapes[f"{_END}0.weight"][0], final - 2, shapes[f"{_END}{final}.weight"][-1]],
        "inner": shapes[block][0] // shapes[block][1] if block else 1,
        "tokens": list(hints.get("tokens", _TOKENS)),
    }


def build(config: Facts) -> nn.Module:
    """Return the network."""
    from engine.models.networks.moge_first_module import FirstMoGeNetwork

    return FirstMoGeNetwork(**{name: value for name, value in config.items() if name != "tokens"})


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the names of the network."""
    eye = dino_names.renamed(
        {name.removeprefix(_EYE): value for name, value in tensors.items() if name.startswith(_EYE)}
    )
    found = {f"{_EYE}{name}": value for name, value in eye.items()}
    return found | {name: value for name, value in tensors.items() if name.startswith("head.")}
