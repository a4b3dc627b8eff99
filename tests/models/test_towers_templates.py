"""Every family's templates as the real tokenizers read them: what is dropped is what stands before the prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.models.families import families
from engine.models.families.base import Prompting
from engine.models.tokenizer import JsonTokenizer
from engine.models.tokenizer_files import read_file, tokenizer_file
from engine.models.towers import kind_named
from engine.models.towers.language import LanguageKind
from engine.models.towers.seeing import SeeingKind

FOLDERS = {"qwen3": "qwen3", "qwen3_vl": "qwen3", "qwen2_5_vl": "qwen3", "gemma3": "gemma3", "llama": "llama3"}
"""Kinds whose real tokenizer is at hand."""
CASES = {
    f"{family.name}-{tower.name}-{style or 'usual'}": (tower.kind, put)
    for family in families()
    for tower in family.towers
    for style, put in {"": tower.prompting, **tower.styles}.items()
    if tower.kind in FOLDERS
}

STAY = {
    "joyimage-qwen3vl_8b-usual": 2,  # as the library counts
    "ovis_image-ovis_2.5-usual": 2,  # as the library counts; a space at the end becomes one with the prompt's first word
    "qwen_image21-qwen3vl_8b-usual": 3,  # what opens the user's part of the chat
    "qwen_image21-qwen3vl_8b-edit": 3,
}
"""How many tokens before the prompt are not dropped, where some are not."""


@pytest.mark.parametrize("case", CASES)
def test_what_is_dropped_is_the_template_before_the_prompt(case: str, real_tokenizers: Path) -> None:
    kind, put = CASES[case]
    path = tokenizer_file(real_tokenizers / FOLDERS[kind])
    assert path is not None
    words = JsonTokenizer(read_file(path), str(path))
    before, brace, after = put.template.partition("{}")
    assert brace
    head = words.ids(before)
    if put.drop:
        assert len(head) - put.drop == STAY.get(case, 0)
    whole = [*head, *words.ids("cat"), *(words.ids(after) if after else [])]
    assert words.ids(f"{before}cat{after}") == whole or before.endswith(" ")
    known = kind_named(kind)
    assert isinstance(known, LanguageKind)
    assert len(words.ids(known.pad)) == 1
    check_picture(known, put, words)


def check_picture(known: LanguageKind, put: Prompting, words: JsonTokenizer) -> None:
    if put.picture:
        assert isinstance(known, SeeingKind)
        assert put.picture.count(known.token) == 1
        assert words.ids(known.token)[0] in words.ids(put.picture.replace("{}", "1"))
