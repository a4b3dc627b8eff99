"""A tiny ERNIE-Image with random weights, in the layout in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.families import Tiny, save
from tests.tiny_flux2 import autoencoder, autoencoder_to_original
from tests.tiny_towers import library_tokenizer, write_tokenizer

TEXT = 24
"""Width of the text."""


def transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_ernie_image import ErnieImageTransformer2DModel

    sizes = {
        "hidden_size": 32,
        "num_attention_heads": 2,
        "num_layers": 2,
        "ffn_hidden_size": 48,
        "text_in_dim": TEXT,
        "rope_axes_dim": (4, 6, 6),
    }
    return ErnieImageTransformer2DModel(**sizes | told)


def filled(module: Any) -> Any:
    """The module with random numbers where it begins with zeros, which would show nothing."""
    for parameter in module.parameters():
        if not torch.count_nonzero(parameter):
            torch.nn.init.normal_(parameter, std=0.1)
    return module.eval().requires_grad_(False)


def language_model(vocabulary: int) -> Any:
    """A tiny Ministral 3, whose rotation is that of the published ones."""
    from transformers import Ministral3Config, Ministral3Model

    config = Ministral3Config(
        vocab_size=vocabulary,
        hidden_size=TEXT,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=3,
        num_key_value_heads=1,
        head_dim=8,
    )
    return Ministral3Model(config).eval().requires_grad_(False)


def begun(tokenizer: Any) -> Any:
    """The tokenizer with the token that opens a text, as Mistral's puts it there by itself."""
    from tokenizers.processors import TemplateProcessing

    special = [("<s>", tokenizer.convert_tokens_to_ids("<s>"))]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=special)
    return tokenizer


def write(base: Path) -> Tiny:
    """Every part in a file of its own; the network with and without the prefix of checkpoints."""
    torch.manual_seed(21)
    module, vae = filled(transformer()), autoencoder()
    words = begun(library_tokenizer(write_tokenizer(base, "ministral3", "mistral"), "<pad>"))
    encoder = language_model(len(words))
    tiny = Tiny(base, {"transformer": module, "vae": vae, "text_encoder": encoder}, {"tokenizer": words})
    heads = {"safelight.config": json.dumps({"text": {"head_dim": 8}})}
    language = {f"model.{name}": value for name, value in encoder.state_dict().items()}
    save(tiny.file("text_encoders", "ministral-3-3b.safetensors"), language, heads)
    told = {"safelight.config": json.dumps({"unet": {"axes": [4, 6, 6]}})}
    state = module.state_dict()
    save(tiny.file("diffusion_models", "ernie.safetensors"), state, told)
    prefixed = {f"model.diffusion_model.{name}": value for name, value in state.items()}
    save(tiny.file("diffusion_models", "prefixed.safetensors"), prefixed, told)
    # The pipeline has a number of its own there, not its autoencoder's.
    least = {"safelight.config": json.dumps({"vae": {"batch_norm_eps": 1e-5}})}
    original = autoencoder_to_original(vae.state_dict(), vae.config)
    save(tiny.file("vae", "flux2-vae.safetensors"), original, least)
    return tiny
