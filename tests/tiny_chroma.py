"""Chroma in tiny, with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys
from tests.families import Tiny, flux_vae, save, t5, t5_tensors, t5_words, write_tokenizers


def transformer() -> Any:
    from diffusers.models.transformers.transformer_chroma import ChromaTransformer2DModel

    return ChromaTransformer2DModel(
        in_channels=64,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=24,
        axes_dims_rope=(2, 6, 8),
        approximator_num_channels=16,
        approximator_hidden_dim=32,
        approximator_layers=2,
    )


def to_original(state: dict[str, Any], config: Any) -> dict[str, Any]:
    """Chroma's own names, with stacked rows."""
    from engine.models.networks.chroma_sizes import fused, paths

    original: dict[str, Any] = {}
    for ours, theirs in paths(config).items():
        for kind in ("weight", "bias"):
            if f"{ours}.{kind}" in state:
                normed = "_norm" in theirs or ".norms." in theirs
                original[f"{theirs}.{'scale' if normed else kind}"] = state[f"{ours}.{kind}"]
    for theirs, parts in fused(config).items():
        for kind in ("weight", "bias"):
            original[f"{theirs}.{kind}"] = torch.cat([state[f"{part}.{kind}"] for part in parts])
    return original


def write(base: Path, clip_json: str) -> Tiny:
    """Every part in a file of its own, and a diffusers folder's network."""
    torch.manual_seed(10)
    modules = {"transformer": transformer(), "vae": flux_vae(), "text_encoder": t5(24)}
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = Tiny(base, modules, {"tokenizer": t5_words(256)})
    write_tokenizers(base, clip_json)
    told = {"safelight.config": json.dumps({"unet": {"axes": [2, 6, 8]}, "vae": {"norm_groups": 32}})}
    network, vae = modules["transformer"], modules["vae"]
    save(tiny.file("diffusion_models", "chroma.safetensors"), to_original(network.state_dict(), network.config), told)
    save(tiny.file("vae", "ae.safetensors"), sd_keys.vae_to_original(vae.state_dict(), vae.config, ""), told)
    save(tiny.file("text_encoders", "t5xxl.safetensors"), t5_tensors(modules["text_encoder"]))
    return tiny
