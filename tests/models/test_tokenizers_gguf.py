"""The real tokenizers, cut short, written into the facts of GGUF files as converters do it, and read again: the same ids."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.errors import TokenizerError
from engine.models.tokenizer_files import parse
from engine.models.tokenizer_gguf import read
from tests.models.test_tokenizers_real import table
from tests.tiny_gguf import byte_pairs, pieces, unigrams, write

TEXTS = (
    "An astronaut's cat, 35mm (f/1.4), I'LL and we've 1234567 2026-12-01",
    "日本語 ﬁne 😀 e\u0301tude Ünïcødé\n\n  two\tspaces   \n",
    "<|im_start|>user\nhi<|im_end|>\n<think>a</think> <bos><start_of_turn> <|begin_of_text|>x<|eot_id|> </s>",
    " ",
)
TENSORS = {"token_embd.weight": torch.zeros(1, 1).numpy()}


def facts_of(name: str, found: dict[str, Any]) -> Any:
    if name == "t5":
        steps = found["normalizer"].get("normalizers", [found["normalizer"]])
        charsmap = next(one["precompiled_charsmap"] for one in steps if one["type"] == "Precompiled")
        return unigrams(found, charsmap=base64.b64decode(charsmap))
    if name == "gemma3":
        return pieces(found)
    return byte_pairs(found, {"qwen3": "qwen2", "llama3": "llama-bpe"}[name])


def cut(found: dict[str, Any], most: int = 12_000) -> dict[str, Any]:
    """A tokenizer.json with byte pairs without what was joined last: whole ones take long to write."""
    vocab, merges = found["model"]["vocab"], found["model"]["merges"]
    words = sorted((word for word in vocab if vocab[word] < most or len(word) == 1), key=vocab.__getitem__)
    kept = {word: number for number, word in enumerate(words)}
    pairs = [tuple(one.split(" ")) if isinstance(one, str) else tuple(one) for one in merges]
    found["model"]["merges"] = [one for one in pairs if {*one, "".join(one)} <= kept.keys()]
    found["model"]["vocab"] = kept
    added = [one for one in found["added_tokens"] if one["content"] in kept or one["id"] >= len(vocab)]
    for one in added:
        one["id"] = kept.get(one["content"], one["id"] - len(vocab) + len(kept))
    found["added_tokens"] = added
    found["post_processor"] = None
    return found


@pytest.mark.parametrize("name", ["qwen3", "llama3", "gemma3", "t5"])
def test_ids_are_those_of_the_tokenizer_json(real_tokenizers: Path, tmp_path: Path, name: str) -> None:
    folder = real_tokenizers / name
    found = table(folder) if name == "t5" else cut(table(folder))
    path = write(tmp_path / "x.gguf", "llama", TENSORS, facts_of(name, found))
    made, real = read(path), parse(json.dumps(found), name)
    assert made is not None
    for text in TEXTS:
        ids = made.encode(text, add_special_tokens=False).ids
        assert ids == real.encode(text, add_special_tokens=False).ids, text
        assert made.decode(ids).replace("<unk>", "") == real.decode(ids).replace("<unk>", "")


def test_a_vocabulary_split_in_a_way_that_is_not_known_is_passed_over(tmp_path: Path) -> None:
    found = json.loads('{"model": {"vocab": {"a": 0}, "merges": []}, "added_tokens": []}')
    path = write(tmp_path / "x.gguf", "llama", TENSORS, byte_pairs(found, "of-tomorrow"))
    assert read(path) is None
    assert read(write(tmp_path / "y.gguf", "llama", TENSORS)) is None


def test_facts_that_make_no_tokenizer_are_told_by_name(tmp_path: Path) -> None:
    found = json.loads('{"model": {"vocab": {"a": 0}, "merges": ["b c"]}, "added_tokens": []}')
    path = write(tmp_path / "x.gguf", "llama", TENSORS, byte_pairs(found, "qwen2"))
    with pytest.raises(TokenizerError, match=r"x\.gguf: tokenizer\.ggml\.… tells no tokenizer of the kind 'gpt2'"):
        read(path)
