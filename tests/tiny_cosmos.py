"""A tiny Cosmos Predict 2 with random weights, in the layouts in which people have it."""

from __future__ import annotations

from pathlib import Path

import torch

from tests import tiny_anima, tiny_qwen_image
from tests.families import Tiny, save, t5, t5_tensors, t5_tokenizer, t5_words

TEXT = 20
"""Width of the conditioning."""


def write(base: Path) -> Tiny:
    """The network in files of its own, with prefixes and without and in diffusers' names, its text encoder and its autoencoder."""
    torch.manual_seed(43)
    transformer = tiny_anima.transformer(in_channels=16, concat_padding_mask=True, text_embed_dim=TEXT)
    modules = {"transformer": transformer, "vae": tiny_qwen_image.autoencoder(), "text_encoder": t5(TEXT)}
    modules = {name: module.eval().requires_grad_(False) for name, module in modules.items()}
    tiny = Tiny(base, modules, {"tokenizer": t5_words(512)})
    path = tiny.file("text_encoders", "t5") / "tokenizer.json"
    path.parent.mkdir(parents=True)
    path.write_text(t5_tokenizer().to_str())
    save(tiny.file("text_encoders", "oldt5_xxl.safetensors"), t5_tensors(modules["text_encoder"]))
    vae = tiny_qwen_image.to_original(modules["vae"].state_dict())
    save(tiny.file("vae", "wan_2.1_vae.safetensors"), vae)
    state = transformer.state_dict()
    original = tiny_anima.to_original(state, {}) | {
        "accum_iteration": torch.zeros(1),
        "pos_embedder.seq": torch.zeros(4),
    }
    for name, prefix in (("cosmos", ""), ("net", "net."), ("prefixed", "model.diffusion_model.")):
        save(tiny.file("diffusion_models", f"{name}.safetensors"), {f"{prefix}{n}": v for n, v in original.items()})
    save(tiny.file("diffusion_models", "diffusers.safetensors"), state)
    return tiny
