"""Tokenizers stored in weights: SentencePiece's models give the ids of the tokenizers that they are made of, tekken its ranks."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.models.errors import TokenizerError
from engine.models.tokenizer_files import letter_of_byte, parse, read_file
from engine.models.tokenizer_stored import sentencepiece, tekken
from tests.models.pieces import BYTE, CONTROL, NORMAL, UNKNOWN, USER, model

TEXTS = (
    "a photo of a red apple",
    "  leading   and trailing  ",
    "it's 35mm, f/1.4 ... ①②",
    "日本語のテキスト ﬁne 😀🏽",
    "line\nbreak",
    "",
)


def test_unigrams_give_the_ids_of_the_real_t5(real_tokenizers: Path) -> None:
    path = real_tokenizers / "t5" / "tokenizer.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    charsmap = base64.b64decode(found["normalizer"]["normalizers"][0]["precompiled_charsmap"])
    kinds = {"<pad>": CONTROL, "</s>": CONTROL, "<unk>": UNKNOWN}
    pieces = [(text, score, kinds.get(text, NORMAL)) for text, score in found["model"]["vocab"][:32000]]
    ours = sentencepiece(model(pieces, {3: 1, 40: 2}, {1: b"nmt_nfkc", 2: charsmap, 3: 1, 4: 1}), "here")
    real = read_file(path)
    for text in TEXTS:
        assert ours.encode(text, add_special_tokens=False).ids == real.encode(text, add_special_tokens=False).ids


def test_byte_pairs_give_the_ids_of_the_real_gemma(real_tokenizers: Path) -> None:
    """Of a part of its vocabulary, with the merges of that part as they stand in its file."""
    found = json.loads((real_tokenizers / "gemma3" / "tokenizer.json").read_text(encoding="utf-8"))
    listed = sorted(found["model"]["vocab"].items(), key=lambda one: one[1])[:262144]
    kept = {text: at for at, (text, _) in enumerate(one for one in listed if one[1] < 9000 or len(one[0]) == 1)}
    added = {one["content"] for one in found["added_tokens"]} & set(kept)
    names = {"<unk>": UNKNOWN} | dict.fromkeys(("<pad>", "<eos>", "<bos>"), CONTROL)

    def kind(text: str) -> int:
        is_byte = text.startswith("<0x") and len(text) == 6
        return names.get(text, USER if text in added else BYTE if is_byte else NORMAL)

    pieces = [(text, -float(at), kind(text)) for text, at in kept.items()]
    ours = sentencepiece(model(pieces, {3: 2, 35: 1, 40: 3}, {1: b"identity", 3: 0, 4: 0}), "here")
    found["model"] |= {"vocab": kept, "merges": [one for one in map(_pair, found["model"]["merges"]) if _of(one, kept)]}
    found["added_tokens"] = [
        one | {"id": kept[one["content"]]} for one in found["added_tokens"] if one["content"] in added
    ]
    real = parse(json.dumps(found), "here")
    for text in (*TEXTS, "<start_of_turn>user\nhi<end_of_turn>\n\n\n"):
        assert ours.encode(text, add_special_tokens=False).ids == real.encode(text, add_special_tokens=False).ids


def _pair(merge: str | list[str]) -> list[str]:
    return merge.split(" ") if isinstance(merge, str) else merge


def _of(pair: list[str], kept: Mapping[str, int]) -> bool:
    return all(piece in kept for piece in (*pair, "".join(pair)))


@pytest.mark.parametrize("data", [b"", b"not a model at all", b"\x0a\xff\x01"])
def test_other_bytes_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(TokenizerError, match=r"weights\.safetensors, tensor spiece_model: not a SentencePiece model"):
        sentencepiece(data, "weights.safetensors, tensor spiece_model")


def test_words_as_pieces_are_refused() -> None:
    with pytest.raises(TokenizerError, match="of kind 3; unigrams"):
        sentencepiece(model([("<unk>", 0.0, UNKNOWN)], {3: 3}, {}), "here")


@pytest.fixture
def tekken_file(tmp_path: Path) -> Path:
    """256 bytes, a few words, four special tokens of twelve."""
    words = [bytes([number]) for number in range(256)] + [
        b"re",
        b"red",
        b" a",
        b"pp",
        b" app",
        b"le",
        b" apple",
        b"never",
    ]
    path = tmp_path / "tekken.json"
    facts = {
        "config": {
            "pattern": r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|\s+",
            "default_vocab_size": len(words) + 11,
            "default_num_special_tokens": 12,
        },
        "vocab": [{"rank": n, "token_bytes": base64.b64encode(word).decode()} for n, word in enumerate(words)],
        "special_tokens": [{"rank": n, "token_str": t} for n, t in enumerate(("<unk>", "<s>", "</s>", "[INST]"))],
    }
    path.write_text(json.dumps(facts))
    return path


def test_tekken_is_read_as_transformers_reads_it(tekken_file: Path) -> None:
    mistral = pytest.importorskip("transformers.integrations.mistral.tokenizer", reason="from transformers 5.20 on")
    theirs, ours = mistral.MistralConverter(str(tekken_file)).converted(), tekken(tekken_file.read_bytes(), "here")
    assert ours.get_vocab() == theirs.get_vocab()
    for text in ("red apple [INST]", "réd 12 é", "</s>never", ""):
        assert ours.encode(text, add_special_tokens=False).ids == theirs.encode(text, add_special_tokens=False).ids


def test_tekkens_special_tokens_come_before_its_ranks(tekken_file: Path) -> None:
    ours = tekken(tekken_file.read_bytes(), "here")
    assert ours.encode("red apple[INST]", add_special_tokens=False).ids == [12 + 257, 12 + 262, 3]
    assert ours.token_to_id("<SPECIAL_11>") == 11
    assert ours.get_vocab_size() == 256 + 7 + 12  # the last word is beyond the size that the file tells


def test_tekken_without_special_tokens_is_refused(tekken_file: Path) -> None:
    facts = json.loads(tekken_file.read_text())
    del facts["special_tokens"]
    with pytest.raises(TokenizerError, match=r"here: not a tekken\.json with its special tokens"):
        tekken(json.dumps(facts).encode(), "here")


def test_each_byte_has_a_letter_of_its_own() -> None:
    letters = letter_of_byte()
    assert len(set(letters)) == 256
    assert (letters[ord("a")], letters[ord(" ")], letters[0]) == ("a", "Ġ", "Ā")
