"""Anima's network, Cosmos Predict2's transformer behind an adapter of text: its sizes, off names and shapes, and its names."""

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
ADAPTER: Final = "llm_adapter."
_HAS: Final = (
    "x_embedder.proj.1.weight",
    "blocks.0.self_attn.q_proj.weight",
    "blocks.0.adaln_modulation_cross_attn.1.weight",
    f"{ADAPTER}embed.weight",
    f"{ADAPTER}blocks.0.cross_attn.q_proj.weight",
)
LAYOUTS: Final = (
    Layout(name="original", has=_HAS),
    Layout(name="net", has=tuple(f"{NET}{name}" for name in _HAS)),
)
PATCH: Final = 2

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

# The adapter's modules, which have the same names there.
_WORDS_ENDS: Final = ("embed", "out_proj", "norm")
_WORDS: Final = (
    *(f"norm_{name}" for name in ("self_attn", "cross_attn", "mlp")),
    *(
        f"{attention}.{name}"
        for attention in ("self_attn", "cross_attn")
        for name in ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm")
    ),
    "mlp.0",
    "mlp.2",
)


def _bare(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return part(tensors, NET) or dict(tensors)


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return {"transformer": CosmosTransformer3DModel's arguments, "text_conditioner": AnimaTextConditioner's}."""
    found = _bare(shapes)
    width, columns = found["x_embedder.proj.1.weight"]
    head = found["blocks.0.self_attn.q_norm.weight"][0]
    block = f"{ADAPTER}blocks.0."
    vocabulary, target = found[f"{ADAPTER}embed.weight"]
    inner = found[f"{block}norm_cross_attn.weight"][0]
    return {
        "transformer": {
            # One of these says where there is no picture; it is given by hand.
            "in_channels": columns // PATCH**2,
            "concat_padding_mask": False,
            "out_channels": found["final_layer.linear.weight"][0] // PATCH**2,
            "num_attention_heads": width // head,
            "attention_head_dim": head,
            "num_layers": count(found, "blocks."),
            "mlp_ratio": found["blocks.0.mlp.layer1.weight"][0] / width,
            "text_embed_dim": found["blocks.0.cross_attn.k_proj.weight"][1],
            "adaln_lora_dim": found["blocks.0.adaln_modulation_self_attn.1.weight"][0],
            "rope_scale": [1.0, 4.0, 4.0],
            "extra_pos_embed_type": None,
        },
        "text_conditioner": {
            "source_dim": found[f"{block}cross_attn.k_proj.weight"][1],
            "target_dim": target,
            "model_dim": inner,
            "num_layers": count(found, f"{ADAPTER}blocks."),
            "num_attention_heads": inner // found[f"{block}cross_attn.q_norm.weight"][0],
            "mlp_ratio": found[f"{block}mlp.0.weight"][0] / inner,
            "target_vocab_size": vocabulary,
            "use_self_attention": f"{block}self_attn.q_proj.weight" in found,
            "use_layer_norm": f"{block}norm_cross_attn.bias" in found,
        },
    }


def renamed(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a file's tensors under the names of the two of them together."""
    from diffusers.loaders.single_file_utils import convert_cosmos_transformer_checkpoint_to_diffusers as convert

    found = _bare(tensors)
    adapter = {name: found.pop(f"{ADAPTER}{name}") for name in part(found, ADAPTER)}
    transformer = {f"transformer.{name}": value for name, value in convert(found).items()}
    return transformer | {f"text_conditioner.{name}": value for name, value in adapter.items()}


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path here: module path in the original layout}."""
    found = {
        f"transformer.{ours}": theirs for ours, theirs in _derived(int(config["transformer"]["num_layers"])).items()
    }
    blocks = [f"blocks.{i}.{name}" for i in range(int(config["text_conditioner"]["num_layers"])) for name in _WORDS]
    return found | {f"text_conditioner.{name}": f"{ADAPTER}{name}" for name in (*_WORDS_ENDS, *blocks)}


@cache
def _derived(layers: int) -> dict[str, str]:
    """What diffusers' converter does with the original's names."""
    from diffusers.loaders.single_file_utils import convert_cosmos_transformer_checkpoint_to_diffusers as convert

    blocks = [f"blocks.{i}.{name}" for i in range(layers) for name in _BLOCK]
    found, _ = derived(convert, dict.fromkeys((*_ENDS, *blocks), (1,)))
    return found


ANIMA: Final = NetworkKind(
    title="transformer",
    module="engine.models.networks.anima:Anima",
    call="engine.models.networks.anima:AnimaNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
)
