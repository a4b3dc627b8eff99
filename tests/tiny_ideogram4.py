"""A tiny Ideogram 4 with random weights, in the layouts in which people have it: two networks, with text and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests import tiny_qwen3_vl
from tests.families import Tiny, save
from tests.tiny_flux2 import autoencoder, autoencoder_to_original

LAYERS, TEXT = 13, 16
"""Layers of the text encoder that are taken, and the width of each."""


def transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_ideogram4 import Ideogram4Transformer2DModel

    sizes = {
        "num_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "adaln_dim": 20,
        "llm_features_dim": LAYERS * TEXT,
        "mrope_section": (4, 2, 2),
    }
    return Ideogram4Transformer2DModel(**sizes | told)


def to_original(state: dict[str, Any]) -> dict[str, Any]:
    """Ideogram 4's own names: one tensor for query, key and value."""
    original = {}
    for name, value in state.items():
        if ".to_q." in name:
            parts = [state[name.replace(".to_q.", f".to_{part}.")] for part in "qkv"]
            original[name.replace(".to_q.", ".qkv.")] = torch.cat(parts)
        elif ".to_k." not in name and ".to_v." not in name:
            original[name.replace(".to_out.0.", ".o.")] = value
    return original


def write(base: Path) -> Tiny:
    """Every part in a file of its own; the first network in the library's names as well.

    The pipeline's autoencoder counts a pixel's channels within each of the four pixels, the file's each channel's pixels.
    """
    torch.manual_seed(23)
    names = ("transformer", "unconditional_transformer")
    modules = {name: transformer().eval().requires_grad_(False) for name in names} | {"vae": autoencoder()}
    tiny = Tiny(base, modules, {})
    tiny_qwen3_vl.add(tiny, TEXT)
    told = {"safelight.config": json.dumps({"unet": {"axes": [4, 2, 2]}})}
    state = modules["transformer"].state_dict()
    save(tiny.file("diffusion_models", "ideogram4.safetensors"), to_original(state), told)
    save(tiny.file("diffusion_models", "diffusers.safetensors"), state, told)
    other = to_original(modules["unconditional_transformer"].state_dict())
    save(tiny.file("diffusion_models", "unconditional.safetensors"), other, told)
    vae = modules["vae"]
    original = autoencoder_to_original(vae.state_dict(), vae.config)
    save(tiny.file("vae", "flux2-vae.safetensors"), original)
    for name in ("running_mean", "running_var"):
        vae.bn.get_buffer(name).copy_(original[f"bn.{name}"].clone().view(32, 4).T.flatten())
    return tiny
