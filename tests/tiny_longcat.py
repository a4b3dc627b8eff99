"""A tiny LongCat-Image with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys
from tests.families import Tiny, flux_to_original, flux_vae, save
from tests.tiny_towers import library_tokenizer, write_tokenizer

TEXT = 32
"""Width of the conditioning."""


def longcat_transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_longcat_image import LongCatImageTransformer2DModel

    sizes = {"num_layers": 2, "num_single_layers": 2, "attention_head_dim": 16, "num_attention_heads": 2}
    return LongCatImageTransformer2DModel(**(sizes | {"joint_attention_dim": TEXT, "axes_dims_rope": [2, 6, 8]} | told))


def longcat_to_original(state: dict[str, Any]) -> dict[str, Any]:
    """FLUX.1's names."""
    return flux_to_original(
        {name.replace("time_embed.", "time_text_embed."): value for name, value in state.items()}, prefix=""
    )


def write_longcat(base: Path) -> Tiny:
    """The network in both layouts, the text encoder, and the VAE."""
    from tests.models.test_towers_pictures import qwen2_5_vl

    words = library_tokenizer(write_tokenizer(base, "qwen2_5_vl", "qwen"), "<|endoftext|>")
    text, facts = qwen2_5_vl(words)
    torch.manual_seed(35)
    modules = {"transformer": longcat_transformer(), "vae": flux_vae(), "text_encoder": text}
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = Tiny(base, modules, {"tokenizer": words})
    state = modules["transformer"].state_dict()
    told = {"safelight.config": json.dumps({"unet": {"axes": [2, 6, 8]}, "vae": {"norm_groups": 32}})}
    save(tiny.file("diffusion_models", "longcat.safetensors"), longcat_to_original(state), told)
    save(tiny.file("diffusion_models", "longcat_diffusers.safetensors"), state, told)
    named = {name: value for name, value in text.state_dict().items() if not name.startswith("lm_head")}
    heads = {"safelight.config": json.dumps({"text": facts})}
    save(tiny.file("text_encoders", "qwen_2.5_vl.safetensors"), named, heads)
    vae = sd_keys.vae_to_original(modules["vae"].state_dict(), modules["vae"].config, "")
    save(tiny.file("vae", "ae.safetensors"), vae, told)
    return tiny
