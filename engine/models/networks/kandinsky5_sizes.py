"""Kandinsky 5's transformer: its sizes, off names and shapes. Files and the library name its tensors alike. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Layout, NetworkKind
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

PATCH: Final = 2
"""Latent pixels a side that are one token."""
_IN, _OUT = "visual_embeddings.in_layer.weight", "out_layer.out_layer.weight"


def _plain(shapes: Shapes) -> bool:
    """Whether the network takes a latent alone: those for videos take another, and where it counts, beside it."""
    return shapes[_IN][1] == shapes[_OUT][0]


LAYOUTS: Final = (
    Layout(
        name="diffusers",
        has=(
            _IN,
            _OUT,
            "visual_transformer_blocks.0.cross_attention.to_query.weight",
            "text_transformer_blocks.0.self_attention.to_query.weight",
            "pooled_text_embeddings.in_layer.weight",
        ),
        check=_plain,
    ),
)


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return Kandinsky5Transformer3DModel's arguments for its tensors, without prefix."""
    head = shapes["visual_transformer_blocks.0.self_attention.query_norm.weight"][0]
    axes = hints.get("axes") or [head // 4, head * 3 // 8, head * 3 // 8]  # 16, 24, 24 of 64
    return {
        "in_visual_dim": shapes[_IN][1] // PATCH**2,
        "in_text_dim": shapes["text_embeddings.in_layer.weight"][1],
        "in_text_dim2": shapes["pooled_text_embeddings.in_layer.weight"][1],
        "time_dim": shapes["time_embeddings.out_layer.weight"][0],
        "out_visual_dim": shapes[_OUT][0] // PATCH**2,
        "model_dim": shapes[_IN][0],
        "ff_dim": shapes["visual_transformer_blocks.0.feed_forward.in_layer.weight"][0],
        "num_text_blocks": count(shapes, "text_transformer_blocks."),
        "num_visual_blocks": count(shapes, "visual_transformer_blocks."),
        "axes_dims": [int(axis) for axis in axes],
    }


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors, which have the library's names."""
    return dict(tensors)


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {}: no module has another path in files."""
    return {}


KANDINSKY5: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_kandinsky:Kandinsky5Transformer3DModel",
    call="engine.models.networks.kandinsky5:Kandinsky5Network",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
)
