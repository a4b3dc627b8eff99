"""Text encoders written as llama.cpp writes them, by the package gguf: its names, its order of rows, its facts and vocabularies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

Facts = Callable[[Any], None]
"""Adds facts to a writer of the package."""


def named(names: Any, name: str) -> str:
    found = names.get_name(name, (".weight", ".bias"))
    assert found is not None, name
    return str(found)


def turned(weight: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of queries or keys as they are written for Llama: of each head the first of both halves, the second of both, …"""
    rows = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return np.ascontiguousarray(rows.swapaxes(1, 2)).reshape(weight.shape)


def language(
    state: Mapping[str, Tensor], architecture: str, *, heads: tuple[int, int], prefix: str = "model."
) -> dict[str, np.ndarray[Any, Any]]:
    """A language model's tensors, as its bare names have them, under llama.cpp's names and with what it makes of them."""
    import gguf

    arch = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    names = gguf.get_tensor_name_map(arch, 4)
    found = {}
    for name, value in state.items():
        made = value.float().numpy()
        theirs = named(names, f"{prefix}{name}")
        if architecture in ("llama", "mistral3") and (".attn_q." in theirs or ".attn_k." in theirs):
            made = turned(made, heads[0] if ".attn_q." in theirs else heads[1])
        if architecture.startswith("gemma") and name.endswith("norm.weight"):
            made = made + 1
        found[theirs] = made
    return found


def write(
    path: Path,
    architecture: str,
    tensors: Mapping[str, np.ndarray[Any, Any]],
    *facts: Facts,
    packed: Callable[[str], bool] = lambda name: False,
    most: int = 0,
) -> Path:
    """Write a file; matrices that are `packed` as Q8_0, others as float32; in parts of `most` tensors, if told."""
    import gguf

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture, split_max_tensors=most)
    for fact in facts:
        fact(writer)
    kind = gguf.GGMLQuantizationType.Q8_0
    for name, value in tensors.items():
        if packed(name):
            writer.add_tensor(name, gguf.quantize(value, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def sizes(
    *,
    heads: tuple[int, int],
    eps: float = 1e-6,
    theta: float | None = None,
    head_dim: int = 16,
    sections: list[int] | None = None,
) -> Facts:
    """What converters tell of a language model."""

    def add(writer: Any) -> None:
        writer.add_head_count(heads[0])
        writer.add_head_count_kv(heads[1])
        writer.add_layer_norm_rms_eps(eps)
        writer.add_key_length(head_dim)
        if theta is not None:
            writer.add_rope_freq_base(theta)
        if sections:
            writer.add_rope_dimension_sections([*sections, 0])

    return add


def byte_pairs(table: Mapping[str, Any], pre: str, rows: int | None = None) -> Facts:
    """The vocabulary of a tokenizer.json with byte pairs, filled up to `rows`."""
    tokens = {number: token for token, number in table["model"]["vocab"].items()}
    added = {one["id"]: one for one in table["added_tokens"]}
    tokens |= {number: one["content"] for number, one in added.items()}
    count = rows or len(tokens)
    words = [tokens.get(number, f"[PAD{number}]") for number in range(count)]
    kinds = [
        (3 if added[number]["special"] else 4) if number in added else 1 if number in tokens else 5
        for number in range(count)
    ]
    merges = [one if isinstance(one, str) else " ".join(one) for one in table["model"]["merges"]]

    def add(writer: Any) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_list(words)
        writer.add_token_types(kinds)
        writer.add_token_merges(merges)

    return add


def unigrams(table: Mapping[str, Any], *, charsmap: bytes = b"") -> Facts:
    """The vocabulary of a tokenizer.json with unigrams."""
    special = {one["content"] for one in table["added_tokens"]}
    vocab = table["model"]["vocab"]
    kinds = [
        2 if number == table["model"]["unk_id"] else 3 if word in special else 1
        for number, (word, _) in enumerate(vocab)
    ]

    def add(writer: Any) -> None:
        writer.add_tokenizer_model("t5")
        writer.add_tokenizer_pre("default")
        writer.add_token_list([word for word, _ in vocab])
        writer.add_token_scores([score for _, score in vocab])
        writer.add_token_types(kinds)
        writer.add_add_space_prefix(True)
        writer.add_remove_extra_whitespaces(True)
        if charsmap:
            writer.add_precompiled_charsmap(charsmap)

    return add


def pieces(table: Mapping[str, Any]) -> Facts:
    """The vocabulary of Gemma's tokenizer.json as SentencePiece's byte pairs, whose scores are their order."""
    vocab = sorted(table["model"]["vocab"].items(), key=lambda one: one[1])
    added = {one["content"]: one for one in table["added_tokens"]}

    def kind(word: str) -> int:
        if word == "<unk>":
            return 2
        if word in added:
            return 3 if added[word]["special"] else 4
        return 6 if len(word) == 6 and word.startswith("<0x") else 1

    kinds = [kind(word) for word, _ in vocab]
    words = [word.replace("\u2581", " ") if kind == 4 else word for (word, _), kind in zip(vocab, kinds, strict=True)]

    def add(writer: Any) -> None:
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(words)
        writer.add_token_scores([-float(number) for _, number in vocab])
        writer.add_token_types(kinds)
        writer.add_add_space_prefix(False)

    return add


def table_of(tokenizer: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tokenizer.to_str())
    return found
