"""OmniGen2's network: its sizes, off names and shapes. Files name its tensors as its authors do. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Layout, NetworkKind
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

REFERENCES: Final = "ref_image_patch_embedder.weight"
LAYOUTS: Final = (
    Layout(
        name="original",
        has=(
            REFERENCES,
            "x_embedder.weight",
            "image_index_embedding",
            "layers.0.attn.to_q.weight",
            "ref_image_refiner.0.attn.to_q.weight",
            "time_caption_embed.caption_embedder.1.weight",
        ),
    ),
)


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return OmniGen2Transformer's arguments for its tensors, without prefix."""
    width, pixels = shapes["x_embedder.weight"]
    head = shapes["layers.0.attn.norm_q.weight"][0]
    axes = hints.get("axes") or [head // 3] * 3  # 40 three times of 120
    return {
        "in_channels": pixels // 4,
        "out_channels": shapes["norm_out.linear_2.weight"][0] // 4,
        "hidden_size": width,
        "inner": shapes["layers.0.feed_forward.linear_1.weight"][0],
        "num_layers": count(shapes, "layers."),
        "num_refiner_layers": count(shapes, "noise_refiner."),
        "num_attention_heads": width // head,
        "num_kv_heads": shapes["layers.0.attn.to_k.weight"][0] // head,
        "axes": [int(axis) for axis in axes],
        "text_feat_dim": shapes["time_caption_embed.caption_embedder.1.weight"][1],
        "references": shapes["image_index_embedding"][0],
    }


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors, which have the module's names."""
    return dict(tensors)


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {}: no module has another path in files."""
    return {}


OMNIGEN2: Final = NetworkKind(
    title="transformer",
    module="engine.models.networks.omnigen2_module:OmniGen2Transformer",
    call="engine.models.networks.omnigen2:OmniGen2Network",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
)
