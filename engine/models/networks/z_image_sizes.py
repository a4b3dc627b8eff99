"""The transformer of Z-Image: its sizes, read off names and shapes, and its names in both layouts. No torch but for tensors.

It is built as Lumina 2's, from which it is told by how the blocks take time (one layer, without an activation before it) and by
the learned tokens that fill up rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Fused, Layout, NetworkKind
from engine.models.networks.stacked import stacked, unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

ORIGINAL: Final = (
    "layers.0.attention.qkv.weight",
    "layers.0.adaLN_modulation.0.weight",
    "x_embedder.weight",
    "cap_embedder.1.weight",
    "cap_pad_token",
)
DIFFUSERS: Final = (
    "layers.0.attention.to_q.weight",
    "layers.0.adaLN_modulation.0.weight",
    "all_x_embedder.2-1.weight",
    "cap_embedder.1.weight",
    "cap_pad_token",
)
_OMNI: Final = "siglip_embedder.0.weight"
"""What a network has that also sees pictures through another encoder."""

LAYOUTS: Final = (Layout(name="original", has=ORIGINAL), Layout(name="diffusers", has=DIFFUSERS))

_ENDS: Final = {
    "all_x_embedder.2-1": "x_embedder",
    "all_final_layer.2-1.linear": "final_layer.linear",
    "all_final_layer.2-1.adaLN_modulation.1": "final_layer.adaLN_modulation.1",
}
_ATTENTION: Final = {"to_out.0": "out", "norm_q": "q_norm", "norm_k": "k_norm"}
_UNUSED: Final = "norm_final.weight"
"""In some files, of no use to the network."""

_REACH: Final = (4096, 1024, 1024)
"""How many places are worked out along text, rows and columns. No weight has this size; published: 1536, 512, 512."""


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return ZImageTransformer2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    original = ORIGINAL[0] in shapes
    width, pixels = shapes["x_embedder.weight" if original else "all_x_embedder.2-1.weight"]
    head = shapes[f"layers.0.attention.{'q_norm' if original else 'norm_q'}.weight"][0]
    axes = hints.get("axes") or [head // 4, head * 3 // 8, head * 3 // 8]  # 32, 48, 48 of 128
    return {
        "in_channels": pixels // 4,
        "dim": width,
        "n_layers": count(shapes, "layers."),
        "n_refiner_layers": count(shapes, "noise_refiner."),
        "n_heads": width // head,
        "n_kv_heads": width // head,
        "cap_feat_dim": shapes["cap_embedder.1.weight"][1],
        "siglip_feat_dim": shapes[_OMNI][0] if _OMNI in shapes else None,
        "axes_dims": [int(axis) for axis in axes],
        "axes_lens": list(_REACH),
    }


def _blocks(config: Mapping[str, Any]) -> Iterator[str]:
    """The paths of all blocks, the same in both layouts."""
    for group, number in (
        ("layers", config["n_layers"]),
        ("noise_refiner", config["n_refiner_layers"]),
        ("context_refiner", config["n_refiner_layers"]),
        ("siglip_refiner", config["n_refiner_layers"] if config.get("siglip_feat_dim") else 0),
    ):
        yield from (f"{group}.{i}" for i in range(int(number)))


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} of what is one module in both, called otherwise."""
    renames = {
        f"{block}.attention.{ours}": f"{block}.attention.{theirs}"
        for block in _blocks(config)
        for ours, theirs in _ATTENTION.items()
    }
    return _ENDS | renames


def fused(config: Mapping[str, Any]) -> Fused:
    """Return which rows of the original's stacked projections make which module."""
    width = int(config["dim"])
    return {
        f"{block}.attention.qkv": stacked([f"{block}.attention.to_{part}" for part in "qkv"], [width] * 3)
        for block in _blocks(config)
    }


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of ZImageTransformer2DModel."""
    used = {name: value for name, value in tensors.items() if name != _UNUSED}
    return unstacked(used, paths(config), fused(config)) if ORIGINAL[0] in used else used


Z_IMAGE: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_z_image:ZImageTransformer2DModel",
    call="engine.models.networks.z_image:ZImageNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
