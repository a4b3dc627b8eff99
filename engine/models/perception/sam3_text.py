"""What SAM 3 reads the texts with that it is asked for: CLIP's text tower (Radford et al. 2021) with a last layer of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.models.networks import sam3_names
from engine.models.networks.sam3_names import is_original
from engine.models.shapes import count

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.shapes import Facts, Shapes

TITLE = "what SAM 3 reads texts with"
LOADER = "CheckpointLoaderSimple"
USE = "CLIPTextEncode"
CALL = "engine.models.networks.asking:Reader"
READS = True
MODEL_TYPES = ("sam3_video", "sam3")

_ORIGINAL, _LIBRARY = "detector.backbone.language_backbone.", "detector_model.text_"
_HEAD = 64


def is_there(shapes: Shapes) -> bool:
    """Say whether a file of SAM 3 holds it."""
    return any(name.startswith((_ORIGINAL, _LIBRARY)) for name in shapes)


def config(shapes: Shapes, hints: Facts) -> dict[str, Any]:
    """Return arguments of the library's tower, and `width` of what it gives; KeyError for a tensor that is not there."""
    if is_original(shapes):
        stand_ins: Any = {name: _Shape(shape) for name, shape in shapes.items() if name.startswith(_ORIGINAL)}
        found = {name: tuple(value.shape) for name, value in sam3_names.text(stand_ins).items()}
    else:
        found = _of_library(shapes)
    told = hints.get("detector_config", {}).get("text_config", {})
    table = found["text_model.embeddings.token_embedding.weight"]
    return {
        "vocab_size": table[0],
        "hidden_size": table[1],
        "intermediate_size": found["text_model.encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": count(found, "text_model.encoder.layers."),
        "num_attention_heads": int(told.get("num_attention_heads", max(1, table[1] // _HEAD))),
        "max_position_embeddings": found["text_model.embeddings.position_embedding.weight"][0],
        "hidden_act": str(told.get("hidden_act", "gelu")),
        "width": found["text_projection.weight"][0],
    }


class _Shape:
    """A tensor of which nothing is asked but its shape and that it be cut by rows."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __getitem__(self, rows: slice) -> _Shape:
        return _Shape((rows.stop - rows.start, *self.shape[1:]))


def _of_library(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The tower and the layer behind it, of a file in transformers' names; CLIP's own projection is of no use."""
    found = {}
    for name, value in tensors.items():
        for prefix, place in (("text_encoder.text_model.", "text_model."), ("text_projection.", "text_projection.")):
            if name.startswith(f"detector_model.{prefix}"):
                found[place + name.removeprefix(f"detector_model.{prefix}")] = value
    return found


def build(config: Facts) -> nn.Module:
    """Return the library's tower with the layer behind it."""
    from engine.models.networks.asking import TextTower

    return TextTower(**config)


def renamed(tensors: Mapping[str, Tensor], config: Facts) -> dict[str, Tensor]:
    """Return a file's tensors under the names of `TextTower`."""
    if any(name.startswith(_ORIGINAL) for name in tensors):
        return sam3_names.text({name: value for name, value in tensors.items() if name.startswith(_ORIGINAL)})
    return _of_library(tensors)
