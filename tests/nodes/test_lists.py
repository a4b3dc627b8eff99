"""Lists: made, and taken apart."""

from __future__ import annotations

import pytest

from engine.authoring.decorator import definition_of
from nodes.lists import create_list, get_item_from_list


def test_items_come_in_the_order_of_the_inputs_and_lists_whole() -> None:
    assert create_list({"input10": [5], "input0": [1, 2], "input2": [], "input1": ["a"]}) == [1, 2, "a", 5]


def test_the_inputs_have_the_names_that_saved_workflows_use() -> None:
    definition = definition_of(create_list)
    assert definition is not None
    assert definition.run(**{"inputs.input0": [1], "inputs.input1": [2]}) == [1, 2]
    assert [(output.name, output.is_list) for output in definition.spec.outputs] == [("list", True)]


@pytest.mark.parametrize(("index", "item"), [(0, "a"), (2, "c"), (-1, "c"), (-3, "a")])
def test_an_item_is_taken_by_its_place(index: int, item: str) -> None:
    assert get_item_from_list(["a", "b", "c"], [index]) == item  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("items", "index", "message"), [(["a"], 1, "choose 0 to 0"), ([], 0, "gives none"), (["a"], -2, "1 items")]
)
def test_an_item_that_is_not_there_is_told(items: list[str], index: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get_item_from_list(items, [index])  # type: ignore[arg-type]
