"""Names of text encoders in GGUF files, which are llama.cpp's, as transformers has them; networks keep their own. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

LANGUAGE: Final = ("llama", "mistral3", "qwen2vl", "qwen3", "qwen3vl", "gemma2", "gemma3")
"""Architectures of language models that are known."""

T5: Final = ("t5", "t5encoder")
"""Those of T5's family."""

TURNED: Final = ("llama", "mistral3")
"""Of these the rows of queries and keys stand in another order: the two halves of each head are interleaved."""

RAISED: Final = ("gemma2", "gemma3")
"""Of these norms are one larger, as what they are multiplied by."""

SEEING: Final = {"qwen2vl": "qwen2.5vl_merger", "qwen3vl": "qwen3vl_merger"}
"""What the vision towers of language models are called (`clip.projector_type`), which are in files of their own."""

_T5: Final = {
    "attn_norm": "layer.0.layer_norm",
    "attn_q": "layer.0.SelfAttention.q",
    "attn_k": "layer.0.SelfAttention.k",
    "attn_v": "layer.0.SelfAttention.v",
    "attn_o": "layer.0.SelfAttention.o",
    "attn_rel_b": "layer.0.SelfAttention.relative_attention_bias",
    "ffn_norm": "layer.1.layer_norm",
    "ffn_gate": "layer.1.DenseReluDense.wi_0",
    "ffn_up": "layer.1.DenseReluDense.wi_1",
    "ffn_down": "layer.1.DenseReluDense.wo",
}
_T5_ENDS: Final = {"token_embd": "shared", "enc.output_norm": "encoder.final_layer_norm"}
_T5_BLOCK: Final = re.compile(r"enc\.blk\.(\d+)\.(\w+)")

_LAYER: Final = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_GEMMA: Final = {
    "ffn_norm": "pre_feedforward_layernorm",
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_ENDS: Final = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_BLOCK: Final = re.compile(r"blk\.(\d+)\.(\w+)")

_SEEN: Final = {
    "qwen2vl": {
        "attn_out": "attn.proj",
        "ln1": "norm1",
        "ln2": "norm2",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    },
    "qwen3vl": {
        "attn_qkv": "attn.qkv",
        "attn_out": "attn.proj",
        "ln1": "norm1",
        "ln2": "norm2",
        "ffn_up": "mlp.linear_fc1",
        "ffn_down": "mlp.linear_fc2",
    },
}
_SEEN_ENDS: Final = {
    "qwen2vl": {"v.post_ln": "merger.ln_q", "mm.0": "merger.mlp.0", "mm.2": "merger.mlp.2"},
    "qwen3vl": {
        "v.post_ln": "merger.norm",
        "mm.0": "merger.linear_fc1",
        "mm.2": "merger.linear_fc2",
        "v.position_embd": "pos_embed",
    },
}
_DEEP: Final = {"norm": "norm", "fc1": "linear_fc1", "fc2": "linear_fc2"}
_SEEN_BLOCK: Final = re.compile(r"v\.blk\.(\d+)\.(\w+)")
_SEEN_DEEP: Final = re.compile(r"v\.deepstack\.(\d+)\.(\w+)")
PATCHES: Final = "patch_embed.proj"


def renamed(name: str, architecture: str) -> str:
    """Return the name of a tensor of a file of this `general.architecture` in transformers; as it is where none is known."""
    module, _, kind = name.rpartition(".")
    if architecture in T5:
        if module in _T5_ENDS:
            return f"{_T5_ENDS[module]}.{kind}"
        block = _T5_BLOCK.fullmatch(module)
        return f"encoder.block.{block[1]}.{_T5[block[2]]}.{kind}" if block and block[2] in _T5 else name
    if architecture not in LANGUAGE:
        return name
    if module in _ENDS:
        return f"{_ENDS[module]}.{kind}"
    layer = _LAYER | (_GEMMA if architecture in RAISED else {})
    block = _BLOCK.fullmatch(module)
    return f"model.layers.{block[1]}.{layer[block[2]]}.{kind}" if block and block[2] in layer else name


def seen(names: Mapping[str, object], architecture: str) -> dict[str, tuple[str, ...]]:
    """Return what of a vision tower's tensors each of the library's is made: several are laid one after the other.

    `architecture`: of its language model. The first projection's two halves, for the first and the second of two pictures in
    time, are two tensors.
    """
    found: dict[str, tuple[str, ...]] = {}
    deep = deep_layers(names)
    for name in names:
        module, _, kind = name.rpartition(".")
        if module == "v.patch_embd":
            found[f"{PATCHES}.{kind}"] = (name, f"{name}.1") if kind == "weight" else (name,)
        elif module in _SEEN_ENDS[architecture]:
            found[f"{_SEEN_ENDS[architecture][module]}.{kind}"] = (name,)
        elif (match := _SEEN_DEEP.fullmatch(module)) and match[2] in _DEEP:
            found[f"deepstack_merger_list.{deep.index(int(match[1]))}.{_DEEP[match[2]]}.{kind}"] = (name,)
        elif match := _SEEN_BLOCK.fullmatch(module):
            if match[2] in _SEEN[architecture]:
                found[f"blocks.{match[1]}.{_SEEN[architecture][match[2]]}.{kind}"] = (name,)
            elif match[2] == "attn_q":
                three = tuple(f"v.blk.{match[1]}.attn_{one}.{kind}" for one in "qkv")
                found[f"blocks.{match[1]}.attn.qkv.{kind}"] = three
    return {name: parts for name, parts in found.items() if all(part in names for part in parts)}


def deep_layers(names: Mapping[str, object]) -> list[int]:
    """Return after which layers of a vision tower what it sees is given to the language model too."""
    return sorted({int(match[1]) for name in names if (match := _SEEN_DEEP.fullmatch(name.rpartition(".")[0]))})
