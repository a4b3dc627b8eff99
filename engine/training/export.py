"""Write the trained networks as one half-precision checkpoint in the Stable Diffusion 1 layout, with its own facts inside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from engine.media.atomic import write_whole
from engine.models.sd_keys import text_to_original, unet_to_original, vae_to_original
from engine.training.recipe import Recipe

FORMAT = 1


def export_checkpoint(
    path: Path,
    recipe: Recipe,
    *,
    vae: Any,
    unet: Any,
    text: Any,
    tokenizer: Any,
    preview: tuple[list[list[float]], list[float]],
    provenance: Mapping[str, Any],
) -> int:
    """Write `path` (safetensors, fp16) and return its size in bytes.

    Tensors are named `model.diffusion_model.*`, `first_stage_model.*` and `cond_stage_model.transformer.text_model.*`.
    The metadata holds `safelight.config` (what tensor shapes do not tell), `safelight.tokenizer` (tokenizer.json),
    `safelight.provenance` and the usual `modelspec.*` keys. `preview` is what `preview_factors` returns.
    """
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    tensors |= unet_to_original(unet.state_dict(), unet.config)
    tensors |= vae_to_original(vae.state_dict(), vae.config)
    tensors |= text_to_original(text.state_dict(), text.config)
    tensors = {name: value.detach().half().contiguous() for name, value in tensors.items() if value.is_floating_point()}
    metadata = checkpoint_metadata(recipe, tokenizer, preview, provenance)
    write_whole(path, lambda temporary: save_file(tensors, str(temporary), metadata))
    return path.stat().st_size


def checkpoint_metadata(
    recipe: Recipe, tokenizer: Any, preview: tuple[list[list[float]], list[float]], provenance: Mapping[str, Any]
) -> dict[str, str]:
    """The safetensors metadata, all strings."""
    end = tokenizer.get_vocab_size() - 1
    config = {
        "format": FORMAT,
        "family": "sd1",
        "unet": {
            "norm_groups": recipe.unet.norm_groups,
            "norm_eps": 1e-5,
            "head_dim": recipe.unet.head_dim,
            "act": "silu",
        },
        "vae": {
            "norm_groups": recipe.vae.norm_groups,
            "norm_eps": 1e-6,
            "scale_factor": 1.0,
            "shift_factor": 0.0,
            "act": "silu",
        },
        "text": {
            "heads": recipe.text.width // recipe.text.head_dim,
            "act": "quick_gelu",
            "norm_eps": 1e-5,
            "max_length": recipe.tokenizer.max_length,
            "bos": end - 1,
            "eos": end,
            "pad": end,
        },
        "parameterization": msgspec.to_builtins(recipe.diffusion.parameterization),
        "rgb_factors": preview[0],
        "rgb_bias": preview[1],
        "picture_size": recipe.data.size,
    }
    prediction = recipe.diffusion.parameterization.prediction
    return {
        "format": "pt",
        "safelight.config": json.dumps(config),
        "safelight.tokenizer": tokenizer.to_str(),
        "safelight.provenance": json.dumps(provenance),
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.implementation": "sgm",
        "modelspec.title": recipe.title,
        "modelspec.license": recipe.licence,
        "modelspec.resolution": f"{recipe.data.size}x{recipe.data.size}",
        "modelspec.prediction_type": "epsilon" if prediction == "eps" else prediction,
        "modelspec.date": str(provenance.get("date", "")),
    }
