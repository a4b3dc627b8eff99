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


def test_a_packs_pictures_and_template_are_what_the_familys_node_gives(family: Any, tmp_path: Path, host: Any) -> None:
    import comfy.sd

    from tests.models.test_towers_pictures import PICTURE, TEMPLATE, pictures, qwen2_5_vl

    edit = f"Prompting(template={TEMPLATE!r}, drop=5, picture={PICTURE!r})"
    usual = "Prompting(template='<|im_start|>user\\n{}<|im_end|>', drop=3)"
    bench = family("seeing", f"kind='qwen2_5_vl', width=32, prompting={usual}, styles={{'edit': {edit}}}")
    words = library_tokenizer(write_tokenizer(tmp_path, "qwen2_5_vl", "qwen"), "<|endoftext|>")
    module, told_of = qwen2_5_vl(words)
    written(bench, "seeing", module, told_of)
    handle = text_encoder_loader(bench, "seeing.safetensors")
    with bench.models.use(handle) as encoder:
        expected = encoder.encode(PROMPT, pictures=pictures(), style="edit")
        plain = encoder.encode(PROMPT)
    told = Told(bench.paths)
    told.models = bench.models
    mine = "<|im_start|>system\nLook.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n"
    before = "".join(PICTURE.replace("{}", str(number)) for number in (1, 2))
    with running(told):
        clip = comfy.sd.load_clip([str(bench.paths.find("text_encoders", "seeing.safetensors"))])
        cond = clip.encode_from_tokens(clip.tokenize(PROMPT, images=pictures()), return_dict=True)
        own = clip.encode_from_tokens(clip.tokenize(before + PROMPT, images=pictures(), llama_template=mine))
        without = clip.encode_from_tokens(clip.tokenize(PROMPT))
    assert torch.equal(cond["cond"], expected.context)
    assert torch.equal(cond["picture_slots"], expected.options["picture_slots"])
    assert torch.equal(without, plain.context)
    seen = int(expected.options["picture_slots"].sum())
    after = words(before + PROMPT + "<|im_end|>\n").input_ids
    user = words("<|im_start|>user\n").input_ids
    assert own.shape[1] == len(after) - 2 + seen + len(user) - 3  # what follows the system's part and three tokens
