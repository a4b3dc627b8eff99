"""A tiny Kandinsky 5 for pictures with random weights, in the layout in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys
from tests.families import Tiny, clip_tokenizers, flux_vae, save, text_tower
from tests.tiny_towers import library_tokenizer, write_tokenizer

ROPE = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]}


def transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_kandinsky import Kandinsky5Transformer3DModel

    sizes = {
        "in_visual_dim": 16,
        "in_text_dim": 24,
        "in_text_dim2": 32,
        "time_dim": 20,
        "out_visual_dim": 16,
        "model_dim": 32,
        "ff_dim": 48,
        "num_text_blocks": 1,
        "num_visual_blocks": 2,
        "axes_dims": (4, 6, 6),
    }
    module = Kandinsky5Transformer3DModel(**sizes | told)
    for parameter in module.parameters():
        if not parameter.is_meta and not torch.count_nonzero(parameter):  # its modulations, which begin with zeros
            torch.nn.init.normal_(parameter, std=0.1)
    return module.eval().requires_grad_(False)


def language_model(vocabulary: int) -> Any:
    from transformers import Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel

    config = Qwen2_5_VLTextConfig(
        vocab_size=vocabulary,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=1,
        rope_parameters=ROPE,
        rms_norm_eps=1e-6,
    )
    return Qwen2_5_VLTextModel(config).eval().requires_grad_(False)


class Processor:
    """A tokenizer that is called as the processor of a model which sees pictures."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __call__(self, text: Any, images: None = None, videos: None = None, **told: Any) -> Any:
        return self.tokenizer(text, **told)


def write(base: Path, clip_files: tuple[Path, Path], clip_json: str) -> Tiny:
    """Every part in a file of its own."""
    torch.manual_seed(25)
    words = library_tokenizer(write_tokenizer(base, "qwen2_5_vl", "qwen"), "<|endoftext|>")
    modules = {
        "transformer": transformer(),
        "vae": flux_vae().eval().requires_grad_(False),
        "text_encoder": language_model(len(words)),
        "text_encoder_2": text_tower(len(json.loads(clip_json)["model"]["vocab"]), 32, 2, "quick_gelu").eval(),
    }
    tokenizers = {"tokenizer": Processor(words), "tokenizer_2": clip_tokenizers(clip_files)["tokenizer"]}
    tiny = Tiny(base, modules, tokenizers)
    clip = base / "models" / "text_encoders" / "clip"
    clip.mkdir(parents=True)
    (clip / "tokenizer.json").write_text(clip_json)
    told = {"safelight.config": json.dumps({"unet": {"axes": [4, 6, 6]}, "vae": {"norm_groups": 32}})}
    network = modules["transformer"].state_dict()
    save(tiny.file("diffusion_models", "kandinsky5.safetensors"), network, told)
    vae = modules["vae"]
    save(tiny.file("vae", "ae.safetensors"), sd_keys.vae_to_original(vae.state_dict(), vae.config, ""), told)
    language = {"safelight.config": json.dumps({"text": {"heads": 3, "rope": ROPE}})}
    state = {f"model.{name}": value for name, value in modules["text_encoder"].state_dict().items()}
    save(tiny.file("text_encoders", "qwen.safetensors"), state, language)
    clip_l = sd_keys.text_to_original(modules["text_encoder_2"].state_dict(), prefix="")
    save(
        tiny.file("text_encoders", "clip_l.safetensors"),
        clip_l,
        {"safelight.config": json.dumps({"text": {"heads": 2}})},
    )
    return tiny
