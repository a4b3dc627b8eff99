"""A tiny model of Qwen-Image 2.1 with random weights, written in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.families import Tiny, save
from tests.tiny_qwen_image import PICTURE_TOKEN
from tests.tiny_towers import library_tokenizer, write_tokenizer

WIDTH = 48
"""Of the conditioning of the tiny network."""

ROPE = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [2, 2, 2], "mrope_interleaved": True}
DROPPED = 14
"""Tokens of the template that the family leaves out of the conditioning."""


def transformer() -> Any:
    from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21Transformer2DModel

    module = QwenImage21Transformer2DModel(
        num_layers=2, attention_head_dim=16, num_attention_heads=2, context_in_dim=WIDTH, axes_dims_rope=(4, 6, 6)
    )
    for name, parameter in module.named_parameters():
        if name.endswith("text_norm.weight"):
            torch.nn.init.normal_(parameter, std=0.1)
    return module


def autoencoder() -> Any:
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage21 import AutoencoderKLQwenImage21

    return AutoencoderKLQwenImage21(base_dim=8, decoder_base_dim=12, dim_mult=[1, 2, 2, 2, 2])


def encoder(words: int) -> Any:
    """Qwen3-VL of three layers, which sees pictures too."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    text = {
        "vocab_size": words,
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 12,
        "rms_norm_eps": 1e-6,
        "rope_parameters": ROPE,
    }
    vision = {
        "depth": 3,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1],
    }
    config = Qwen3VLConfig(text_config=text, vision_config=vision, image_token_id=PICTURE_TOKEN)
    return Qwen3VLForConditionalGeneration(config)


def stacked(state: dict[str, Any]) -> dict[str, Any]:
    """As the files of the field have it: gate and value of the feed-forward layers in one."""
    found = dict(state)
    for name in [name for name in state if name.endswith("img_mlp.gate_layer.weight")]:
        halves = found.pop(name), found.pop(name.replace("gate_layer", "proj"))
        found[name.replace("gate_layer", "gate_up")] = torch.cat(halves)
    return found


def wan_names(state: dict[str, Any]) -> dict[str, Any]:
    """A VAE's tensors as Wan 2.2's files name them."""
    from engine.models.wan_names import library_name

    residual = [f"residual.{part}" for part in (0, 2, 3, 6)]
    block = [*residual, "shortcut", "resample.1", "time_conv"]
    middle = [
        *(f"{i}.{part}" for i in (0, 2) for part in residual),
        *(f"1.{part}" for part in ("norm", "to_qkv", "proj")),
    ]
    names = ["conv1", "conv2"]
    for half, side in (("encoder", "downsamples"), ("decoder", "upsamples")):
        names += [f"{half}.{part}" for part in ("conv1", "head.0", "head.2")]
        names += [f"{half}.middle.{part}" for part in middle]
        names += [f"{half}.{side}.{i}.{side}.{j}.{part}" for i in range(5) for j in range(4) for part in block]
    kinds = ("weight", "bias", "gamma")
    ours = {library_name(f"{name}.{kind}"): f"{name}.{kind}" for name in names for kind in kinds}
    return {ours[name]: value for name, value in state.items()}


def write_qwen_image21(base: Path) -> Tiny:
    """Network, VAE and encoder, each in a file of its own; the network in both layouts."""
    torch.manual_seed(9)
    tokenizer = library_tokenizer(write_tokenizer(base, "qwen3_vl", "qwen"), "<|endoftext|>")
    modules = {"transformer": transformer(), "vae": autoencoder(), "text_encoder": encoder(len(tokenizer))}
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = Tiny(base, modules, {"tokenizer": tokenizer})
    tensors, told = modules["transformer"].state_dict(), {"safelight.config": '{"unet": {"axes": [4, 6, 6]}}'}
    save(tiny.file("diffusion_models", "diffusers.safetensors"), tensors, told)
    original = {f"model.diffusion_model.{name}": value for name, value in stacked(tensors).items()}
    save(tiny.file("diffusion_models", "qwen_image_2.1.safetensors"), original, told)
    save(tiny.file("vae", "qwen_image_2.1_vae.safetensors"), modules["vae"].state_dict())
    save(tiny.file("vae", "wan_names.safetensors"), wan_names(modules["vae"].state_dict()))
    words = {name: value for name, value in modules["text_encoder"].state_dict().items() if "lm_head" not in name}
    vision = {"num_heads": 2, "deepstack_visual_indexes": [0, 1]}
    heads = json.dumps({"text": {"heads": 4, "rope": ROPE, "vision": vision}})
    save(tiny.file("text_encoders", "qwen3vl_8b.safetensors"), words, {"safelight.config": heads})
    return tiny
