"""A tiny Qwen3-VL with random weights, of as many layers as the published ones, and its tokenizer."""

from __future__ import annotations

import json
from typing import Any

import torch

from tests.families import Tiny, save
from tests.tiny_towers import library_tokenizer, write_tokenizer

ROPE = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [2, 1, 1], "mrope_interleaved": True}


def language_model(vocabulary: int, width: int) -> Any:
    """36 layers of two heads; within the model that sees pictures."""
    from transformers import Qwen3VLConfig, Qwen3VLModel

    text = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 36,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "rope_parameters": ROPE,
    }
    vision = {"depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 1, "out_hidden_size": width}
    config = Qwen3VLConfig(
        text_config=text,
        vision_config={**vision, "num_position_embeddings": 16, "deepstack_visual_indexes": [0], "patch_size": 4},
    )
    module = Qwen3VLModel(config)
    for name, parameter in module.named_parameters():
        if "norm" in name:
            parameter.data.add_(torch.randn_like(parameter) * 0.1)
    return module.eval().requires_grad_(False)


def add(tiny: Tiny, width: int) -> None:
    """Give a tiny model this encoder with its tokenizer, and write it into a file of its own."""
    words = library_tokenizer(write_tokenizer(tiny.base, "qwen3_vl", "qwen"), "<|endoftext|>")
    words.chat_template = (
        "{% for message in messages %}<|im_start|>user\n{{ message.content[0].text }}<|im_end|>\n{% endfor %}"
        "{{ '<|im_start|>assistant\\n' }}"
    )
    module = language_model(len(words), width)
    tiny.modules["text_encoder"] = module
    tiny.tokenizers["tokenizer"] = words
    told = {"safelight.config": json.dumps({"text": {"rope": ROPE}})}
    state = {f"model.{name}": value for name, value in module.state_dict().items()}
    save(tiny.file("text_encoders", "qwen3vl.safetensors"), state, told)
