"""ERNIE-Image's transformer: its sizes, off names and shapes. Files and the library name its tensors alike. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Layout, NetworkKind
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

LAYOUTS: Final = (
    Layout(
        name="original",
        has=(
            "layers.0.adaLN_sa_ln.weight",
            "layers.0.self_attention.to_q.weight",
            "layers.0.mlp.linear_fc2.weight",
            "x_embedder.proj.weight",
            "adaLN_modulation.1.weight",
            "final_linear.weight",
        ),
    ),
)


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return ErnieImageTransformer2DModel's arguments for its tensors, without prefix."""
    width, channels, patch, _ = shapes["x_embedder.proj.weight"]
    head = shapes["layers.0.self_attention.norm_q.weight"][0]
    axes = hints.get("axes") or hints.get("rope_axes_dim") or [head // 4, head * 3 // 8, head * 3 // 8]  # 32, 48, 48
    return {
        "hidden_size": width,
        "num_attention_heads": width // head,
        "num_layers": count(shapes, "layers."),
        "ffn_hidden_size": shapes["layers.0.mlp.linear_fc2.weight"][1],
        "in_channels": channels,
        "out_channels": shapes["final_linear.weight"][0] // patch**2,
        "patch_size": patch,
        # A text as wide as the network goes in as it is.
        "text_in_dim": shapes.get("text_proj.weight", (width, width))[1],
        "rope_axes_dim": [int(axis) for axis in axes],
    }


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors, which have the library's names."""
    return dict(tensors)


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {}: no module has another path in files."""
    return {}


ERNIE_IMAGE: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_ernie_image:ErnieImageTransformer2DModel",
    call="engine.models.networks.ernie_image:ErnieImageNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
)
