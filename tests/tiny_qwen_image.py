"""Tiny models of Qwen-Image's line with random weights, written in the layouts in which people have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.families import Tiny, save
from tests.tiny_towers import SPECIALS, library_tokenizer, write_tokenizer

WIDTH = 48
"""Of the conditioning of the tiny networks."""


def transformer(**told: Any) -> Any:
    """Qwen-Image's network; `told`: what makes it one of Edit 2511 or Layered."""
    from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel

    return QwenImageTransformer2DModel(
        in_channels=64,
        out_channels=16,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 6, 6),
        **told,
    )


def autoencoder(channels: int = 3) -> Any:
    """Its VAE, with the latents' own means and deviations."""
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage

    return AutoencoderKLQwenImage(base_dim=8, input_channels=channels)


def to_original(state: dict[str, Any]) -> dict[str, Any]:
    """Wan's own names of a VAE, found among all that there could be as those that the library's converter takes."""
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    kinds = ("weight", "bias")
    residual = [f"residual.{part}.{kind}" for part in (2, 6) for kind in kinds] + [
        "residual.0.gamma",
        "residual.3.gamma",
    ]
    block = [*residual, *(f"{part}.{kind}" for part in ("shortcut", "resample.1", "time_conv") for kind in kinds)]
    attention = ["norm.gamma", *(f"{part}.{kind}" for part in ("to_qkv", "proj") for kind in kinds)]
    ends = ["head.0.gamma", *(f"{part}.{kind}" for part in ("conv1", "head.2") for kind in kinds)]
    names = [f"{part}.{kind}" for part in ("conv1", "conv2") for kind in kinds]
    for half, blocks in (("encoder", "downsamples"), ("decoder", "upsamples")):
        names += [f"{half}.{name}" for name in ends]
        names += [f"{half}.middle.{i}.{name}" for i in (0, 2) for name in residual]
        names += [f"{half}.middle.1.{name}" for name in attention]
        names += [f"{half}.{blocks}.{i}.{name}" for i in range(15) for name in block]
    ours: dict[str, str] = convert_wan_vae_to_diffusers({name: name for name in names})
    return {ours[name]: value for name, value in state.items()}


def encoder(words: int) -> Any:
    """Qwen2.5-VL of four layers, which sees pictures too."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(3)
    text = {
        "vocab_size": words,
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6,
        "rope_parameters": ROPE,
    }
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "fullatt_block_indexes": [1],
    }
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, image_token_id=PICTURE_TOKEN)
    return Qwen2_5_VLForConditionalGeneration(config)


PICTURE_TOKEN = SPECIALS["qwen"].index("<|image_pad|>")
"""Of the tiny tokenizers."""

ROPE = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 2, 3]}
AXES = '{"unet": {"axes": [4, 6, 6]}}'


def write_qwen_image(base: Path, *, layered: bool = False, clean_references: bool = False) -> Tiny:
    """A network, its VAE and encoder, each in a file of its own; the network under the prefix of checkpoints too."""
    torch.manual_seed(8)
    told: dict[str, Any] = {"zero_cond_t": clean_references}
    if layered:
        told |= {"use_additional_t_cond": True, "use_layer3d_rope": True}
    tokenizer = library_tokenizer(write_tokenizer(base, "qwen2_5_vl", "qwen"), "<|endoftext|>")
    modules = {
        "transformer": transformer(**told),
        "vae": autoencoder(4 if layered else 3),
        "text_encoder": encoder(len(tokenizer)),
    }
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = Tiny(base, modules, {"tokenizer": tokenizer})
    tensors = modules["transformer"].state_dict()
    if clean_references:
        tensors["__index_timestep_zero__"] = torch.zeros(0)
    told = {"safelight.config": AXES}
    save(tiny.file("diffusion_models", "qwen_image.safetensors"), tensors, told)
    prefixed = {f"model.diffusion_model.{name}": value for name, value in tensors.items()}
    save(tiny.file("diffusion_models", "prefixed.safetensors"), prefixed, told)
    vision = {"num_heads": 2, "fullatt_block_indexes": [1]}
    heads = json.dumps({"text": {"heads": 4, "rope": ROPE, "vision": vision}})
    words = {name: value for name, value in modules["text_encoder"].state_dict().items() if "lm_head" not in name}
    save(tiny.file("text_encoders", "qwen_2.5_vl_7b.safetensors"), words, {"safelight.config": heads})
    vae = modules["vae"].state_dict()
    save(tiny.file("vae", "qwen_image_vae.safetensors"), to_original(vae))
    save(tiny.file("vae", "diffusers.safetensors"), vae)
    return tiny
