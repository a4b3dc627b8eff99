"""The real tokenizers: ids that are known, and those of transformers' own tokenizers made of the same vocabularies."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from engine.models.pinned import KNOWN, PINNED, known_for
from engine.models.tokenizer import JsonTokenizer
from engine.models.tokenizer_files import read_file, tokenizer_file

CAT = "An astronaut's cat, 35mm (f/1.4)"
FOREIGN = "日本語 ﬁne 😀"
CHAT = "<|im_start|>user\nhi<|im_end|>\n"


@pytest.fixture(scope="module")
def read(real_tokenizers: Path) -> Callable[[str], JsonTokenizer]:
    @cache
    def read(name: str) -> JsonTokenizer:
        path = tokenizer_file(real_tokenizers / name)
        assert path is not None
        return JsonTokenizer(read_file(path), str(path))

    return read


def table(folder: Path) -> dict[str, Any]:
    """The tokenizer.json of a folder as it stands there."""
    path = tokenizer_file(folder)
    assert path is not None
    data = path.read_bytes()
    found: dict[str, Any] = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    return found


def pairs(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [tuple(one.split(" ")) if isinstance(one, str) else tuple(one) for one in found["model"]["merges"]]


@pytest.mark.parametrize(
    ("name", "text", "ids"),
    [
        ("clip", "a photo of a cat", [320, 1125, 539, 320, 2368]),
        ("clip", CAT, [550, 18376, 568, 2368, 267, 274, 276, 2848, 263, 325, 270, 272, 269, 275, 264]),
        ("t5", "a photo of a red apple", [3, 9, 1202, 13, 3, 9, 1131, 8947]),
        ("t5", FOREIGN, [3, 2, 1399, 3, 2]),  # ﬁ is read as fi
        ("qwen3", CHAT, [151644, 872, 198, 6023, 151645, 198]),
        ("qwen3", "<think>\n\n</think>\n\n", [151667, 271, 151668, 271]),
        ("gemma3", "a photo of a red apple", [236746, 4429, 529, 496, 2604, 17810]),
        ("gemma3", FOREIGN, [94951, 97940, 866, 163543]),
        ("llama3", CAT, [2127, 47733, 596, 8415, 11, 220, 1758, 3906, 320, 69, 14, 16, 13, 19, 8]),
    ],
)
def test_known_ids(read: Callable[[str], JsonTokenizer], name: str, text: str, ids: list[int]) -> None:
    assert read(name).ids(text) == ids


@pytest.mark.parametrize(
    ("name", "start", "end", "size"),
    [
        ("clip", 49406, 49407, 49408),
        ("t5", None, 1, 32100),
        ("qwen3", None, 151643, 151669),
        ("gemma3", 2, 1, 262145),
        ("llama3", 128000, 128001, 128256),
    ],
)
def test_the_tokens_that_open_and_close_a_row(
    read: Callable[[str], JsonTokenizer], name: str, start: int | None, end: int, size: int
) -> None:
    tokenizer = read(name)
    assert (tokenizer.end, tokenizer.size) == (end, size)
    if start is not None:
        assert tokenizer.start == start


def test_clip_is_transformers_clip(read: Callable[[str], JsonTokenizer], real_tokenizers: Path) -> None:
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    path = tokenizer_file(real_tokenizers / "clip")
    assert path is not None
    lines = gzip.decompress(path.read_bytes()).decode().split("\n")[1:48895]
    vocabulary = read("clip")._fast.get_vocab()
    theirs = CLIPTokenizer(vocab=vocabulary, merges=[tuple(line.split()) for line in lines])
    for text in (CAT, FOREIGN, "a  photo\tof &amp; cat", "<|endoftext|>cat", ""):
        assert read("clip").ids(text) == theirs(text, add_special_tokens=False)["input_ids"]


def test_qwen_and_gemma_are_those_of_transformers(read: Callable[[str], JsonTokenizer], real_tokenizers: Path) -> None:
    from transformers import GemmaTokenizer, Qwen2Tokenizer

    for name, kind in (("qwen3", Qwen2Tokenizer), ("gemma3", GemmaTokenizer)):
        found = table(real_tokenizers / name)
        theirs = kind(vocab=found["model"]["vocab"], merges=pairs(found))
        for text in (CAT, FOREIGN, "  two  spaces\n\nand lines ", ""):
            assert read(name).ids(text) == theirs(text, add_special_tokens=False)["input_ids"]


def test_qwen25_knows_no_tokens_of_thinking(real_tokenizers: Path) -> None:
    (known,) = (one for one in KNOWN if "Qwen/Qwen2.5-VL-7B-Instruct" in one.serves)
    path = tokenizer_file(real_tokenizers / known.folder)
    assert path is not None
    tokenizer = JsonTokenizer(read_file(path, known.without), str(path))
    assert tokenizer.size == 151665
    assert tokenizer.ids("<|vision_start|><|image_pad|><|vision_end|><tool_call>") == [151652, 151655, 151653, 151657]
    assert len(tokenizer.ids("<think>")) > 1


def test_a_table_of_tokens_tells_which_are_likely() -> None:
    assert [one.folder for one in known_for("clip", "openai/clip-vit-large-patch14", 49408)] == ["clip"]
    told = known_for("qwen", "nobody/knows", 152064)
    assert [(one.folder, bool(one.without)) for one in told] == [("qwen3", True)]
    assert not known_for("made-up", "nobody/knows", 77)


def test_each_file_is_pinned_with_its_licence() -> None:
    for one in PINNED:
        assert {len(pick.sha256) for pick in one.files} == {64}
        assert "LICENSE" in {pick.name for pick in one.files}
