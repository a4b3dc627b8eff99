"""Chroma Radiance in tiny, with random weights, in the layout in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.families import Tiny, save, t5, t5_tensors, t5_words, write_tokenizers

SIZES = {
    "num_layers": 2,
    "num_single_layers": 2,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 24,
    "axes_dims_rope": (2, 6, 8),
    "approximator_num_channels": 16,
    "approximator_hidden_dim": 32,
    "approximator_layers": 2,
    "pixel_layers": 2,
    "pixel_width": 8,
    "pixel_ratio": 4,
    "frequencies": 4,
}
FULL = {
    "num_layers": 19,
    "num_single_layers": 38,
    "attention_head_dim": 128,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "axes_dims_rope": (16, 56, 56),
    "approximator_num_channels": 64,
    "approximator_hidden_dim": 5120,
    "approximator_layers": 5,
    "pixel_layers": 4,
    "pixel_width": 64,
    "pixel_ratio": 4,
    "frequencies": 8,
}


def transformer(**told: Any) -> Any:
    from engine.models.networks.radiance_module import RadianceTransformer

    return RadianceTransformer(**(SIZES | told)).eval().requires_grad_(False)


def to_original(module: Any, config: Any) -> dict[str, Any]:
    """Its own names, with stacked rows, and the empty tensors by which kinds are told."""
    from engine.models.networks.radiance_sizes import fused, paths

    state = module.state_dict()
    original: dict[str, Any] = {}
    for ours, theirs in paths(config).items():
        for kind in ("weight", "bias"):
            if f"{ours}.{kind}" in state:
                normed = theirs.endswith((".norm", "_norm")) or ".norms." in theirs
                original[f"{theirs}.{'scale' if normed else kind}"] = state[f"{ours}.{kind}"]
    for theirs, parts in fused(config).items():
        for kind in ("weight", "bias"):
            original[f"{theirs}.{kind}"] = torch.cat([state[f"{part}.{kind}"] for part in parts])
    marks = {"__x0__": module.predicts_pictures, "__32x32__": module.coarse}
    return original | {name: torch.empty(0) for name, there in marks.items() if there}


def write(base: Path, clip_json: str, **told: Any) -> Tiny:
    """The network and T5 in files of their own."""
    torch.manual_seed(10)
    network, encoder = transformer(**told), t5(24).eval().requires_grad_(False)
    tiny = Tiny(base, {"transformer": network, "text_encoder": encoder}, {"tokenizer": t5_words(256)})
    write_tokenizers(base, clip_json)
    facts = {"safelight.config": json.dumps({"unet": {"axes": [2, 6, 8]}})}
    save(tiny.file("diffusion_models", "radiance.safetensors"), to_original(network, SIZES | told), facts)
    save(tiny.file("text_encoders", "t5xxl.safetensors"), t5_tensors(encoder))
    return tiny
