"""Tiny networks without text, or of pictures themselves, with random weights, as people have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys
from tests.conftest import Bench
from tests.families import Tiny, clip_tokenizers, save, text_tower, vae

CLASSES = {"0": "tench, Tinca tinca", "1": "goldfish, Carassius auratus", "2": "great white shark, white shark"}


def bench_of(base: Path) -> Bench:
    from engine.models.manager import ModelManager
    from engine.paths import Paths

    return Bench(ModelManager("cpu", tokenizer_dirs=[base / "models" / "text_encoders"]), Paths(base))


def ddpm_unet(**told: Any) -> Any:
    """As Google's, with one level of attention."""
    from diffusers.models.unets.unet_2d import UNet2DModel

    usual: dict[str, Any] = {
        "sample_size": 16,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": None,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
        "norm_eps": 1e-6,
        "downsample_padding": 0,
    }
    return UNet2DModel(**(usual | told)).eval().requires_grad_(False)


def write_folder(folder: Path, parts: dict[str, Any], index: dict[str, Any], scheduler: dict[str, Any]) -> Path:
    """A folder of the library's; a part called "" lies beside the index, as in Google's of DDPM, and so does its scheduler."""
    for name, part in parts.items():
        config = part.config.to_dict() if hasattr(part.config, "to_dict") else dict(part.config)
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.json").write_text(json.dumps(config, default=str))
        file = "model" if name.startswith("text_encoder") else "diffusion_pytorch_model"
        save(place / f"{file}.safetensors", part.state_dict())
    (folder / "model_index.json").write_text(json.dumps(index))
    place = folder if "" in parts else folder / "scheduler"
    place.mkdir(exist_ok=True)
    (place / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder


def dit_transformer(**told: Any) -> Any:
    from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel

    usual = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": 4,
        "out_channels": 8,
        "num_layers": 2,
        "sample_size": 8,
        "num_embeds_ada_norm": 1000,
    }
    return DiTTransformer2DModel(**(usual | told))


def dit_to_original(state: dict[str, Any], config: Any) -> dict[str, Any]:
    """DiT's own names: stacked rows, and once what the library has in every block."""
    from engine.models.networks.dit_sizes import _SHARED, fused, paths

    original: dict[str, Any] = {}
    for ours, theirs in paths(config).items():
        for kind in ("weight", "bias"):
            original[f"{theirs}.{kind}"] = state[f"{ours}.{kind}"]
    for theirs, parts in fused(config).items():
        for kind in ("weight", "bias"):
            original[f"{theirs}.{kind}"] = torch.cat([state[f"{part}.{kind}"] for part in parts])
    for ours, theirs in _SHARED.items():
        for kind in ("weight", "bias"):
            if (name := f"transformer_blocks.0.{ours}.{kind}") in state:
                original[f"{theirs}.{kind}"] = state[name]
    return original | {
        "pos_embed": state["pos_embed.proj.bias"].new_zeros(1, 16, state["pos_embed.proj.bias"].shape[0])
    }


def dit_parts() -> dict[str, Any]:
    """A transformer whose blocks share their embeddings, as trained ones do, and a VAE."""
    torch.manual_seed(21)
    transformer = dit_transformer()
    first = transformer.transformer_blocks[0].norm1.emb.state_dict()
    for block in transformer.transformer_blocks:
        block.norm1.emb.load_state_dict(first)
    made = vae()
    made.register_to_config(scaling_factor=0.18215)
    return {"transformer": transformer.eval().requires_grad_(False), "vae": made.eval().requires_grad_(False)}


def classed_unet(**told: Any) -> Any:
    """A U-Net of Stable Diffusion 2 with an embedding of a class, or of a vector in its place."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    usual: dict[str, Any] = {
        "sample_size": 16,
        "block_out_channels": (32, 64, 64),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 48,
        "attention_head_dim": 8,
        "use_linear_projection": True,
    }
    return UNet2DConditionModel(**(usual | told))


UPSCALER: dict[str, Any] = {"in_channels": 7, "num_class_embeds": 1000, "only_cross_attention": (True, True, False)}


def smaller_vae() -> Any:
    """Of three levels, as the upscaler's: a latent pixel is four pixels a side."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        scaling_factor=0.08333,
        force_upcast=False,
    )


def write_sd2(
    base: Path, clip_files: tuple[Path, Path], clip_json: str, family: str, modules: dict[str, Any], **more: Any
) -> Tiny:
    """A checkpoint in the original layout, with open_clip's text encoder, and `more` tensors."""
    words = len(json.loads(clip_json)["model"]["vocab"])
    whole = text_tower(words, 48, 3, "gelu").state_dict()
    modules["text_encoder"] = text_tower(
        words, 48, 2, "gelu"
    )  # the library's leaves out the last layer, which is not used
    modules["text_encoder"].load_state_dict({name: whole[name] for name in modules["text_encoder"].state_dict()})
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tokenizer = clip_tokenizers(clip_files)["tokenizer_2"]
    tiny = Tiny(base, modules, {"tokenizer": tokenizer})
    unet, decoder = modules["unet"], modules["vae"]
    tensors = sd_keys.unet_to_original(unet.state_dict(), unet.config)
    tensors |= sd_keys.vae_to_original(decoder.state_dict(), decoder.config)
    projection = {"text_projection.weight": torch.eye(48)}
    tensors |= sd_keys.text_to_open_clip(whole | projection, "cond_stage_model.model.")
    facts = {
        "family": family,
        "unet": {"heads": 8},
        "vae": {"norm_groups": 32},
        "text": {"heads": 2},
        "vision": {"heads": 2},
    }
    told = {"safelight.config": json.dumps(facts), "safelight.tokenizer": clip_json}
    save(tiny.file("checkpoints", f"{family}.safetensors"), tensors | more.get("tensors", {}), told)
    return tiny
