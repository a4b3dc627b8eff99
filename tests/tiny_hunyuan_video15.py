"""A tiny HunyuanVideo 1.5 with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.families import Tiny, save, t5_tensors
from tests.tiny_hunyuan_image import GLYPH, TEXT, byt5, language_model, to_fields
from tests.tiny_hunyuan_image_refiner import vae_to_original
from tests.tiny_kandinsky5 import ROPE
from tests.tiny_towers import library_tokenizer, write_tokenizer

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_hunyuan_video15 import HunyuanVideo15Transformer3DModel

    sizes: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 32,
        "num_layers": 2,
        "num_refiner_layers": 1,
        "text_embed_dim": TEXT,
        "text_embed_2_dim": GLYPH,
        "image_embed_dim": 12,
        "rope_axes_dim": (4, 14, 14),
        "task_type": "t2v",
    }
    return HunyuanVideo15Transformer3DModel(**sizes | told)


def autoencoder(**told: Any) -> Any:
    from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import AutoencoderKLHunyuanVideo15

    return AutoencoderKLHunyuanVideo15(**{"block_out_channels": (32, 32, 32, 64, 64), "layers_per_block": 1} | told)


def to_original(state: dict[str, Any], config: Any, *, is_stacked: bool = False) -> dict[str, Any]:
    """Its authors' names; with stacked rows where asked for."""
    from engine.models.networks.hunyuan_video15_sizes import fused, paths

    last = "final_layer.adaLN_modulation.1"
    apart = fused(config)
    used = {name: parts for name, parts in apart.items() if is_stacked or name == last or "token_refiner" in name}
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


def write(base: Path) -> Tiny:
    """The network in each layout, its text encoders and its autoencoder."""
    from transformers import ByT5Tokenizer

    words = library_tokenizer(write_tokenizer(base, "qwen2_5_vl", "qwen"), "<|endoftext|>")
    words.chat_template = CHAT
    torch.manual_seed(46)
    modules = {
        "transformer": transformer(),
        "vae": autoencoder(),
        "text_encoder": language_model(len(words)),
        "text_encoder_2": byt5(),
    }
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = Tiny(base, modules, {"tokenizer": words, "tokenizer_2": ByT5Tokenizer()})
    network, vae = modules["transformer"], modules["vae"]
    state = network.state_dict()
    stacked = to_original(state, network.config, is_stacked=True)
    files = {"hunyuan_video15": to_original(state, network.config), "stacked": stacked, "field": to_fields(stacked)}
    for name, tensors in (files | {"diffusers": state}).items():
        save(tiny.file("diffusion_models", f"{name}.safetensors"), tensors)
    save(tiny.file("vae", "hunyuanvideo15_vae.safetensors"), vae_to_original(vae.state_dict()))
    told = {"safelight.config": json.dumps({"text": {"heads": 3, "rope": ROPE}})}
    text = {f"model.{name}": value for name, value in modules["text_encoder"].state_dict().items()}
    save(tiny.file("text_encoders", "qwen_2.5_vl_7b.safetensors"), text, told)
    save(tiny.file("text_encoders", "byt5_small_glyphxl.safetensors"), t5_tensors(modules["text_encoder_2"]))
    return tiny
