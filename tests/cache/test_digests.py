"""Digests name values by content."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.cache.digests import CHUNK_BYTES, constant_bytes, digest, has_content

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def same(left: object, right: object) -> bool:
    """Equality that tells 1, 1.0 and True apart, and 0.0 from -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return left == right


@given(JSON, JSON)
def test_values_have_equal_digests_exactly_when_they_are_the_same(left, right):
    assert (digest(left) == digest(right)) == same(left, right)
    assert (constant_bytes(left) == constant_bytes(right)) == same(left, right)


@given(st.lists(JSON, max_size=3), st.lists(JSON, max_size=3))
def test_constants_laid_end_to_end_cannot_be_mistaken_for_others(left, right):
    joined = [b"".join(map(constant_bytes, values)) for values in (left, right)]
    assert (joined[0] == joined[1]) == same(left, right)


def test_all_nan_are_one_value():
    assert digest(math.nan) == digest(-math.nan) == digest(float("nan"))


def test_the_order_of_dict_keys_does_not_matter_and_that_of_lists_does():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest([1, 2]) != digest([2, 1])
    assert digest([1, 2]) != digest((1, 2))
    assert digest([[1], 2]) != digest([[1, 2]])


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool, torch.complex64]
)
def test_tensors_go_by_dtype_shape_and_bytes(dtype):
    values = torch.tensor([[0, 1], [1, 0]]).to(dtype)
    assert digest(values) == digest(values.clone())
    assert digest(values) != digest(values.reshape(4))
    assert digest(values) != digest(~values if dtype is torch.bool else values * 0)
    assert digest(values) != digest(values.to(torch.complex128))


@pytest.mark.parametrize("make", [torch.zeros, np.zeros], ids=["tensor", "array"])
def test_equal_bytes_of_another_dtype_are_another_value(make):
    library = torch if make is torch.zeros else np
    assert digest(make(4, dtype=library.float32)) != digest(make(4, dtype=library.int32))
    assert digest(make(4, dtype=library.float32)) == digest(make(4, dtype=library.float32))


def test_a_dict_goes_by_its_keys_and_by_which_of_them_has_which_value():
    assert digest({"a": 1}) != digest({"b": 1})
    assert digest({"a": 1, "b": 2}) != digest({"a": 2, "b": 1})
    assert digest({1: "a"}) != digest({"1": "a"})


def test_strided_views_go_by_what_they_show():
    values = torch.arange(12.0).reshape(3, 4)
    assert digest(values.t()) == digest(values.t().contiguous())
    assert digest(values[:, ::2]) == digest(values[:, ::2].clone())
    assert digest(values.requires_grad_()) == digest(values.detach().clone())


def test_tensors_longer_than_a_chunk_are_hashed_to_the_end():
    values = torch.zeros(CHUNK_BYTES + 3, dtype=torch.uint8)
    before = digest(values)
    values[-1] = 1
    assert digest(values) != before


def test_empty_and_scalar_tensors_have_digests():
    assert digest(torch.zeros(0, 3)) != digest(torch.zeros(3, 0))
    assert digest(torch.tensor(1.0)) != digest(torch.ones(1))


def test_arrays_go_by_dtype_shape_and_bytes():
    values = np.arange(6.0).reshape(2, 3)
    assert digest(values) == digest(np.asfortranarray(values))
    assert digest(values) != digest(values.astype(np.float32))
    assert digest(np.float32(1)) != digest(np.float64(1))
    assert digest(np.array([object()])) is None


def test_conditioning_goes_by_everything_inside():
    tensor, pooled = torch.ones(1, 4, 8), torch.zeros(1, 8)
    first = digest([[tensor, {"pooled_output": pooled, "strength": 1.0}]])
    assert first == digest([[tensor.clone(), {"strength": 1.0, "pooled_output": pooled.clone()}]])
    assert first != digest([[tensor, {"pooled_output": pooled, "strength": 0.5}]])
    assert first != digest([[tensor, {"pooled_output": pooled + 1, "strength": 1.0}]])


class Model:
    def __init__(self, name: str) -> None:
        self.name = name

    def identity(self) -> str:
        return self.name


def test_handles_go_by_identity():
    assert digest(Model("a")) == digest(Model("a"))
    assert digest(Model("a")) != digest(Model("b"))
    assert digest([Model("a"), 1]) is not None


class Other(Model):
    pass


def test_handles_of_different_classes_differ_though_they_identify_alike():
    assert digest(Model("a")) != digest(Other("a"))


class Facts(msgspec.Struct, frozen=True):
    a: int
    b: tuple[float, ...] = ()


@dataclass(frozen=True)
class Use:
    hint: torch.Tensor
    strength: float


class Likewise(msgspec.Struct, frozen=True):
    a: int
    b: tuple[float, ...] = ()


@dataclass(frozen=True)
class Likened:
    hint: torch.Tensor
    strength: float


def test_records_of_different_classes_differ_though_their_fields_are_equal():
    assert digest(Facts(1)) != digest(Likewise(1))
    assert digest(Use(torch.ones(2), 1.0)) != digest(Likened(torch.ones(2), 1.0))


@dataclass
class Open:
    a: int


def test_frozen_records_go_by_class_and_fields_and_open_ones_have_no_digest():
    assert digest(Facts(1, (0.5,))) == digest(Facts(1, (0.5,)))
    assert digest(Facts(1)) != digest(Facts(2))
    assert digest(Use(torch.ones(2), 1.0)) == digest(Use(torch.ones(2), 1.0))
    assert digest(Use(torch.ones(2), 1.0)) != digest(Use(torch.zeros(2), 1.0))
    assert digest(Open(1)) is None
    assert digest({"deep": [object()]}) is None


def test_a_list_that_holds_itself_has_no_digest():
    loop: list = []
    loop.append(loop)
    assert digest(loop) is None
    assert not has_content(loop)


@pytest.mark.parametrize(
    "value",
    [
        *(1, "a", None, [1, (2.0, {"a": b"b"})], torch.ones(2), np.ones(2), np.float32(1), Model("a"), Facts(1)),
        *(Use(torch.ones(2), 1.0), [[torch.ones(1), {"control": Use(torch.ones(2), 1.0)}]]),
        *(object(), [object()], {"a": print}, Open(1), torch.ones(2).to_sparse(), torch.ones(2, device="meta")),
        *(np.array([object()]), Use(object(), 1.0), Model),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whether_a_value_has_content_can_be_told_without_hashing_it(value):
    assert has_content(value) == (digest(value) is not None)
