"""Texts changed one by one, and saved."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.media.errors import MediaError
from nodes.text_edits import (
    add_text_prefix,
    add_text_suffix,
    merge_text_lists,
    replace_text,
    strip_whitespace,
    text_to_lowercase,
    text_to_uppercase,
    truncate_text,
)
from nodes.text_files import save_text


def test_texts_are_changed_as_the_names_say() -> None:
    assert add_text_prefix("b", "a") == "ab"
    assert add_text_suffix("b", "c") == "bc"
    assert replace_text("red red", "red", "blue") == "blue blue"
    assert replace_text("red") == "red"
    assert strip_whitespace(" \t\na b\n ") == "a b"
    assert text_to_lowercase("ÄbC") == "äbc"
    assert text_to_uppercase("äbC") == "ÄBC"
    assert truncate_text("abcdef", 3) == "abc"
    assert truncate_text("ab", 3) == "ab"


def test_lists_of_texts_become_one() -> None:
    assert merge_text_lists(["a", ["b", "c"], "d"]) == ["a", "b", "c", "d"]  # type: ignore[arg-type]


@pytest.fixture
def ctx(tmp_path: Path) -> Any:
    return SimpleNamespace(paths=SimpleNamespace(directory=lambda kind: tmp_path / kind), prompt={})


@pytest.mark.parametrize(
    ("text", "kind", "written"),
    [
        ("a,é", "csv", "a,é"),
        ('{"a":[1]}', "json", '{\n  "a": [\n    1\n  ]\n}'),
        ("no {json", "json", "no {json"),
        ('{"a":[1]}', "txt", '{"a":[1]}'),
    ],
)
def test_a_text_is_saved_under_the_next_number_and_passed_on(
    ctx: Any, tmp_path: Path, text: str, kind: Any, written: str
) -> None:
    for number in (1, 2):
        result = save_text(ctx, text, "notes/day", kind)
        assert result.values == (text,)
        name = f"day_{number:05}_.{kind}"
        assert result.ui["files"] == [{"filename": name, "subfolder": "notes", "type": "output"}]
        assert (tmp_path / "output" / "notes" / name).read_text("utf-8") == written


def test_a_prefix_that_leads_out_of_the_folder_is_refused(ctx: Any, tmp_path: Path) -> None:
    with pytest.raises((MediaError, ValueError)):
        save_text(ctx, "text", "../../elsewhere")
    assert not (tmp_path.parent / "elsewhere_00001.txt").exists()
