"""FLUX.2's transformer: its sizes, off names and shapes, and its names in both layouts. No torch but for tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    "double_stream_modulation_img.lin.weight",
    "double_blocks.0.img_attn.qkv.weight",
    "single_blocks.0.linear1.weight",
    "img_in.weight",
    "txt_in.weight",
)
DIFFUSERS: Final = (
    "double_stream_modulation_img.linear.weight",
    "transformer_blocks.0.attn.add_q_proj.weight",
    "single_transformer_blocks.0.attn.to_qkv_mlp_proj.weight",
    "x_embedder.weight",
    "context_embedder.weight",
)
GUIDANCE: Final = (
    "guidance_in.in_layer.weight",
    "time_guidance_embed.guidance_embedder.linear_1.weight",
)
"""Of a network that was distilled to take its guidance as a number, in either layout."""

_ENDS: Final = (
    "img_in.weight",
    "txt_in.weight",
    "time_in.in_layer.weight",
    "time_in.out_layer.weight",
    "guidance_in.in_layer.weight",
    "guidance_in.out_layer.weight",
    "double_stream_modulation_img.lin.weight",
    "double_stream_modulation_txt.lin.weight",
    "single_stream_modulation.lin.weight",
    "final_layer.linear.weight",
)
_DOUBLE: Final = (
    "attn.norm.query_norm.scale",
    "attn.norm.key_norm.scale",
    "attn.proj.weight",
    "mlp.0.weight",
    "mlp.2.weight",
)
_SINGLE: Final = ("linear1.weight", "linear2.weight", "norm.query_norm.scale", "norm.key_norm.scale")


class _Names(NamedTuple):
    """Where a layout has what tells sizes."""

    first: str
    text: str
    last: str
    time: str
    norm: str
    inner: str
    double: str
    single: str


_OF_ORIGINAL: Final = _Names(
    first="img_in.weight",
    text="txt_in.weight",
    last="final_layer.linear.weight",
    time="time_in.in_layer.weight",
    norm="double_blocks.0.img_attn.norm.query_norm.scale",
    inner="double_blocks.0.img_mlp.2.weight",
    double="double_blocks.",
    single="single_blocks.",
)
_OF_DIFFUSERS: Final = _Names(
    first="x_embedder.weight",
    text="context_embedder.weight",
    last="proj_out.weight",
    time="time_guidance_embed.timestep_embedder.linear_1.weight",
    norm="transformer_blocks.0.attn.norm_q.weight",
    inner="transformer_blocks.0.ff.linear_out.weight",
    double="transformer_blocks.",
    single="single_transformer_blocks.",
)


def names_of(shapes: Shapes) -> _Names:
    """Return where the layout of these tensors has what tells sizes."""
    return _OF_ORIGINAL if ORIGINAL[0] in shapes else _OF_DIFFUSERS


def takes_guidance(shapes: Shapes) -> bool:
    """Say whether a network was distilled to take its guidance as a number."""
    return any(name in shapes for name in GUIDANCE)


def layouts(*, guidance: bool, text: Callable[[int], bool] = bool) -> tuple[Layout, ...]:
    """Return both layouts, of networks that take a guidance or of those that do not, whose text is as wide as `text` says."""

    def check(shapes: Shapes) -> bool:
        return takes_guidance(shapes) == guidance and text(shapes[names_of(shapes).text][1])

    return tuple(
        Layout(name=name, has=has, check=check) for name, has in (("original", ORIGINAL), ("diffusers", DIFFUSERS))
    )


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return Flux2Transformer2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    names = names_of(shapes)
    width, channels = shapes[names.first]
    head = shapes[names.norm][0]
    return {
        "patch_size": 1,
        "in_channels": channels,
        "out_channels": shapes[names.last][0],
        "num_layers": count(shapes, names.double),
        "num_single_layers": count(shapes, names.single),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes[names.text][1],
        "timestep_guidance_channels": shapes[names.time][1],
        "mlp_ratio": shapes[names.inner][1] / width,
        "axes_dims_rope": [int(axis) for axis in hints.get("axes") or [head // 4] * 4],  # 32 four times of 128
        "guidance_embeds": takes_guidance(shapes),
    }


@cache
def _derived(layers: int, single_layers: int, width: int) -> tuple[dict[str, str], Fused]:
    """What diffusers' converter does with the original's names."""
    from diffusers.loaders.single_file_utils import convert_flux2_transformer_checkpoint_to_diffusers as convert

    tensors: dict[str, tuple[int, ...]] = dict.fromkeys(_ENDS, (width,))
    tensors["final_layer.adaLN_modulation.1.weight"] = (width,) * 2
    for i in range(layers):
        for stream in ("img", "txt"):
            block = f"double_blocks.{i}.{stream}_"
            tensors |= dict.fromkeys([f"{block}{name}" for name in _DOUBLE], (width,))
            tensors[f"{block}attn.qkv.weight"] = (width,) * 3
    for i in range(single_layers):
        tensors |= dict.fromkeys([f"single_blocks.{i}.{name}" for name in _SINGLE], (width,))
    return derived(convert, tensors)


def _names(config: Mapping[str, Any]) -> tuple[dict[str, str], Fused]:
    width = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
    return _derived(int(config["num_layers"]), int(config["num_single_layers"]), width)


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout} of what is one module in both."""
    return _names(config)[0]


def fused(config: Mapping[str, Any]) -> Fused:
    """Return which rows of the original's stacked projections make which module; the last norm has shift and scale swapped."""
    return _names(config)[1]


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of Flux2Transformer2DModel."""
    return unstacked(tensors, paths(config), fused(config)) if ORIGINAL[0] in tensors else dict(tensors)


FLUX2: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_flux2:Flux2Transformer2DModel",
    call="engine.models.networks.flux2:Flux2Network",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
    fused=fused,
)
