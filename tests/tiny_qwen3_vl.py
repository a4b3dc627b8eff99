"""A tiny Qwen3-VL with random weights, of as many layers as the published ones, and its tokenizer."""

from __future__ import annotations

import json
from typing import Any

import torch

from tests.families import Tiny, save
from tests.tiny_towers import library_tokenizer, write_tokenizer

ROPE = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [2, 1, 1], "mrope_interleaved": True}


VISION = {
    "depth": 2,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_heads": 2,
    "num_position_embeddings": 16,
    "deepstack_visual_indexes": [0],
    "patch_size": 4,
}


def language_model(vocabulary: int, width: int, picture: int) -> Any:
    """36 layers of two heads; within the model that sees pictures, for each token of which stands `picture`."""
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
    config = Qwen3VLConfig(
        text_config=text,
        vision_config={**VISION, "out_hidden_size": width},
        image_token_id=picture,
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
    module = language_model(len(words), width, words.convert_tokens_to_ids("<|image_pad|>"))
    tiny.modules["text_encoder"] = module
    tiny.tokenizers["tokenizer"] = words
    told = {"safelight.config": json.dumps({"text": {"rope": ROPE, "vision": VISION}})}
    state = {f"model.{name}": value for name, value in module.state_dict().items()}
    save(tiny.file("text_encoders", "qwen3vl.safetensors"), state, told)


class Processor:
    """What the library's processor of Qwen3-VL gives for prompts that have places for pictures."""

    def __init__(self, tokenizer: Any) -> None:
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

        self.tokenizer = tokenizer
        half = [0.5] * 3
        self.pictures = Qwen2VLImageProcessorPil(
            patch_size=4, image_mean=half, image_std=half, min_pixels=3136, max_pixels=10**7
        )

    def __call__(self, text: list[str], images: Any = None, **told: Any) -> Any:
        seen = self.pictures(images, return_tensors="pt") if images else {}
        counts = iter((seen["image_grid_thw"].prod(-1) // 4).tolist() if images else ())
        pieces = [one.split("<|image_pad|>") for one in text]
        whole = [
            first + "".join("<|image_pad|>" * next(counts) + piece for piece in others) for first, *others in pieces
        ]
        given = self.tokenizer(whole, **told)
        given.update(seen)
        given["mm_token_type_ids"] = (given.input_ids == self.tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
        return given
