"""Qwen3.5 (Qwen team 2026), dense: most layers are recurrent (gated delta rule; Yang et al. 2024), every fourth attends.

The base of its rotation and the width of a key are those of the published models as far as they were known here (inferred).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from engine.models.families.base import Tower
from engine.models.shapes import Facts, Shapes, count
from engine.models.towers import chat, qwen3_vl
from engine.models.towers.clip import TextEncoderFacts
from engine.models.towers.language import TABLE
from engine.models.towers.seeing import SeeingKind

_KEY_WIDTH: Final = 128
_ATTENDS_EVERY: Final = 4


@dataclass(frozen=True, kw_only=True)
class RecurrentKind(SeeingKind):
    """A language model of which some layers attend, and others are recurrent."""

    def text_facts(self, shapes: Shapes, hints: Facts, tower: Tower) -> TextEncoderFacts:
        """As `SeeingKind.text_facts`. `hints` may tell "key_width" too."""
        facts = super().text_facts(shapes, hints, tower)
        kinds = facts.config["layer_types"][: facts.config["num_hidden_layers"]]
        return msgspec.structs.replace(facts, config=facts.config | {"layer_types": kinds})

    def with_all_layers(self, config: Mapping[str, Any], cut: int) -> dict[str, Any]:
        """As `LanguageKind.with_all_layers`; every fourth layer attends, as in all published ones."""
        whole = super().with_all_layers(config, cut)
        attends = [(index + 1) % _ATTENDS_EVERY == 0 for index in range(whole["num_hidden_layers"])]
        return {**whole, "layer_types": ["full_attention" if one else "linear_attention" for one in attends]}

    def _sizes(self, found: Shapes, hints: Facts) -> dict[str, Any]:
        attends = [f"layers.{i}.self_attn.q_norm.weight" in found for i in range(count(found, "layers."))]
        whole, recurrent = f"layers.{attends.index(True)}.self_attn.", f"layers.{attends.index(False)}.linear_attn."
        head_dim = found[f"{whole}q_norm.weight"][0]
        values = found[f"{recurrent}in_proj_z.weight"][0]
        key_width = int(hints.get("key_width", _KEY_WIDTH))
        return {
            "vocab_size": found[TABLE][0],
            "hidden_size": found[TABLE][1],
            "intermediate_size": found["layers.0.mlp.gate_proj.weight"][0],
            "num_attention_heads": found[f"{whole}q_proj.weight"][0] // head_dim // 2,  # beside each stands its gate
            "num_key_value_heads": found[f"{whole}k_proj.weight"][0] // head_dim,
            "head_dim": head_dim,
            "layer_types": ["full_attention" if one else "linear_attention" for one in attends],
            "linear_conv_kernel_dim": found[f"{recurrent}conv1d.weight"][-1],
            "linear_key_head_dim": key_width,
            "linear_num_key_heads": (found[f"{recurrent}in_proj_qkv.weight"][0] - values) // 2 // key_width,
            "linear_value_head_dim": found[f"{recurrent}norm.weight"][0],
            "linear_num_value_heads": found[f"{recurrent}A_log"][0],
        }


def vision(shapes: Shapes) -> dict[str, Any]:
    """Return the arguments of the library's vision config: that of Qwen3-VL, which is given to the first layer only."""
    return {name: value for name, value in qwen3_vl.vision(shapes).items() if name != "deepstack_visual_indexes"}


KIND: Final = RecurrentKind(
    name="qwen3_5",
    title="Qwen3.5",
    chat=chat.QWEN3_5,
    model="transformers.models.qwen3_5.modeling_qwen3_5:Qwen3_5TextModel",
    settings="transformers.models.qwen3_5.configuration_qwen3_5:Qwen3_5TextConfig",
    tokenizer="Qwen/Qwen3.5-9B",
    pad="<|endoftext|>",
    has=("layers.0.linear_attn.A_log",),
    whole="transformers.models.qwen3_5.modeling_qwen3_5:Qwen3_5Model",
    whole_settings="transformers.models.qwen3_5.configuration_qwen3_5:Qwen3_5Config",
    vision=vision,
    constants={
        "rms_norm_eps": 1e-6,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000_000.0,
            "partial_rotary_factor": 0.25,
            "mrope_section": [11, 11, 10],
            "mrope_interleaved": True,
        },
    },
)
