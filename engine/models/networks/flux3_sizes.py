"""FLUX.3's transformer: its sizes, off names and shapes, and its names in both layouts. No torch but for tensors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.models.families.base import Fused, Layout, NetworkKind
from engine.models.networks.converted import derived
from engine.models.networks.stacked import unstacked
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

ORIGINAL: Final = (
    "early_stream_modulations.image.lin.weight",
    "content_mode_blocks.image.0.q_proj.weight",
    "single_blocks.0.q_proj.weight",
    "emb_in.image.weight",
    "txt_in.weight",
)
DIFFUSERS: Final = (
    "early_stream_modulations.image.linear.weight",
    "mode_blocks.image.0.attn.to_q.weight",
    "single_transformer_blocks.0.attn.to_q.weight",
    "x_embedders.image.weight",
    "context_embedder.weight",
)
LAYOUTS: Final = (Layout(name="original", has=ORIGINAL), Layout(name="diffusers", has=DIFFUSERS))
_TRAINING: Final = "repa_projectors."
"""Parts of the original that only training needs."""

_MODES: Final = ("image", "image_cond", "txt")
_ENDS: Final = (
    "emb_in.image",
    "emb_in.image_cond",
    "txt_in",
    "time_in.in_layer",
    "time_in.out_layer",
    "final_layer.image.linear",
    *(f"{place}_stream_modulations.{mode}.lin" for place in ("early", "single") for mode in _MODES),
)
_FLOW_MAP: Final = ("ref_time_in.in_layer", "ref_time_in.out_layer")
"""Of a network that is told where a step ends."""
_BLOCK: Final = (
    "q_proj.weight",
    "k_proj.weight",
    "v_proj.weight",
    "attn_out.weight",
    "norm.query_norm.scale",
    "norm.key_norm.scale",
    "mlp_in.weight",
    "mlp_out.weight",
)


class _Names(NamedTuple):
    """Where a layout has what tells sizes."""

    first: str
    beside: str
    text: str
    time: str
    target: str
    norm: str
    inner: str
    single: str


_OF_ORIGINAL: Final = _Names(
    first="emb_in.image.weight",
    beside="emb_in.image_cond.weight",
    text="txt_in.weight",
    time="time_in.in_layer.weight",
    target="ref_time_in.in_layer.weight",
    norm="single_blocks.0.norm.query_norm.scale",
    inner="single_blocks.0.mlp_out.weight",
    single="single_blocks.",
)
_OF_DIFFUSERS: Final = _Names(
    first="x_embedders.image.weight",
    beside="x_embedders.image_cond.weight",
    text="context_embedder.weight",
    time="timestep_embedder.linear_1.weight",
    target="target_timestep_embedder.linear_1.weight",
    norm="single_transformer_blocks.0.attn.norm_q.weight",
    inner="single_transformer_blocks.0.ff.linear_out.weight",
    single="single_transformer_blocks.",
)


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return Flux3Transformer2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    names = _OF_ORIGINAL if ORIGINAL[0] in shapes else _OF_DIFFUSERS
    width, channels = shapes[names.first]
    head = shapes[names.norm][0]
    return {
        "in_channels": channels,
        "cond_in_channels": shapes[names.beside][1],
        "num_layers": count(shapes, "txt_mode_blocks."),
        "num_single_layers": count(shapes, names.single),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes[names.text][1],
        "timestep_channels": shapes[names.time][1],
        "mlp_ratio": shapes[names.inner][1] / width,
        "axes_dims_rope": [int(axis) for axis in hints.get("axes") or [head // 4] * 4],  # 32 four times of 128
        "flow_map": names.target in shapes,
    }


@cache
def _derived(layers: int, single_layers: int, width: int) -> tuple[dict[str, str], Fused]:
    """What diffusers' converter does with the original's names."""
    from diffusers.loaders.single_file_utils import convert_flux3_transformer_checkpoint_to_diffusers as convert

    tensors: dict[str, tuple[int, ...]] = {f"{name}.weight": (width,) for name in (*_ENDS, *_FLOW_MAP)}
    tensors["final_layer.image.adaLN_modulation.1.weight"] = (width,) * 2
    blocks = [f"single_blocks.{i}" for i in range(single_layers)]
    for i in range(layers):
        blocks += [f"content_mode_blocks.image.{i}", f"content_mode_blocks.image_cond.{i}", f"txt_mode_blocks.{i}"]
    tensors |= {f"{block}.{name}": (width,) for block in blocks for name in _BLOCK}
    return derived(convert, tensors)


def _names(config: Mapping[str, Any]) -> tuple[dict[str, str], Fused]:
    width = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
    return _derived(int(config["num_layers"]), int(config["num_single_layers"]), width)


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} of what is one module in both."""
    return _names(config)[0]


def fused(config: Mapping[str, Any]) -> Fused:
    """Return the rows of the last norm, whose shift and scale are swapped."""
    return _names(config)[1]


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of Flux3Transformer2DModel, without what only training needs."""
    kept = {name: value for name, value in tensors.items() if not name.startswith(_TRAINING)}
    return unstacked(kept, paths(config), fused(config)) if ORIGINAL[0] in kept else kept


FLUX3: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_flux3:Flux3Transformer2DModel",
    call="engine.models.networks.flux3:Flux3Network",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
