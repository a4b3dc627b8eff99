"""Depth Anything 3 (Lin et al. 2025) for single pictures, Mono and Metric. Names of files are those of its authors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.networks import dino_names
from engine.models.shapes import part

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.shapes import Facts, Shapes

TITLE = "Depth Anything 3, Mono or Metric"
LOADER = "LoadDA3Model"
USE = "DA3Inference"
CALL = "engine.models.networks.depths:DepthEstimator"
READS = False
MODEL_TYPES = ()

_PREFIXES = ("model.", "")
_EYE, _HEAD = "backbone.pretrained.", "head."
_TAKEN = {24: (4, 11, 17, 23), 12: (2, 5, 8, 11), 40: (9, 19, 29, 39)}
"""Layers of DINOv2 → those that the head sees."""


def _prefix(shapes: Shapes) -> str | None:
    return next((one for one in _PREFIXES if f"{one}{_EYE}pos_embed" in shapes), None)


def is_there(shapes: Shapes) -> bool:
    """Say whether tensors are Depth Anything 3, of any form."""
    return _prefix(shapes) is not None


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return `DepthNetwork`'s arguments; KeyError for a tensor that is not there, as in the forms for several views.

    `taken` and `head` of the metadata's `perception`: layers that the head sees, and the width of a head of attention.
    """
    bare = part(shapes, prefix) if (prefix := _prefix(shapes)) else dict(shapes)
    eye = dino_names.sizes(part(bare, _EYE), int(hints.get("head", 64)))
    scratch = f"{_HEAD}scratch."
    if f"{scratch}sky_output_conv2.0.weight" not in bare:
        raise KeyError(f"{scratch}sky_output_conv2.0.weight, which those for single pictures have; use Mono or Metric")
    return {
        "eye": eye,
        "taken": list(hints.get("taken", _TAKEN.get(eye["layers"], ()))),
        "channels": [bare[f"{_HEAD}projects.{number}.weight"][0] for number in range(4)],
        "fused": bare[f"{scratch}layer1_rn.weight"][0],
        "last": bare[f"{scratch}output_conv2.0.weight"][0],
    }


def build(config: Facts) -> nn.Module:
    """Return the network."""
    from engine.models.networks.depth_module import DepthNetwork

    return DepthNetwork(**config)


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the names of the network."""
    first = next((one for one in _PREFIXES if f"{one}{_EYE}pos_embed" in tensors), "")
    bare = {name.removeprefix(first): value for name, value in tensors.items() if name.startswith(first)}
    eye = dino_names.renamed({name.removeprefix(_EYE): value for name, value in bare.items() if name.startswith(_EYE)})
    found = {f"backbone.{name}": value for name, value in eye.items()}
    return found | {name: value for name, value in bare.items() if name.startswith(_HEAD)}
