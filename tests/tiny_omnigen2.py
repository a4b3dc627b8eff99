"""A tiny OmniGen2 with random weights, in the layout in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys
from tests.families import Tiny, flux_vae, save
from tests.tiny_hunyuan_image import TEXT, language_model
from tests.tiny_kandinsky5 import ROPE
from tests.tiny_towers import library_tokenizer, write_tokenizer

SIZES: dict[str, Any] = {
    "in_channels": 16,
    "out_channels": 16,
    "hidden_size": 48,
    "inner": 80,
    "num_layers": 2,
    "num_refiner_layers": 1,
    "num_attention_heads": 4,
    "num_kv_heads": 2,
    "axes": (4, 4, 4),
    "text_feat_dim": TEXT,
}


def transformer(**told: Any) -> Any:
    from engine.models.networks.omnigen2_module import OmniGen2Transformer

    module = OmniGen2Transformer(**SIZES | told)
    if not module.image_index_embedding.is_meta:
        torch.nn.init.normal_(module.image_index_embedding, std=0.5)
    return module


def write(base: Path) -> Tiny:
    """The network, its text encoder and its autoencoder in files of their own."""
    words = library_tokenizer(write_tokenizer(base, "qwen2_5_vl", "qwen"), "<|endoftext|>")
    torch.manual_seed(46)
    modules = {"transformer": transformer(), "vae": flux_vae(), "text_encoder": language_model(len(words))}
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = Tiny(base, modules, {"tokenizer": words})
    vae = modules["vae"]
    told = {"safelight.config": json.dumps({"vae": {"norm_groups": 32}})}
    save(tiny.file("diffusion_models", "omnigen2.safetensors"), modules["transformer"].state_dict())
    save(tiny.file("vae", "ae.safetensors"), sd_keys.vae_to_original(vae.state_dict(), vae.config, ""), told)
    facts = {"safelight.config": json.dumps({"text": {"heads": 3, "rope": ROPE}})}
    text = {f"model.{name}": value for name, value in modules["text_encoder"].state_dict().items()}
    save(tiny.file("text_encoders", "qwen_2.5_vl.safetensors"), text, facts)
    return tiny
