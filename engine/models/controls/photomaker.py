"""PhotoMaker's first version (Li et al. 2023): faces stacked onto the word of a prompt that stands for a person. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.errors import CheckpointError
from engine.models.shapes import Facts, Shapes, Spread
from engine.models.vision_facts import vision_config

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "encoder of people of PhotoMaker"
PATCH: Final = True
MODULE: Final = "engine.models.networks.photomaker:PersonEncoder"
CALL: Final = "engine.models.networks.photomaker:PhotoMaker"
_PREFIX: Final = "id_encoder."
_SECOND: Final = "visual_projection_2.weight"


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors, in a file with a LoRA or alone."""
    bare = _bare(shapes)
    return "fuse_module.mlp1.fc1.weight" in bare and _SECOND in bare


def family(shapes: Shapes) -> str:
    """It needs none."""
    return ""


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return the arguments of `PersonEncoder`. Raises CheckpointError for the second version."""
    bare = _bare(shapes)
    if any(name.startswith("qformer_perceiver.") for name in bare):
        raise CheckpointError(
            "PhotoMaker's second version, which takes vectors of a network for faces (insightface) that is not here. Use the "
            "first (photomaker-v1)."
        )
    return {"vision": vision_config(bare, hints), "second": bare[_SECOND][0]}


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the names of `PersonEncoder`, without those of the LoRA."""
    return {name: value for name, value in _bare(tensors).items() if not name.endswith("position_ids")}


def _bare(named: Mapping[str, Any]) -> dict[str, Any]:
    """What is of the encoder, without prefix."""
    found = {name.removeprefix(_PREFIX): value for name, value in named.items() if name.startswith(_PREFIX)}
    return found or dict(named)
