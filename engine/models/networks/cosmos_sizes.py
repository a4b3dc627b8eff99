"""Cosmos Predict 2's transformer: its sizes, off names and shapes, and its names in both layouts. Anima has it too."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Layout, NetworkKind
from engine.models.networks.converted import derived
from engine.models.shapes import Facts, Shapes, count, part

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

NET: Final = "net."
"""Under which its authors' files have everything."""
ADAPTER: Final = "llm_adapter.embed.weight"
"""Anima's, which is a family of its own."""
_FIRST: Final = "x_embedder.proj.1.weight"
_LAST: Final = "final_layer.linear.weight"
_HAS: Final = (_FIRST, _LAST, "blocks.0.self_attn.q_proj.weight", "blocks.0.adaln_modulation_cross_attn.1.weight")
PATCH: Final = 2
"""Latent pixels a side that are one token."""

# The original's modules of the transformer, of which the library's converter says what they are there.
_ENDS: Final = (
    "x_embedder.proj.1.weight",
    "t_embedder.1.linear_1.weight",
    "t_embedder.1.linear_2.weight",
    "t_embedding_norm.weight",
    "final_layer.linear.weight",
    "final_layer.adaln_modulation.1.weight",
    "final_layer.adaln_modulation.2.weight",
)
_BLOCK: Final = (
    *(
        f"{attention}.{name}.weight"
        for attention in ("self_attn", "cross_attn")
        for name in ("q_proj", "k_proj", "v_proj", "output_proj", "q_norm", "k_norm")
    ),
    *(f"adaln_modulation_{name}.{i}.weight" for name in ("self_attn", "cross_attn", "mlp") for i in (1, 2)),
    "mlp.layer1.weight",
    "mlp.layer2.weight",
)
_DIFFUSERS: Final = (
    "patch_embed.proj.weight",
    "proj_out.weight",
    "time_embed.t_embedder.linear_1.weight",
    "transformer_blocks.0.norm2.linear_1.weight",
    "transformer_blocks.0.attn2.to_q.weight",
)
_LIBRARYS: Final = {
    "x_embedder.proj.1": "patch_embed.proj",
    "final_layer.linear": "proj_out",
    "blocks.": "transformer_blocks.",
    "self_attn.q_norm": "attn1.norm_q",
    "mlp.layer1": "ff.net.0.proj",
    "cross_attn.k_proj": "attn2.to_k",
    "adaln_modulation_self_attn.1": "norm1.linear_1",
}
"""What sizes are read off, in the library's words."""


def _of_pictures(shapes: Shapes) -> bool:
    """Whether it takes the latent and where there is no picture: networks for videos are told which frames are given too."""
    found = bare(shapes)
    return bool(found[_FIRST][1] == found[_LAST][0] + PATCH**2)


def _of_pictures_too(shapes: Shapes) -> bool:
    return shapes["patch_embed.proj.weight"][1] == shapes["proj_out.weight"][0] + PATCH**2


LAYOUTS: Final = (
    Layout(name="original", has=_HAS, lacks=(ADAPTER,), check=_of_pictures),
    Layout(name="net", has=tuple(f"{NET}{name}" for name in _HAS), lacks=(f"{NET}{ADAPTER}",), check=_of_pictures),
    Layout(name="diffusers", has=_DIFFUSERS, check=_of_pictures_too),
)


def bare(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors without their authors' prefix."""
    return part(tensors, NET) or dict(tensors)


def transformer_sizes(found: Shapes) -> dict[str, Any]:
    """Return CosmosTransformer3DModel's arguments for tensors in the original or the library's naming, without prefix."""

    def named(name: str) -> str:
        if _FIRST in found:
            return name
        for theirs, ours in _LIBRARYS.items():
            name = name.replace(theirs, ours)
        return name

    width, columns = found[named(_FIRST)]
    head = found[named("blocks.0.self_attn.q_norm.weight")][0]
    return {
        # One of these says where there is no picture; it is given by hand.
        "in_channels": columns // PATCH**2,
        "concat_padding_mask": False,
        "out_channels": found[named(_LAST)][0] // PATCH**2,
        "num_attention_heads": width // head,
        "attention_head_dim": head,
        "num_layers": count(found, named("blocks.")),
        "mlp_ratio": found[named("blocks.0.mlp.layer1.weight")][0] / width,
        "text_embed_dim": found[named("blocks.0.cross_attn.k_proj.weight")][1],
        "adaln_lora_dim": found[named("blocks.0.adaln_modulation_self_attn.1.weight")][0],
        "rope_scale": [1.0, 4.0, 4.0],
        "extra_pos_embed_type": None,
    }


def transformer_paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path in diffusers: module path in the original layout}."""
    return _derived(int(config["num_layers"]))


@cache
def _derived(layers: int) -> dict[str, str]:
    """What diffusers' converter does with the original's names."""
    from diffusers.loaders.single_file_utils import convert_cosmos_transformer_checkpoint_to_diffusers as convert

    blocks = [f"blocks.{i}.{name}" for i in range(layers) for name in _BLOCK]
    found, _ = derived(convert, dict.fromkeys((*_ENDS, *blocks), (1,)))
    return found


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return `engine.models.networks.cosmos.transformer`'s arguments for its tensors in any layout."""
    found = transformer_sizes(bare(shapes))
    return {**found, "in_channels": found["in_channels"] - 1, "concat_padding_mask": True}


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of CosmosTransformer3DModel; counters and tables of places are left out."""
    found = bare(tensors)
    if _FIRST not in found:
        return found
    from diffusers.loaders.single_file_utils import convert_cosmos_transformer_checkpoint_to_diffusers as convert

    converted: dict[str, Tensor] = convert(found)
    return converted


COSMOS: Final = NetworkKind(
    title="transformer",
    module="engine.models.networks.cosmos:transformer",
    call="engine.models.networks.cosmos:CosmosNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=transformer_paths,
)
