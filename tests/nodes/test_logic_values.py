"""Truth of any values, and branches by name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from engine.api import Lazy
from engine.authoring.decorator import definition_of
from engine.cache.facade import Cache
from engine.execute.executor import Executor
from engine.graph.schema import Catalogue
from engine.graph.validate import check
from nodes.logic import preview_any
from nodes.logic_values import and_node, branch_node, not_node, or_node
from nodes.primitives import primitive_int


@pytest.mark.parametrize("values", [[1], [0], ["", 1], ["a", [0]], [None, {}], [True, 2.5, "x"], [False, 0.0, []]])
def test_truth_is_that_of_python(values: list[Any]) -> None:
    group = {f"value{at}": value for at, value in enumerate(values)}
    assert and_node(group) is all(values)
    assert or_node(group) is any(values)
    assert not_node(values[0]) is (not values[0])


def test_the_truth_of_a_picture_is_not_told() -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        not_node(torch.zeros(1, 2, 2, 3))


def asked(value: Any, log: list[Any]) -> Lazy[Any]:
    async def fetch() -> Any:
        log.append(value)
        return value

    return Lazy(fetch)


def branch(name: str, names: list[str], count: int = 2) -> tuple[Any, list[Any]]:
    log: list[Any] = []
    group = {f"branch{at}": asked(at, log) for at in range(count)}
    return asyncio.run(branch_node(group, name, names)), log


def test_only_the_branch_that_is_named_is_computed() -> None:
    assert branch("day", ["night", "day"]) == (1, [1])
    assert branch("branch0", []) == (0, [0])


def test_a_name_that_no_branch_has_is_told_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'dusk'; choose one of night, day"):
        branch("dusk", ["night", "day"])
    with pytest.raises(ValueError, match="'day'; choose one of"):
        branch("day", ["night", "day"], count=1)


@pytest.fixture
def executor() -> Iterator[tuple[Executor, Catalogue]]:
    found = [definition_of(one) for one in (branch_node, preview_any, primitive_int)]
    definitions = {definition.spec.name: definition for definition in found if definition is not None}
    catalogue = Catalogue([definition.spec for definition in definitions.values()])
    made = Executor(definitions.__getitem__, catalogue, Cache(None))
    yield made, catalogue
    made.close()


def test_what_another_branch_hangs_on_does_not_run(executor: tuple[Executor, Catalogue]) -> None:
    prompt = {
        "a": {"class_type": "PrimitiveInt", "inputs": {"value": 1}},
        "b": {"class_type": "PrimitiveInt", "inputs": {"value": 2}},
        "branch": {
            "class_type": "BranchNode",
            "inputs": {
                "autogrow.branch0": ["a", 0],
                "autogrow.branch1": ["b", 0],
                "branch": "second",
                "branch_names": {"__value__": ["first", "second"]},
            },
        },
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["branch", 0]}},
    }
    checked = check(prompt, executor[1], choices=lambda files: [])
    assert checked.problems == []
    result = executor[0].run_sync(checked.prompt, checked.outputs)
    assert result.ui["show"]["text"] == ["2"]
    assert set(result.nodes) == {"b", "branch", "show"}
