"""FLUX.3 in tiny, with random weights, in the layouts in which people have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.families import Tiny, save
from tests.tiny_flux2 import autoencoder, autoencoder_to_original
from tests.tiny_towers import library_tokenizer, write_tokenizer

AXES = (4, 4, 4, 4)
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)
"""As much of Qwen3-VL's template as a prompt needs."""


def transformer(*, flow_map: bool, text: int = 256) -> Any:
    from diffusers.models.transformers.transformer_flux3 import Flux3Transformer2DModel

    module = Flux3Transformer2DModel(
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=text,
        timestep_channels=32,
        axes_dims_rope=AXES,
        flow_map=flow_map,
    )
    return module.eval().requires_grad_(False)


def to_original(state: dict[str, Any], config: Any) -> dict[str, Any]:
    """Black Forest Labs' own names, with shift before scale where the last norm is, and a part that only training needs."""
    from engine.models.networks.flux3_sizes import fused, paths

    original: dict[str, Any] = {}
    for ours, theirs in paths(config).items():
        if f"{ours}.weight" in state:
            original[f"{theirs}.{'scale' if '_norm' in theirs else 'weight'}"] = state[f"{ours}.weight"]
    [(theirs, parts)] = fused(config).items()
    scale, shift = state[f"{next(iter(parts))}.weight"].chunk(2)
    original[f"{theirs}.weight"] = torch.cat([shift, scale])
    return original | {"repa_projectors.0.weight": torch.zeros(2, 2, device=shift.device)}


class Processor:
    """As much of Qwen3-VL's as a prompt needs."""

    def __init__(self, words: Any) -> None:
        self.tokenizer = words
        words.chat_template = CHAT

    def apply_chat_template(self, messages: Any, **told: Any) -> Any:
        return self.tokenizer.apply_chat_template(messages, **told)


ROPE = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [4, 2, 2], "mrope_interleaved": True}


def text_encoder(base: Path) -> tuple[Any, Any]:
    """Qwen3-VL with the layers that are taken and small eyes, and what the pipeline reads prompts with."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    words = library_tokenizer(write_tokenizer(base, "qwen3_vl", "qwen"), "<|endoftext|>")
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    told = {"vocab_size": len(words), "num_hidden_layers": 33, "head_dim": 16, "rope_parameters": ROPE}
    eyes = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32}
    config = Qwen3VLConfig(
        text_config=sizes | told,
        vision_config=eyes | {"num_position_embeddings": 16, "deepstack_visual_indexes": [0], "patch_size": 4},
        image_token_id=words.convert_tokens_to_ids("<|image_pad|>"),
    )
    return Qwen3VLForConditionalGeneration(config).eval().requires_grad_(False), Processor(words)


def write(base: Path, *, flow_map: bool) -> Tiny:
    """Every part in a file of its own."""
    torch.manual_seed(8)
    modules = {"transformer": transformer(flow_map=flow_map), "vae": autoencoder()}
    modules["text_encoder"], processor = text_encoder(base)
    made = Tiny(base, modules, {"tokenizer": processor})
    told = {"safelight.config": json.dumps({"unet": {"axes": AXES}})}
    network, vae = modules["transformer"], modules["vae"]
    save(made.file("diffusion_models", "flux3.safetensors"), to_original(network.state_dict(), network.config), told)
    save(made.file("vae", "flux2-vae.safetensors"), autoencoder_to_original(vae.state_dict(), vae.config))
    state = {name: value for name, value in modules["text_encoder"].state_dict().items() if "lm_head" not in name}
    words = {"safelight.config": json.dumps({"text": {"heads": 4, "rope": ROPE}})}
    save(made.file("text_encoders", "words.safetensors"), state, words)
    return made
