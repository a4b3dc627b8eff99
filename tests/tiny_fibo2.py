"""A tiny Fibo 2 with random weights, in the layout in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests import tiny_qwen3_vl
from tests.families import Tiny, save
from tests.tiny_flux2 import autoencoder, autoencoder_to_original

LAYER = 16
"""Width of a layer of the text encoder, of which three are a bundle."""


def transformer(**told: Any) -> Any:
    from diffusers.models.transformers.transformer_bria_fibo2 import BriaFibo2Transformer2DModel

    sizes = {
        "dim": 64,
        "n_layers": 6,
        "n_refiner_layers": 1,
        "n_heads": 4,
        "cap_feat_dim": 3 * LAYER,
        "injection_layer_ids": (0, 1, 3, 4, 5),
        "perceiver_num_layers": 1,
        "axes_dims": (4, 6, 6),
    }
    return BriaFibo2Transformer2DModel(**sizes | told)


def write(base: Path) -> Tiny:
    """Every part in a file of its own; the network under the prefix of checkpoints too."""
    torch.manual_seed(24)
    module, vae = transformer(), autoencoder()
    for name, parameter in module.named_parameters():
        if name.endswith("cross_attn_gate"):  # closed at first, which would show nothing
            torch.nn.init.constant_(parameter, 0.7)
    tiny = Tiny(base, {"transformer": module.eval().requires_grad_(False), "vae": vae}, {})
    tiny_qwen3_vl.add(tiny, LAYER)
    tiny.tokenizers = {"processor": tiny_qwen3_vl.Processor(tiny.tokenizers["tokenizer"])}
    told = {"safelight.config": json.dumps({"unet": {"axes": [4, 6, 6]}})}
    save(tiny.file("diffusion_models", "fibo2.safetensors"), module.state_dict(), told)
    prefixed = {f"model.diffusion_model.{name}": value for name, value in module.state_dict().items()}
    save(tiny.file("diffusion_models", "prefixed.safetensors"), prefixed, told)
    save(tiny.file("vae", "flux2-vae.safetensors"), autoencoder_to_original(vae.state_dict(), vae.config))
    return tiny
