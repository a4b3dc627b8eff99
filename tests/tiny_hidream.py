"""A tiny HiDream with random weights, as people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.models import sd_keys
from tests.conftest import _save as save
from tests.families import Tiny, clip_tokenizers, flux_vae, t5, t5_tensors, t5_words, text_tower, write_tokenizers
from tests.tiny_towers import SPECIALS, bytes_tokenizer, library_tokenizer, tiny

TEXT, LANGUAGE, POOLED = 24, 32, 72
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


def llama(vocabulary: int) -> Any:
    """A language model of as many layers as the published one has, which are a family's matter."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from engine.models.towers import kind_named

    rope = dict(kind_named("llama").constants["rope_parameters"])  # type: ignore[attr-defined]
    told = {"rms_norm_eps": 1e-5, "max_position_embeddings": 131072, "rope_parameters": rope, "num_hidden_layers": 32}
    return tiny(LlamaConfig, LlamaForCausalLM, vocabulary, **told)


def llama_words(base: Path) -> Any:
    """The tokenizer in its folder, which puts a token before each text, and the same as the pipeline has it."""
    from tokenizers import processors

    words = bytes_tokenizer(SPECIALS["llama"])
    start = "<|begin_of_text|>"
    words.post_processor = processors.TemplateProcessing(
        single=f"{start} $A", special_tokens=[(start, words.token_to_id(start))]
    )
    path = base / "models" / "text_encoders" / "llama" / "tokenizer.json"
    path.parent.mkdir(parents=True)
    path.write_text(words.to_str())
    return library_tokenizer(path, "<|eot_id|>", eos_token="<|eot_id|>")


def write_hidream(base: Path, clip_files: tuple[Path, Path], clip_json: str) -> Tiny:
    """Every part in a file of its own. Its CLIP towers know places for 248 tokens."""
    write_tokenizers(base, clip_json)
    tokenizers = clip_tokenizers(clip_files) | {"tokenizer_3": t5_words(128), "tokenizer_4": llama_words(base)}
    words = len(json.loads(clip_json)["model"]["vocab"])
    language = llama(len(tokenizers["tokenizer_4"]))
    torch.manual_seed(34)
    modules = {
        "transformer": hidream_transformer(),
        "vae": flux_vae(),
        "text_encoder": text_tower(words, 32, 2, "quick_gelu", projection=32, positions=248),
        "text_encoder_2": text_tower(words, 48, 2, "gelu", projection=40, positions=248),
        "text_encoder_3": t5(TEXT),
        "text_encoder_4": language,
    }
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    made = Tiny(base, modules, tokenizers)
    told = {"safelight.config": json.dumps({"unet": {"heads": 2}, "vae": {"norm_groups": 32}, "text": {"heads": 2}})}
    save(made.file("diffusion_models", "hidream.safetensors"), modules["transformer"].state_dict(), told)
    vae = sd_keys.vae_to_original(modules["vae"].state_dict(), modules["vae"].config, "")
    save(made.file("vae", "ae.safetensors"), vae, told)
    for name, part in (("clip_l", "text_encoder"), ("clip_g", "text_encoder_2")):
        tensors = sd_keys.text_to_original(modules[part].state_dict(), prefix="")
        save(made.file("text_encoders", f"{name}_hidream.safetensors"), tensors, told)
    save(made.file("text_encoders", "t5xxl.safetensors"), t5_tensors(modules["text_encoder_3"]))
    bare = {name: value for name, value in language.state_dict().items() if not name.startswith("lm_head")}
    heads = {"safelight.config": json.dumps({"text": {"head_dim": 8}})}
    save(made.file("text_encoders", "llama_3.1.safetensors"), bare, heads)
    return made
