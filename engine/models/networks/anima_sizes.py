"""Anima's network, Cosmos Predict2's transformer behind an adapter of text: its sizes, off names and shapes, and its names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.models.families.base import Layout, NetworkKind
from engine.models.networks.cosmos_sizes import NET, bare, transformer_paths, transformer_sizes
from engine.models.shapes import Facts, Shapes, count, part

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.families.base import Family

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


def sizes(shapes: Shapes, hints: Facts, family: Family) -> dict[str, Any]:
    """Return {"transformer": CosmosTransformer3DModel's arguments, "text_conditioner": AnimaTextConditioner's}."""
    found = bare(shapes)
    block = f"{ADAPTER}blocks.0."
    vocabulary, target = found[f"{ADAPTER}embed.weight"]
    inner = found[f"{block}norm_cross_attn.weight"][0]
    return {
        "transformer": transformer_sizes(found),
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

    found = bare(tensors)
    adapter = {name: found.pop(f"{ADAPTER}{name}") for name in part(found, ADAPTER)}
    transformer = {f"transformer.{name}": value for name, value in convert(found).items()}
    return transformer | {f"text_conditioner.{name}": value for name, value in adapter.items()}


def paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Return {module path here: module path in the original layout}."""
    found = {f"transformer.{ours}": theirs for ours, theirs in transformer_paths(config["transformer"]).items()}
    blocks = [f"blocks.{i}.{name}" for i in range(int(config["text_conditioner"]["num_layers"])) for name in _WORDS]
    return found | {f"text_conditioner.{name}": f"{ADAPTER}{name}" for name in (*_WORDS_ENDS, *blocks)}


ANIMA: Final = NetworkKind(
    title="transformer",
    module="engine.models.networks.anima:Anima",
    call="engine.models.networks.anima:AnimaNetwork",
    sizes=sizes,
    renamed=renamed,
    paths=paths,
)
