"""Private copies: equal to what they were made of, and in memory of their own all the way down."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from engine.cache import copies as copies_module
from engine.cache.codecs import Codec
from engine.cache.copies import Copies
from engine.cache.digests import digest

COPIES = Copies()


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclass(frozen=True)
class Use:
    hint: torch.Tensor
    strength: float
    previous: Use | None = None


class Facts(msgspec.Struct, frozen=True):
    numbers: list[int]
    name: str = ""


class Recipe(msgspec.Struct, frozen=True):
    config: dict[str, Any]

    def identity(self) -> str:
        return str(self.config)


@pytest.mark.parametrize(
    "value",
    [
        *(1, 2.5, "text", b"bytes", None, True, (1, "a"), [1, [2]], {"a": {"b": [1]}}),
        *(torch.rand(2, 3), torch.rand(4, 4).t(), torch.rand(4, 4)[:, ::2], torch.ones(3).to(torch.bfloat16)),
        *(
            torch.tensor(1),
            torch.zeros(0, 2),
            torch.randn(3, dtype=torch.complex64).conj(),
            torch.ones(2, 3).expand(4, 2, 3),
        ),
        *(np.arange(6.0).reshape(2, 3), np.asfortranarray(np.ones((2, 3))), np.float32(2), np.array(3)),
        *(Use(torch.ones(2), 1.0, Use(torch.zeros(2), 2.0)), Facts([1, 2])),
        [[torch.rand(1, 3), {"pooled_output": torch.rand(1, 2), "control": Use(torch.ones(2), 1.0)}]],
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_copy_is_equal_and_what_is_done_to_it_does_not_show(value):
    name = digest(value)
    made = COPIES.of(value)
    assert type(made) is type(value)
    assert digest(made) == name
    assert_apart(value, made)
    assert digest(value) == name


def assert_apart(value: Any, made: Any) -> None:
    """Everything that can be written into is another object, with memory of its own."""
    if isinstance(value, torch.Tensor):
        assert not value.numel() or value.untyped_storage().data_ptr() != made.untyped_storage().data_ptr()
    elif isinstance(value, np.ndarray):
        assert not np.shares_memory(value, made)
    elif isinstance(value, list | tuple | dict):
        assert value is not made or isinstance(value, tuple)
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in inner:
            assert_apart(item, made[key])
    elif isinstance(value, Use):
        assert_apart(value.hint, made.hint)
        assert_apart(value.previous, made.previous)
    elif isinstance(value, Facts):
        assert_apart(value.numbers, made.numbers)


@pytest.mark.parametrize(
    ("value", "change"),
    [
        (OrderedDict(a=[1]), lambda value: value["a"].append(2)),
        (defaultdict(list, a=[1]), lambda value: value["b"].append(2)),
        (deque([[1]], maxlen=3), lambda value: value[0].append(2)),
        ({1, 2}, lambda value: value.add(3)),
        (bytearray(b"abc"), lambda value: value.extend(b"d")),
        (memoryview(bytearray(b"abc")), lambda value: value.__setitem__(0, 0)),
        (Pair([1], 2), lambda value: value.first.append(2)),
        (np.array([[1], None], dtype=object), lambda value: value[0].append(2)),
        (np.zeros(2, dtype=[("a", int)]), lambda value: value["a"].fill(1)),
        (Image.new("L", (2, 2)), lambda value: value.putpixel((0, 0), 9)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_containers_are_copied_as_what_they_are(value, change):
    before = text_of(value)
    made = COPIES.of(value)
    assert isinstance(made, type(value))
    assert text_of(made) == before
    change(made)
    assert text_of(made) != before
    assert text_of(value) == before


def text_of(value: Any) -> str:
    if isinstance(value, memoryview | Image.Image):
        return str(value.tobytes())
    return f"{type(value)} {getattr(value, 'maxlen', None)} {value!r}"


def test_one_object_in_two_places_stays_one():
    tensor = torch.ones(2)
    made = COPIES.of_each({"a": tensor, "b": [tensor, {"c": tensor}]})
    assert made["a"] is made["b"][0] is made["b"][1]["c"]
    assert made["a"] is not tensor
    first, second = COPIES.of_all([tensor, tensor])
    assert first is second


def test_a_list_that_holds_itself_is_copied_with_its_knot():
    loop: list[Any] = [1]
    loop.append(loop)
    made = COPIES.of(loop)
    assert made[1] is made
    assert made is not loop


def test_what_is_too_deep_to_be_copied_is_handed_on():
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert COPIES.of(deep) is deep


def test_recipes_of_models_and_objects_without_content_are_handed_on():
    recipe, thing = Recipe({"a": 1}), object()
    assert COPIES.of(recipe) is recipe
    assert COPIES.of([thing])[0] is thing
    assert COPIES.of(Use) is Use


def test_a_record_with_nothing_to_write_into_is_handed_on():
    pair = Pair(1, "a")
    assert COPIES.of(pair) == pair


class Box:
    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers


@pytest.mark.parametrize("broken", [False, True])
def test_an_object_with_a_codec_is_copied_by_it_and_handed_on_where_that_fails(broken):
    def from_plain(plain: list[int]) -> Box:
        if broken:
            raise ValueError("the pack's own code")
        return Box(plain)

    box = Box([1])
    copies = Copies([Codec("box", lambda value: isinstance(value, Box), lambda value: value.numbers, from_plain)])
    made = copies.of({"box": box})["box"]
    assert (made is box) == broken
    made.numbers.append(2)
    assert (box.numbers == [1]) != broken


@pytest.mark.parametrize("kind", ["parameter", "leaf", "attribute", "inference", "graph"])
def test_what_else_a_tensor_knows(kind):
    value = torch.ones(2)
    if kind == "parameter":
        value = torch.nn.Parameter(value, requires_grad=False)
    elif kind == "leaf":
        value.requires_grad_()
    elif kind == "attribute":
        value.told = "by a pack"
    elif kind == "inference":
        with torch.inference_mode():
            value = torch.ones(2)
    elif kind == "graph":
        value = value.requires_grad_() * 2
    made = COPIES.of(value)
    assert type(made) is type(value)
    assert made.requires_grad == value.requires_grad
    assert made.is_leaf
    assert not made.is_inference()
    assert getattr(made, "told", None) == getattr(value, "told", None)


def test_large_tensors_are_copied_whole(monkeypatch):
    monkeypatch.setattr(copies_module, "HUGE_BYTES", 4096)
    for value in (
        torch.rand(1, 40, 40, 3),
        torch.rand(40, 40).t(),
        torch.randint(0, 9, (5000,)),
        torch.rand(2000) > 0.5,
    ):
        made = COPIES.of(value)
        assert torch.equal(made, value)
        assert made.dtype == value.dtype
        made.fill_(1)
        assert not torch.equal(made, value)
