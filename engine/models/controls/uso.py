"""USO's projector (Wu et al. 2025), which makes tokens of FLUX.1's text of what SigLIP saw of a picture's style. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.shapes import Facts, Shapes, Spread

if TYPE_CHECKING:
    from torch import Tensor

TITLE: Final = "projector of USO"
PATCH: Final = True
MODULE: Final = "engine.models.networks.uso:StyleProjector"
CALL: Final = "engine.models.networks.uso:Uso"
_PREFIX: Final = "feature_embedder."
_FIRST: Final = "high_embedding_linear.0.weight"


def is_there(shapes: Shapes) -> bool:
    """Say whether these are its tensors, with or without the prefix of its authors' file."""
    return _FIRST in _bare(shapes)


def family(shapes: Shapes) -> str:
    """It needs none."""
    return ""


def config(shapes: Shapes, hints: Facts, spread: Spread) -> dict[str, Any]:
    """Return the arguments of `StyleProjector`."""
    bare = _bare(shapes)
    (made, seen), (width, dims) = bare[_FIRST], bare["high_projection.weight"]
    return {"seen": seen, "made": made, "dims": dims, "width": width, "normed": "high_layer_norm.weight" in bare}


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the names of `StyleProjector`."""
    return _bare(tensors)


def _bare(named: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(_PREFIX): value for name, value in named.items()}
