"""A tiny Sana with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.families import Tiny, save
from tests.tiny_lumina2 import TEXT, gemma2
from tests.tiny_towers import library_tokenizer, write_tokenizer


def transformer(**told: Any) -> Any:
    from diffusers.models.transformers.sana_transformer import SanaTransformer2DModel

    sizes: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "num_layers": 2,
        "num_cross_attention_heads": 2,
        "cross_attention_head_dim": 16,
        "cross_attention_dim": 32,
        "caption_channels": TEXT,
        "qk_norm": "rms_norm_across_heads",
    }
    return SanaTransformer2DModel(**sizes | told)


def autoencoder(**told: Any) -> Any:
    from diffusers.models.autoencoders.autoencoder_dc import AutoencoderDC

    kinds, scales = ["ResBlock"] * 3 + ["EfficientViTBlock"] * 3, [[]] * 3 + [[5]] * 3
    sizes: dict[str, Any] = {
        **{f"{half}_block_types": kinds for half in ("encoder", "decoder")},
        **{f"{half}_block_out_channels": (16, 16, 16, 32, 32, 32) for half in ("encoder", "decoder")},
        **{f"{half}_qkv_multiscales": scales for half in ("encoder", "decoder")},
        "encoder_layers_per_block": (1, 1, 1, 1, 1, 1),
        "decoder_layers_per_block": (1, 1, 1, 2, 1, 1),
        "downsample_block_type": "conv",
        "upsample_block_type": "interpolate",
        "scaling_factor": 0.41407,
    }
    return AutoencoderDC(**sizes | told)


def to_original(state: dict[str, Any], *, side: int = 0) -> dict[str, Any]:
    """Sana's own names, as the library's script has them, with stacked rows; `side`: of the table of places."""
    words = {
        "patch_embed.proj.": "x_embedder.proj.",
        "caption_projection.linear_": "y_embedder.y_proj.fc",
        "caption_norm.": "attention_y_norm.",
        "time_embed.emb.timestep_embedder.linear_1.": "t_embedder.mlp.0.",
        "time_embed.emb.timestep_embedder.linear_2.": "t_embedder.mlp.2.",
        "time_embed.linear.": "t_block.1.",
        "proj_out.": "final_layer.linear.",
        "transformer_blocks.": "blocks.",
        "attn1.to_out.0.": "attn.proj.",
        "attn2.to_out.0.": "cross_attn.proj.",
        "attn2.to_q.": "cross_attn.q_linear.",
        "attn1.norm_q.": "attn.q_norm.",
        "attn1.norm_k.": "attn.k_norm.",
        "attn2.norm_q.": "cross_attn.q_norm.",
        "attn2.norm_k.": "cross_attn.k_norm.",
        "ff.conv_inverted.": "mlp.inverted_conv.conv.",
        "ff.conv_depth.": "mlp.depth_conv.conv.",
        "ff.conv_point.": "mlp.point_conv.conv.",
    }
    original: dict[str, Any] = {}
    for name, value in state.items():
        theirs, rows = name, value
        if name.startswith("scale_shift_table"):
            theirs = "final_layer.scale_shift_table"
        for first, parts, joined in (
            (".attn1.to_q.", "qkv", ".attn.qkv."),
            (".attn2.to_k.", "kv", ".cross_attn.kv_linear."),
        ):
            if first in name:
                rows = torch.cat([state[name.replace(first, f"{first[:-2]}{part}.")] for part in parts])
                theirs = name.replace(first, joined)
        for ours, word in words.items():
            theirs = theirs.replace(ours, word)
        if ".to_" not in theirs:
            original[theirs] = rows
    bias = original["x_embedder.proj.bias"]
    original["y_embedder.y_embedding"] = bias.new_zeros(300, original["y_embedder.y_proj.fc1.weight"].shape[1])
    if side:
        original["pos_embed"] = bias.new_zeros(1, side**2, len(bias))
    return original


def write(base: Path) -> Tiny:
    """The network in both layouts, its text encoder and its autoencoder."""
    words = library_tokenizer(write_tokenizer(base, "gemma2", "gemma"), "<pad>")
    text = gemma2(len(words))
    torch.manual_seed(48)
    modules = {"transformer": transformer(), "vae": autoencoder(), "text_encoder": text}
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = Tiny(base, modules, {"tokenizer": words})
    heads = {"attention_head_dim": 16, "num_cross_attention_heads": 2}
    told = {"safelight.config": json.dumps({"unet": heads, "text": {"head_dim": 16}})}
    state = modules["transformer"].state_dict()
    save(tiny.file("diffusion_models", "sana.safetensors"), to_original(state), told)
    save(tiny.file("diffusion_models", "sana_diffusers.safetensors"), state, told)
    save(tiny.file("vae", "dc_ae.safetensors"), modules["vae"].state_dict())
    named = {f"model.{name}": value for name, value in text.state_dict().items()}
    save(tiny.file("text_encoders", "gemma_2_2b.safetensors"), named, told)
    return tiny
