"""A tiny ERNIE-Image with random weights, in the layout in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.families import Tiny, save
from tests.tiny_flux2 import autoencoder, autoencoder_to_original

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


def write(base: Path) -> Tiny:
    """The network in a file of its own, with and without the prefix of checkpoints, and the autoencoder."""
    torch.manual_seed(21)
    module, vae = filled(transformer()), autoencoder()
    tiny = Tiny(base, {"transformer": module, "vae": vae}, {})
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
