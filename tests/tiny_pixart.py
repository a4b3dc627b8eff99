"""A tiny PixArt with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys
from tests.families import Tiny, save, t5, t5_tensors, t5_tokenizer, t5_words, vae

TEXT = 28
"""Width of the conditioning."""


def transformer(*, alpha: bool, **told: Any) -> Any:
    from diffusers.models.transformers.pixart_transformer_2d import PixArtTransformer2DModel

    sizes: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 24,
        "out_channels": 8,
        "num_layers": 2,
        "cross_attention_dim": 48,
        "sample_size": 128,
        "interpolation_scale": 2,
        "caption_channels": TEXT,
        "use_additional_conditions": alpha,
    }
    return PixArtTransformer2DModel(**sizes | told)


def to_original(state: dict[str, Any], config: Any, tokens: int) -> dict[str, Any]:
    """PixArt's own names, as the library's script has them, with stacked rows, places and the text of nothing."""
    words = {
        "pos_embed.proj.": "x_embedder.proj.",
        "caption_projection.linear_": "y_embedder.y_proj.fc",
        "adaln_single.emb.timestep_embedder.linear_1.": "t_embedder.mlp.0.",
        "adaln_single.emb.timestep_embedder.linear_2.": "t_embedder.mlp.2.",
        "adaln_single.emb.resolution_embedder.linear_1.": "csize_embedder.mlp.0.",
        "adaln_single.emb.resolution_embedder.linear_2.": "csize_embedder.mlp.2.",
        "adaln_single.emb.aspect_ratio_embedder.linear_1.": "ar_embedder.mlp.0.",
        "adaln_single.emb.aspect_ratio_embedder.linear_2.": "ar_embedder.mlp.2.",
        "adaln_single.linear.": "t_block.1.",
        "proj_out.": "final_layer.linear.",
        "transformer_blocks.": "blocks.",
        "attn1.to_out.0.": "attn.proj.",
        "attn2.to_out.0.": "cross_attn.proj.",
        "attn2.to_q.": "cross_attn.q_linear.",
        "ff.net.0.proj.": "mlp.fc1.",
        "ff.net.2.": "mlp.fc2.",
    }
    original: dict[str, Any] = {}
    for name, value in state.items():
        theirs, rows = name, value
        if name.startswith("scale_shift_table"):
            theirs = "final_layer.scale_shift_table"
        for first, parts, stacked in (
            (".attn1.to_q.", "qkv", ".attn.qkv."),
            (".attn2.to_k.", "kv", ".cross_attn.kv_linear."),
        ):
            if first in name:
                rows = torch.cat([state[name.replace(first, f"{first[:-2]}{part}.")] for part in parts])
                theirs = name.replace(first, stacked)
        for ours, word in words.items():
            theirs = theirs.replace(ours, word)
        if "to_" not in theirs:
            original[theirs] = rows
    width, caption = config["num_attention_heads"] * config["attention_head_dim"], config["caption_channels"]
    device = original["x_embedder.proj.bias"].device
    places = torch.zeros(1, (config["sample_size"] // 2) ** 2, width, device=device)
    return original | {"pos_embed": places, "y_embedder.y_embedding": torch.zeros(tokens, caption, device=device)}


def write(base: Path, *, alpha: bool) -> Tiny:
    """The network in both layouts, its text encoder and its autoencoder."""
    torch.manual_seed(44)
    made = vae()
    made.register_to_config(scaling_factor=0.18215 if alpha else 0.13025)
    modules = {"transformer": transformer(alpha=alpha), "vae": made, "text_encoder": t5(TEXT)}
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = Tiny(base, modules, {"tokenizer": t5_words(120 if alpha else 300)})
    path = tiny.file("text_encoders", "t5") / "tokenizer.json"
    path.parent.mkdir(parents=True)
    path.write_text(t5_tokenizer().to_str())
    told = {"safelight.config": json.dumps({"unet": {"heads": 2}, "vae": {"norm_groups": 32}})}
    network = modules["transformer"]
    state = network.state_dict()
    original = to_original(state, network.config, 120 if alpha else 300)
    save(tiny.file("diffusion_models", "pixart.safetensors"), original, told)
    save(tiny.file("diffusion_models", "pixart_diffusers.safetensors"), state, told)
    save(tiny.file("vae", "sd_vae.safetensors"), sd_keys.vae_to_original(made.state_dict(), made.config, ""), told)
    save(tiny.file("text_encoders", "t5xxl.safetensors"), t5_tensors(modules["text_encoder"]))
    return tiny
