from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
import torch

from engine.api import ExecutionBlocker, Lazy, WithUi
from nodes.logic import MAX_PREVIEW, as_text, boolean_operation, gate, index_switch, preview_any, switch


def branch(value: Any, asked: list[Any]) -> Lazy[Any]:
    async def fetch() -> Any:
        asked.append(value)
        return value

    return Lazy(fetch)


def result_of(awaitable: Awaitable[Any]) -> Any:
    async def run() -> Any:
        return await awaitable

    return asyncio.run(run())


@pytest.mark.parametrize(("choice", "expected"), [(True, "yes"), (False, "no")])
def test_a_switch_asks_only_for_the_side_it_takes(choice: bool, expected: str) -> None:
    asked: list[Any] = []
    assert result_of(switch(choice, branch("no", asked), branch("yes", asked))) == expected
    assert asked == [expected]


def test_a_switch_needs_only_the_side_it_takes() -> None:
    assert result_of(switch(True, None, branch("yes", []))) == "yes"
    with pytest.raises(ValueError, match="nothing is linked to on_false"):
        result_of(switch(False, None, branch("yes", [])))


def test_an_index_switch_asks_only_for_the_value_it_takes() -> None:
    asked: list[Any] = []
    assert result_of(index_switch(1, branch("a", asked), branch("b", asked))) == "b"
    assert asked == ["b"]
    with pytest.raises(ValueError, match="nothing is linked to value7"):
        result_of(index_switch(7, branch("a", asked)))


def test_a_closed_gate_blocks_silently() -> None:
    assert gate("value", True) == "value"
    blocked = gate("value", False)
    assert isinstance(blocked, ExecutionBlocker)
    assert blocked.message is None


@pytest.mark.parametrize(
    ("operation", "table"),
    [
        ("and", [0, 0, 0, 1]),
        ("or", [0, 1, 1, 1]),
        ("xor", [0, 1, 1, 0]),
        ("nand", [1, 1, 1, 0]),
        ("nor", [1, 0, 0, 0]),
        ("not a", [1, 1, 0, 0]),
    ],
)
def test_truth_tables(operation: str, table: list[int]) -> None:
    pairs = [(False, False), (False, True), (True, False), (True, True)]
    assert [boolean_operation(a, b, operation) for a, b in pairs] == [bool(item) for item in table]


def test_a_preview_shows_and_passes_the_text_on() -> None:
    shown = preview_any("plain\ntext")
    assert isinstance(shown, WithUi)
    assert shown.values == ("plain\ntext",)
    assert shown.ui == {"text": ["plain\ntext"]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (0.1, "0.1"),
        (True, "true"),
        (None, "null"),
        ([1, "ä"], '[\n  1,\n  "ä"\n]'),
        ({"a": (1, 2)}, '{\n  "a": [\n    1,\n    2\n  ]\n}'),
        (torch.tensor([[0.0, 0.5]]), "float32 tensor (1, 2), 0 … 0.5"),
        (torch.zeros(0, 3, dtype=torch.int64), "int64 tensor (0, 3)"),
        (3 + 4j, "(3+4j)"),
    ],
)
def test_any_value_can_be_read(value: Any, text: str) -> None:
    assert as_text(value) == text


def test_tensors_inside_a_value_are_described() -> None:
    text = as_text({"samples": torch.ones(1, 4, 8, 8), "batch_index": [0]})
    assert '"samples": "float32 tensor (1, 4, 8, 8), 1 … 1"' in text


def test_long_values_are_cut_off() -> None:
    text = as_text("a" * (MAX_PREVIEW + 5))
    assert text.endswith("… 5 more characters")
    assert len(text) < MAX_PREVIEW + 50


def test_arrays_of_text_are_shown_as_their_texts():
    import numpy as np

    assert as_text(np.array(["a", "bc"])) == '[\n  "a",\n  "bc"\n]'
    assert as_text(np.array([["x", 1]], dtype=object)) == '[\n  [\n    "x",\n    1\n  ]\n]'
    assert as_text(np.array("alone")) == "alone"
