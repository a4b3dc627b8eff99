"""Fibo 2's transformer: its sizes, off names and shapes. Files and the library name its tensors alike. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Layout, NetworkKind
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

PATCH: Final = 2
"""Pixels a side of the autoencoder's latent that are one token."""
LAYOUTS: Final = (
    Layout(
        name="diffusers",
        has=(
            "perceiver.latent_queries",
            "perceiver.layers.0.cross_attention.to_k.weight",
            "noise_refiner.0.attention.to_q.weight",
            "layers.0.attention.to_q.weight",
            "x_embedder.weight",
        ),
    ),
)


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return BriaFibo2Transformer2DModel's arguments for its tensors, without prefix."""
    width, channels = shapes["x_embedder.weight"]
    head = shapes["layers.0.attention.norm_q.weight"][0]
    layers = count(shapes, "layers.")
    axes = hints.get("axes") or [head // 4, head * 3 // 8, head * 3 // 8]  # 32, 48, 48 of 128
    return {
        "in_channels": channels // PATCH**2,
        "patch_size": PATCH,
        "dim": width,
        "n_layers": layers,
        "n_refiner_layers": count(shapes, "noise_refiner."),
        "n_heads": width // head,
        "cap_feat_dim": shapes["perceiver.layers.0.cross_attention.to_k.weight"][1],
        "injection_layer_ids": [i for i in range(layers) if f"layers.{i}.cross_attention.to_k.weight" in shapes],
        "perceiver_num_layers": count(shapes, "perceiver.layers."),
        "max_num_gist_tokens": shapes["perceiver.latent_queries"][0],
        "axes_dims": [int(axis) for axis in axes],
    }


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors, which have the library's names."""
    return dict(tensors)


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {}: no module has another path in files."""
    return {}


FIBO2: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_bria_fibo2:BriaFibo2Transformer2DModel",
    call="engine.models.networks.fibo2:Fibo2Network",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
)
