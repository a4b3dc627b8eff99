"""A tiny HunyuanImage 2.1 with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch

from tests.families import Tiny, save, t5_tensors
from tests.tiny_kandinsky5 import ROPE
from tests.tiny_towers import library_tokenizer, write_tokenizer

TEXT, GLYPH = 24, 20
"""Widths of the conditioning, and of what is to be written."""


def transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_hunyuanimage import HunyuanImageTransformer2DModel

    sizes: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "num_layers": 2,
        "num_single_layers": 2,
        "num_refiner_layers": 1,
        "text_embed_dim": TEXT,
        "text_embed_2_dim": GLYPH,
        "rope_axes_dim": (8, 8),
    }
    return HunyuanImageTransformer2DModel(**sizes | told)


def autoencoder(**told: Any) -> Any:
    from diffusers.models.autoencoders.autoencoder_kl_hunyuanimage import AutoencoderKLHunyuanImage

    sizes: dict[str, Any] = {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 64,
        "block_out_channels": (32, 32, 32, 32, 64, 128),
        "layers_per_block": 1,
        "spatial_compression_ratio": 32,
        "sample_size": 384,
        "scaling_factor": 0.75289,
    }
    return AutoencoderKLHunyuanImage(**sizes | told)


def language_model(vocabulary: int) -> Any:
    from transformers import Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel

    config = Qwen2_5_VLTextConfig(
        vocab_size=vocabulary,
        hidden_size=TEXT,
        intermediate_size=32,
        num_hidden_layers=4,
        num_attention_heads=3,
        num_key_value_heads=1,
        rope_parameters=ROPE,
        rms_norm_eps=1e-6,
    )
    return Qwen2_5_VLTextModel(config)


def byt5() -> Any:
    from transformers import T5Config, T5EncoderModel

    sizes = {"d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "feed_forward_proj": "gated-gelu"}
    return T5EncoderModel(T5Config(vocab_size=384, d_model=GLYPH, **sizes))


def to_original(state: dict[str, Any], config: Any, *, is_stacked: bool = False) -> dict[str, Any]:
    """Its authors' names; with stacked rows where asked for."""
    from engine.models.networks.hunyuan_image_sizes import fused, paths

    apart = fused(config)
    last = "final_layer.adaLN_modulation.1"
    used = (
        apart
        if is_stacked
        else {name: parts for name, parts in apart.items() if name == last or "token_refiner" in name}
    )
    taken = {part for parts in used.values() for part in parts}
    original: dict[str, Any] = {}
    for ours, theirs in paths(config).items():
        for kind in ("weight", "bias"):
            if f"{ours}.{kind}" in state and ours not in taken:
                original[f"{theirs}.{kind}"] = state[f"{ours}.{kind}"]
    for theirs, parts in used.items():
        for kind in ("weight", "bias"):
            rows = torch.cat([state[f"{part}.{kind}"] for part in parts])
            original[f"{theirs}.{kind}"] = torch.cat(rows.chunk(2)[::-1]) if theirs == last else rows
    return original


def to_fields(original: dict[str, Any]) -> dict[str, Any]:
    """The field's names of stacked ones."""
    words = (
        (r"_attn_(qkv|proj)\.", r"_attn.\1."),
        (r"_attn_q_norm\.weight", "_attn.norm.query_norm.scale"),
        (r"_attn_k_norm\.weight", "_attn.norm.key_norm.scale"),
        (r"(single_blocks\.\d+)\.q_norm\.weight", r"\1.norm.query_norm.scale"),
        (r"(single_blocks\.\d+)\.k_norm\.weight", r"\1.norm.key_norm.scale"),
        (r"(_mod|modulation)\.linear\.", r"\1.lin."),
        (r"mlp\.fc1\.", "mlp.0."),
        (r"mlp\.fc2\.", "mlp.2."),
        (r"(time_in|time_r_in|guidance_in|t_embedder)\.mlp\.0\.", r"\1.in_layer."),
        (r"(time_in|time_r_in|guidance_in|t_embedder)\.mlp\.2\.", r"\1.out_layer."),
        (r"c_embedder\.linear_1\.", "c_embedder.in_layer."),
        (r"c_embedder\.linear_2\.", "c_embedder.out_layer."),
    )
    found: dict[str, Any] = {}
    for name, value in original.items():
        for pattern, word in words:
            name = re.sub(pattern, word, name)
        found[name] = value
    return found


def vae_to_original(state: dict[str, Any], config: Any) -> dict[str, Any]:
    """Its authors' names: levels with their blocks, and convolutions of the middle with a frame."""
    layers, levels = config["layers_per_block"], len(config["block_out_channels"])
    halved = config["spatial_compression_ratio"].bit_length() - 1
    original: dict[str, Any] = {}
    for name, value in state.items():
        theirs = name
        for half, blocks, more, between in (("encoder", "down", 0, "downsample"), ("decoder", "up", 1, "upsample")):
            number = 0
            for level in range(levels):
                parts = [f"block.{i}" for i in range(layers + more)] + ([between] if level < halved else [])
                for part in parts:
                    ours = f"{half}.{blocks}_blocks.{number}."
                    if name.startswith(ours):
                        theirs = f"{half}.{blocks}.{level}.{part}.{name[len(ours) :]}"
                    number += 1
        theirs = theirs.replace("mid_block.resnets.0", "mid.block_1").replace("mid_block.resnets.1", "mid.block_2")
        theirs = theirs.replace("mid_block.attentions.0", "mid.attn_1").replace("attn_1.proj.", "attn_1.proj_out.")
        theirs = theirs.replace("attn_1.to_", "attn_1.")
        original[theirs] = value[:, :, None] if "attn_1" in theirs and value.ndim == 4 else value
    return original


def write(base: Path, *, distilled: bool = False) -> Tiny:
    """The network in each layout, its text encoders and its autoencoder."""
    from transformers import ByT5Tokenizer

    words = library_tokenizer(write_tokenizer(base, "qwen2_5_vl", "qwen"), "<|endoftext|>")
    torch.manual_seed(45)
    modules = {
        "transformer": transformer(guidance_embeds=distilled, use_meanflow=distilled),
        "vae": autoencoder(),
        "text_encoder": language_model(len(words)),
        "text_encoder_2": byt5(),
    }
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = Tiny(base, modules, {"tokenizer": words, "tokenizer_2": ByT5Tokenizer()})
    network, vae = modules["transformer"], modules["vae"]
    state = network.state_dict()
    stacked = to_original(state, network.config, is_stacked=True)
    files = {"hunyuan_image": to_original(state, network.config), "stacked": stacked, "field": to_fields(stacked)}
    for name, tensors in (files | {"diffusers": state}).items():
        save(tiny.file("diffusion_models", f"{name}.safetensors"), tensors)
    save(tiny.file("vae", "hunyuan_image_vae.safetensors"), vae_to_original(vae.state_dict(), vae.config))
    save(tiny.file("vae", "hunyuan_image_diffusers.safetensors"), vae.state_dict())
    told = {"safelight.config": json.dumps({"text": {"heads": 3, "rope": ROPE}})}
    text = {f"model.{name}": value for name, value in modules["text_encoder"].state_dict().items()}
    save(tiny.file("text_encoders", "qwen_2.5_vl_7b.safetensors"), text, told)
    save(tiny.file("text_encoders", "byt5_small_glyphxl.safetensors"), t5_tensors(modules["text_encoder_2"]))
    return tiny
