"""A tiny Lumina 2 with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys
from tests.conftest import _save as save
from tests.families import Tiny, flux_vae
from tests.tiny_towers import library_tokenizer, tiny, write_tokenizer

TEXT = 32
"""Width of the conditioning."""

_NAMES = {
    "time_caption_embed.caption_embedder": "cap_embedder",
    "time_caption_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_caption_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "norm_out.linear_1": "final_layer.adaLN_modulation.1",
    "norm_out.linear_2": "final_layer.linear",
    "attn.to_out.0": "attention.out",
    "attn.norm_q": "attention.q_norm",
    "attn.norm_k": "attention.k_norm",
    "attn.to_q": "attention.qkv",
    "norm1.linear": "adaLN_modulation.1",
    "norm1.norm": "attention_norm1",
    ".norm1.": ".attention_norm1.",
    ".norm2.": ".attention_norm2.",
    "feed_forward.linear_": "feed_forward.w",
}


def lumina_transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_lumina2 import Lumina2Transformer2DModel

    sizes = {"hidden_size": 48, "num_layers": 2, "num_refiner_layers": 1, "num_attention_heads": 4, "num_kv_heads": 2}
    sizes |= {"cap_feat_dim": TEXT, "axes_dim_rope": (4, 4, 4), "multiple_of": 40}
    return Lumina2Transformer2DModel(**(sizes | told))


def lumina_to_original(state: dict[str, Any]) -> dict[str, Any]:
    """Lumina 2's own names: query, key and value in one tensor, and a norm that nothing uses."""
    width = state["layers.0.norm2.weight"].shape
    original = {"norm_final.weight": torch.ones(width, device=state["layers.0.norm2.weight"].device)}
    for name, value in state.items():
        rows = value
        if ".to_q." in name:
            rows = torch.cat([state[name.replace(".to_q.", f".to_{part}.")] for part in "qkv"])
        if ".to_k." not in name and ".to_v." not in name:
            for ours, theirs in _NAMES.items():
                name = name.replace(ours, theirs)
            original[name] = rows
    return original


def gemma2(vocabulary: int) -> Any:
    """A language model of four layers, without a head."""
    from transformers import Gemma2Config, Gemma2Model

    return tiny(Gemma2Config, Gemma2Model, vocabulary, head_dim=16)


def write_lumina2(base: Path) -> Tiny:
    """The network in both layouts, text encoder and VAE in files of their own, and all of it in a checkpoint."""
    words = library_tokenizer(write_tokenizer(base, "gemma2", "gemma"), "<pad>")
    text = gemma2(len(words))
    torch.manual_seed(32)
    modules = {"transformer": lumina_transformer(), "vae": flux_vae(), "text_encoder": text}
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    made = Tiny(base, modules, {"tokenizer": words})
    state = modules["transformer"].state_dict()
    told = {"safelight.config": json.dumps({"vae": {"norm_groups": 32}, "text": {"head_dim": 16}})}
    vae = sd_keys.vae_to_original(modules["vae"].state_dict(), modules["vae"].config, "")
    original = lumina_to_original(state)
    named = {f"model.{name}": value for name, value in text.state_dict().items()}
    save(made.file("diffusion_models", "lumina2.safetensors"), original)
    save(made.file("diffusion_models", "lumina2_diffusers.safetensors"), state)
    save(made.file("vae", "ae.safetensors"), vae, told)
    save(made.file("text_encoders", "gemma_2_2b.safetensors"), named, told)
    parts = {"model.diffusion_model.": original, "vae.": vae, "text_encoders.gemma2_2b.transformer.": named}
    whole = {f"{prefix}{name}": value for prefix, tensors in parts.items() for name, value in tensors.items()}
    save(made.file("checkpoints", "lumina2.safetensors"), whole, told)
    return made
