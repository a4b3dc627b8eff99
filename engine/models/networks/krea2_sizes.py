"""Krea 2's transformer: its sizes, off names and shapes, and its names in both layouts. No torch but for tensors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.models.families.base import Layout, NetworkKind
from engine.models.networks.converted import derived
from engine.models.shapes import Facts, Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

ORIGINAL: Final = (
    "txtfusion.projector.weight",
    "blocks.0.attn.wq.weight",
    "blocks.0.attn.gate.weight",
    "first.weight",
    "txtmlp.1.weight",
)
DIFFUSERS: Final = (
    "text_fusion.projector.weight",
    "transformer_blocks.0.attn.to_q.weight",
    "transformer_blocks.0.attn.to_gate.weight",
    "img_in.weight",
    "txt_in.linear_1.weight",
)
LAYOUTS: Final = (Layout(name="original", has=ORIGINAL), Layout(name="diffusers", has=DIFFUSERS))

# The original's modules, of which the library's converter says what they are there.
_ENDS: Final = (
    "first.weight",
    "tmlp.0.weight",
    "tmlp.2.weight",
    "tproj.1.weight",
    "txtmlp.0.scale",
    "txtmlp.1.weight",
    "txtmlp.3.weight",
    "txtfusion.projector.weight",
    "last.linear.weight",
    "last.norm.scale",
)
_BLOCK: Final = (
    "attn.wq.weight",
    "attn.wk.weight",
    "attn.wv.weight",
    "attn.wo.weight",
    "attn.gate.weight",
    "attn.qknorm.qnorm.scale",
    "attn.qknorm.knorm.scale",
    "mlp.gate.weight",
    "mlp.up.weight",
    "mlp.down.weight",
    "prenorm.scale",
    "postnorm.scale",
)


class _Names(NamedTuple):
    """Where a layout has what tells sizes; those that end in a point stand before the parts of a block."""

    first: str
    time: str
    text: str
    projector: str
    blocks: str
    layerwise: str
    refiner: str
    query: str
    key: str
    norm: str
    inner: str


_OF_ORIGINAL: Final = _Names(
    first="first.weight",
    time="tmlp.0.weight",
    text="txtmlp.1.weight",
    projector="txtfusion.projector.weight",
    blocks="blocks.",
    layerwise="txtfusion.layerwise_blocks.",
    refiner="txtfusion.refiner_blocks.",
    query="0.attn.wq.weight",
    key="0.attn.wk.weight",
    norm="0.attn.qknorm.qnorm.scale",
    inner="0.mlp.gate.weight",
)
_OF_DIFFUSERS: Final = _Names(
    first="img_in.weight",
    time="time_embed.linear_1.weight",
    text="txt_in.linear_1.weight",
    projector="text_fusion.projector.weight",
    blocks="transformer_blocks.",
    layerwise="text_fusion.layerwise_blocks.",
    refiner="text_fusion.refiner_blocks.",
    query="0.attn.to_q.weight",
    key="0.attn.to_k.weight",
    norm="0.attn.norm_q.weight",
    inner="0.ff.gate.weight",
)


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return Krea2Transformer2DModel's arguments for tensors in the original or diffusers naming, without prefix."""
    names = _OF_ORIGINAL if ORIGINAL[0] in shapes else _OF_DIFFUSERS
    head = shapes[names.blocks + names.norm][0]
    text_blocks = names.layerwise if count(shapes, names.layerwise) else names.refiner
    text_head = shapes[text_blocks + names.norm][0]
    axes = hints.get("axes") or [head // 4, head * 3 // 8, head * 3 // 8]  # 32, 48, 48 of 128
    return {
        "in_channels": shapes[names.first][1],
        "num_layers": count(shapes, names.blocks),
        "attention_head_dim": head,
        "num_attention_heads": shapes[names.blocks + names.query][0] // head,
        "num_key_value_heads": shapes[names.blocks + names.key][0] // head,
        "intermediate_size": shapes[names.blocks + names.inner][0],
        "timestep_embed_dim": shapes[names.time][1],
        "text_hidden_dim": shapes[names.text][1],
        "num_text_layers": shapes[names.projector][1],
        "text_num_attention_heads": shapes[text_blocks + names.query][0] // text_head,
        "text_num_key_value_heads": shapes[text_blocks + names.key][0] // text_head,
        "text_intermediate_size": shapes[text_blocks + names.inner][0],
        "num_layerwise_text_blocks": count(shapes, names.layerwise),
        "num_refiner_text_blocks": count(shapes, names.refiner),
        "axes_dims_rope": [int(axis) for axis in axes],
    }


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of Krea2Transformer2DModel; a block's modulations are a row each there."""
    if ORIGINAL[0] not in tensors:
        return dict(tensors)
    from diffusers.loaders.single_file_utils import convert_krea2_transformer_checkpoint_to_diffusers as convert

    return dict(convert(dict(tensors)))


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout}."""
    told = ("num_layers", "num_layerwise_text_blocks", "num_refiner_text_blocks")
    return _derived(*(int(config[name]) for name in told))


@cache
def _derived(layers: int, layerwise: int, refiner: int) -> dict[str, str]:
    """What diffusers' converter does with the original's names."""
    from diffusers.loaders.single_file_utils import convert_krea2_transformer_checkpoint_to_diffusers as convert

    counts = {_OF_ORIGINAL.blocks: layers, _OF_ORIGINAL.layerwise: layerwise, _OF_ORIGINAL.refiner: refiner}
    blocks = [f"{blocks}{i}.{name}" for blocks, many in counts.items() for i in range(many) for name in _BLOCK]
    found, _ = derived(convert, dict.fromkeys((*_ENDS, *blocks), (1,)))
    return found


KREA2: Final = NetworkKind(
    title="transformer",
    module="diffusers.models.transformers.transformer_krea2:Krea2Transformer2DModel",
    call="engine.models.networks.krea2:Krea2Network",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
)
