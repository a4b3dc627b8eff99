"""Names of text encoders in GGUF files, which are llama.cpp's, as transformers has them; networks keep their own. No torch."""

from __future__ import annotations

import re
from typing import Final

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


def renamed(name: str, architecture: str) -> str:
    """Return the name of a tensor of a file of this `general.architecture` in transformers; as it is where none is known."""
    if architecture not in ("t5", "t5encoder"):
        return name
    module, _, kind = name.rpartition(".")
    if module in _T5_ENDS:
        return f"{_T5_ENDS[module]}.{kind}"
    block = _T5_BLOCK.fullmatch(module)
    return f"encoder.block.{block[1]}.{_T5[block[2]]}.{kind}" if block and block[2] in _T5 else name
