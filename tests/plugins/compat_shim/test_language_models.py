"""What packs get of text encoders that are language models: rows with padding, and a conditioning with its mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine.plugins.compat.running import running
from nodes.conditioning import text_encode
from nodes.loaders import text_encoder_loader
from tests.plugins.compat_shim.conftest import Told
from tests.tiny_towers import PROMPT, family, library_tokenizer, tiny, write_tokenizer, written

__all__ = ["family"]


def test_what_is_tokenised_and_encoded_apart_is_the_nodes_conditioning(family: Any, tmp_path: Path, host: Any) -> None:
    import comfy.sd
    from transformers import Qwen3Config, Qwen3Model

    bench = family(
        "qwen3", "kind='qwen3', width=32, prompting=Prompting(template='<|im_start|>{}', layers=(1, 3), least=90)"
    )
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen3", "qwen"), "<|endoftext|>")
    rope = {"rope_type": "default", "rope_theta": 1e6}
    written(bench, "qwen3", tiny(Qwen3Config, Qwen3Model, len(words), head_dim=16, rope_parameters=rope))
    [[context, options]] = text_encode(bench, PROMPT, text_encoder_loader(bench, "qwen3.safetensors"))
    told = Told(bench.paths)
    told.models = bench.models
    with running(told):
        clip = comfy.sd.load_clip([str(bench.paths.find("text_encoders", "qwen3.safetensors"))])
        rows = clip.tokenize(PROMPT)
        [[cond, beside]] = clip.encode_from_tokens_scheduled(rows)
        numbered = clip.tokenize(PROMPT, return_word_ids=True)
    assert all(len(token) == 2 for token in rows["qwen3"][0])
    assert all(len(token) == 3 for token in numbered["qwen3"][0])
    assert torch.equal(cond, context)
    assert beside["pooled_output"] is None
    assert torch.equal(beside["attention_mask"], options["attention_mask"])
