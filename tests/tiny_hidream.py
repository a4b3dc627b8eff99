"""A tiny HiDream with random weights, as people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys
from tests.conftest import _save as save
from tests.families import Tiny, flux_vae

TEXT, LANGUAGE, POOLED = 24, 20, 18
"""Widths of T5's tokens, of the language model's layers, and of the pooled text."""


def hidream_transformer(**told: Any) -> Any:
    """Of two blocks of each kind, for pictures of 64 by 64 pixels, or others of as many."""
    from diffusers.models.transformers.transformer_hidream_image import HiDreamImageTransformer2DModel

    sizes = {"patch_size": 2, "in_channels": 16, "out_channels": 16, "num_layers": 2, "num_single_layers": 2}
    sizes |= {"attention_head_dim": 16, "num_attention_heads": 2, "caption_channels": [TEXT, LANGUAGE]}
    sizes |= {
        "text_emb_dim": POOLED,
        "axes_dims_rope": (8, 4, 4),
        "max_resolution": (8, 8),
        "llama_layers": [0, 1, 2, 3],
    }
    return HiDreamImageTransformer2DModel(**(sizes | told))


def write_hidream(base: Path) -> Tiny:
    """The network and the VAE."""
    torch.manual_seed(34)
    modules = {"transformer": hidream_transformer(), "vae": flux_vae()}
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = Tiny(base, modules, {})
    told = {"safelight.config": json.dumps({"unet": {"heads": 2}, "vae": {"norm_groups": 32}})}
    save(tiny.file("diffusion_models", "hidream.safetensors"), modules["transformer"].state_dict(), told)
    vae = sd_keys.vae_to_original(modules["vae"].state_dict(), modules["vae"].config, "")
    save(tiny.file("vae", "ae.safetensors"), vae, told)
    return tiny
