"""A tiny refiner of HunyuanImage 2.1 with random weights, in the layouts in which people have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests import tiny_hunyuan_image
from tests.families import Tiny, save
from tests.tiny_hunyuan_image import to_fields, to_original, transformer


def refiner(**told: Any) -> Any:
    sizes = {"in_channels": 128, "out_channels": 64, "attention_head_dim": 32, "patch_size": (1, 1, 1)}
    sizes |= {"rope_axes_dim": (4, 14, 14), "text_embed_2_dim": None, "guidance_embeds": True}
    return transformer(**sizes | told)


def autoencoder(**told: Any) -> Any:
    from diffusers.models.autoencoders.autoencoder_kl_hunyuanimage_refiner import AutoencoderKLHunyuanImageRefiner

    return AutoencoderKLHunyuanImageRefiner(
        **{"block_out_channels": (32, 32, 32, 64, 64), "layers_per_block": 1} | told
    )


def vae_to_original(state: dict[str, Any]) -> dict[str, Any]:
    """Its authors' names."""
    words = {
        "down_blocks.": "down.",
        "up_blocks.": "up.",
        "downsamplers.0.": "downsample.",
        "upsamplers.0.": "upsample.",
        "mid_block.resnets.0.": "mid.block_1.",
        "mid_block.resnets.1.": "mid.block_2.",
        "mid_block.attentions.0.to_": "mid.attn_1.",
        "mid_block.attentions.0.": "mid.attn_1.",
        ".resnets.": ".block.",
    }
    original: dict[str, Any] = {}
    for name, value in state.items():
        for ours, theirs in words.items():
            name = name.replace(ours, theirs)
        original[name] = value
    return original


def write(base: Path) -> Tiny:
    """The network and its autoencoder, with the text encoders of HunyuanImage."""
    made = tiny_hunyuan_image.write(base)
    torch.manual_seed(50)
    modules = {"transformer": refiner(), "vae": autoencoder()}
    made.modules |= {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    network, vae = modules["transformer"], modules["vae"]
    stacked = to_original(network.state_dict(), network.config, is_stacked=True)
    files = {"refiner": to_original(network.state_dict(), network.config), "refiner_diffusers": network.state_dict()}
    files |= {"refiner_stacked": stacked, "refiner_field": to_fields(stacked)}
    for name, tensors in files.items():
        save(made.file("diffusion_models", f"{name}.safetensors"), tensors)
    save(made.file("vae", "refiner_vae.safetensors"), vae_to_original(vae.state_dict()))
    return made


def write_alone(base: Path) -> Tiny:
    """The same without the base's network and autoencoder."""
    made = write(base)
    for folder, names in (("diffusion_models", ("hunyuan_image", "stacked", "field", "diffusers")), ("vae", VAES)):
        for name in names:
            made.file(folder, f"{name}.safetensors").unlink()
    return made


VAES = ("hunyuan_image_vae", "hunyuan_image_diffusers")
