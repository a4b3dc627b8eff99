"""GLIGEN (Li et al. 2023): gated layers within Stable Diffusion's U-Net that look at texts in boxes. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.shapes import Facts, Shapes, Spread

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "GLIGEN"
PATCH: Final = True
MODULE: Final = "engine.models.networks.gated:GatedLayers"
CALL: Final = "engine.models.networks.gligen:Gligen"
_POSITION: Final = "position_net."
_FIRST: Final = f"{_POSITION}linears.0.weight"
_LAYER: Final = re.compile(r"(?P<place>.*)\.fuser\.(?P<name>.*)")
_STAGES: Final = {
    "input_blocks": 0,
    "down_blocks": 0,
    "middle_block": 1,
    "mid_block": 1,
    "output_blocks": 2,
    "up_blocks": 2,
}
_HEADS: Final = 8


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors, alone or among those of a U-Net."""
    return any(name.endswith(_FIRST) for name in shapes) and any(_LAYER.fullmatch(name) for name in shapes)


def family(shapes: Shapes) -> str:
    """It needs none."""
    return ""


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return the arguments of `GatedLayers`; the number of heads is 8 where nothing tells another."""
    first = next(shape for name, shape in shapes.items() if name.endswith(_FIRST))
    widths = [shapes[f"{place}.fuser.linear.weight"] for place in _places(shapes)]
    heads = hints.get("heads") or hints.get("attention_head_dim") or _HEADS
    null = next(shape for name, shape in shapes.items() if name.endswith(f"{_POSITION}null_position_feature"))
    return {
        "widths": [width for width, _ in widths],
        "text": first[1] - null[0],
        "context": widths[0][1],
        "heads": heads[0] if isinstance(heads, list | tuple) else heads,
        "frequencies": null[0] // 8,
    }


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the names of `GatedLayers`: layers numbered from input to output."""
    numbers = {place: number for number, place in enumerate(_places(tensors))}
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if match := _LAYER.fullmatch(name):
            found[f"layers.{numbers[match['place']]}.{match['name']}"] = value
        elif _POSITION in name:
            found[f"position.{name.partition(_POSITION)[2]}"] = value
    return found


def _places(names: Mapping[str, Any]) -> list[str]:
    """The blocks that have such a layer, from input to output."""
    places = {match["place"] for name in names if (match := _LAYER.fullmatch(name))}
    return sorted(places, key=_order)


def _order(place: str) -> tuple[int, ...]:
    stage = next((number for name, number in _STAGES.items() if name in place), 0)
    return (stage, *(int(number) for number in re.findall(r"\d+", place)))
