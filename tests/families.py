"""Tiny networks of model families with random weights, written in the layouts in which people have them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys

TIMES = 8
"""Width of the embedding of one size in tiny networks of Stable Diffusion XL."""


@dataclass
class TinyXL:
    """Modules of a tiny Stable Diffusion XL (base or refiner), and files that hold them."""

    base: Path
    modules: dict[str, Any]
    tokenizer_files: tuple[Path, Path]

    def file(self, folder: str, name: str) -> Path:
        return self.base / "models" / folder / name

    def tokenizers(self) -> dict[str, Any]:
        """As the pipeline has them: the second one pads with token 0."""
        from transformers import CLIPTokenizer

        vocabulary, merges = self.tokenizer_files
        pairs = [tuple(line.split()) for line in merges.read_text().splitlines()[1:]]
        known = json.loads(vocabulary.read_text())
        first = CLIPTokenizer(vocab=known, merges=pairs, model_max_length=77)
        second = CLIPTokenizer(vocab=known, merges=pairs, model_max_length=77, pad_token="!")
        return {"tokenizer": first, "tokenizer_2": second}


def text_tower(words: int, width: int, layers: int, act: str, *, projection: int = 0) -> Any:
    """A CLIP text tower of two heads, with or without projection."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        max_position_embeddings=77,
        hidden_act=act,
        projection_dim=projection or width,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )
    return CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config)


def xl_unet(context: int, pooled: int, *, sizes: int, in_channels: int = 4) -> Any:
    """Three levels with attention of depth 2 at the last two, which is how depths differ in the full-size network."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        in_channels=in_channels,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        cross_attention_dim=context,
        attention_head_dim=(2, 4, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIMES,
        projection_class_embeddings_input_dim=sizes * TIMES + pooled,
    )


def vae() -> Any:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(32, 32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        scaling_factor=0.13025,
        force_upcast=False,
    )


def write_xl(base: Path, tokenizer_files: tuple[Path, Path], tokenizer_json: str, *, refiner: bool = False) -> TinyXL:
    """A checkpoint in the original layout, and its parts in files of their own."""
    torch.manual_seed(5)
    words = json.loads(tokenizer_json)["model"]["vocab"]
    first, second = text_tower(len(words), 32, 3, "quick_gelu"), text_tower(len(words), 48, 3, "gelu", projection=40)
    context = 48 if refiner else 80
    modules = {
        "unet": xl_unet(context, 40, sizes=5 if refiner else 6),
        "vae": vae(),
        "text_encoder": first,
        "text_encoder_2": second,
    }
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = TinyXL(base, modules, tokenizer_files)
    facts = {
        "family": "sdxl_refiner" if refiner else "sdxl",
        "unet": {"heads": [2, 4, 4], "size_width": TIMES},
        "vae": {"norm_groups": 32},
        "text": {"heads": 2},
        "text_2": {"heads": 2},
    }
    metadata = {"safelight.config": json.dumps(facts), "safelight.tokenizer": tokenizer_json}
    unet = modules["unet"]
    tensors = sd_keys.unet_to_original(unet.state_dict(), unet.config)
    tensors |= sd_keys.vae_to_original(modules["vae"].state_dict(), modules["vae"].config)
    second_prefix = "conditioner.embedders.0.model." if refiner else "conditioner.embedders.1.model."
    tensors |= sd_keys.text_to_open_clip(second.state_dict(), second_prefix)
    if not refiner:
        tensors |= sd_keys.text_to_original(first.state_dict(), prefix="conditioner.embedders.0.transformer.")
    save(tiny.file("checkpoints", "xl.safetensors"), tensors, metadata)
    towers = {name: json.dumps({"text": {"heads": 2}}) for name in ("clip_l", "clip_g")}
    for name, module in (("clip_l", first), ("clip_g", second)):
        told = {"safelight.config": towers[name], "safelight.tokenizer": tokenizer_json}
        save(
            tiny.file("text_encoders", f"{name}.safetensors"),
            sd_keys.text_to_original(module.state_dict(), prefix=""),
            told,
        )
    return tiny


def save(path: Path, tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path, metadata)
