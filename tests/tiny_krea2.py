"""A tiny Krea 2 with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests import tiny_qwen3_vl, tiny_qwen_image
from tests.families import Tiny, save

LAYERS, TEXT = 12, 16
"""Layers of the text encoder that are taken, and the width of each."""


def transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_krea2 import Krea2Transformer2DModel

    sizes = {
        "num_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "timestep_embed_dim": 12,
        "text_hidden_dim": TEXT,
        "num_text_layers": LAYERS,
        "text_num_attention_heads": 2,
        "text_num_key_value_heads": 1,
        "text_intermediate_size": 20,
        "num_layerwise_text_blocks": 2,
        "num_refiner_text_blocks": 1,
        "axes_dims_rope": (4, 6, 6),
    }
    return Krea2Transformer2DModel(**sizes | told)


def to_original(state: dict[str, Any]) -> dict[str, Any]:
    """Krea 2's own names, by the words in which they differ; a block's modulations are one row there."""
    words = {
        "img_in.": "first.",
        "time_embed.linear_1.": "tmlp.0.",
        "time_embed.linear_2.": "tmlp.2.",
        "time_mod_proj.": "tproj.1.",
        "txt_in.norm.weight": "txtmlp.0.scale",
        "txt_in.linear_1.": "txtmlp.1.",
        "txt_in.linear_2.": "txtmlp.3.",
        "text_fusion.": "txtfusion.",
        "transformer_blocks.": "blocks.",
        "final_layer.linear.": "last.linear.",
        "final_layer.norm.weight": "last.norm.scale",
        "final_layer.scale_shift_table": "last.modulation.lin",
        ".attn.to_q.": ".attn.wq.",
        ".attn.to_k.": ".attn.wk.",
        ".attn.to_v.": ".attn.wv.",
        ".attn.to_out.0.": ".attn.wo.",
        ".attn.to_gate.": ".attn.gate.",
        ".attn.norm_q.weight": ".attn.qknorm.qnorm.scale",
        ".attn.norm_k.weight": ".attn.qknorm.knorm.scale",
        ".ff.": ".mlp.",
        ".norm1.weight": ".prenorm.scale",
        ".norm2.weight": ".postnorm.scale",
        ".scale_shift_table": ".mod.lin",
    }
    original = {}
    for name, value in state.items():
        theirs = name
        for ours, word in words.items():
            theirs = theirs.replace(ours, word)
        original[theirs] = value.flatten() if theirs.endswith(".mod.lin") else value
    return original


def write(base: Path) -> Tiny:
    """The network in files of its own, in either layout, its text encoder and its autoencoder."""
    torch.manual_seed(22)
    module = transformer()
    for parameter in module.parameters():
        if not torch.count_nonzero(parameter):
            torch.nn.init.normal_(parameter, std=0.1)
    module = module.eval().requires_grad_(False)
    vae = tiny_qwen_image.autoencoder().eval().requires_grad_(False)
    tiny = Tiny(base, {"transformer": module, "vae": vae}, {})
    tiny_qwen3_vl.add(tiny, TEXT)
    save(tiny.file("vae", "qwen_image_vae.safetensors"), tiny_qwen_image.to_original(vae.state_dict()))
    told = {"safelight.config": json.dumps({"unet": {"axes": [4, 6, 6]}})}
    state = module.state_dict()
    original = to_original(state)
    save(tiny.file("diffusion_models", "krea2.safetensors"), original, told)
    save(tiny.file("diffusion_models", "diffusers.safetensors"), state, told)
    prefixed = {f"model.diffusion_model.{name}": value for name, value in original.items()}
    save(tiny.file("diffusion_models", "prefixed.safetensors"), prefixed, told)
    return tiny
