"""What is part of a value's digest, one fact at a time."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest
import torch

from engine.cache.digests import constant_bytes, digest


class Open(msgspec.Struct):
    a: int


class Left(msgspec.Struct, frozen=True):
    a: int


class Right(msgspec.Struct, frozen=True):
    a: int


@dataclasses.dataclass
class OpenRecord:
    a: int


class Handle:
    def identity(self) -> str:
        return "one"


class Other(Handle):
    """Another kind of the same identity."""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros(4, np.int32), np.zeros(4, np.float32)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (torch.zeros(4, dtype=torch.int32), torch.zeros(4)),
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.arange(6.0).reshape(2, 3).t(), torch.arange(6.0).reshape(3, 2)),
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        ("1", 1),
        ("a", b"a"),
        ([1, 2], (1, 2)),
        ([1, 2], [2, 1]),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ({"a": 1}, {"b": 1}),
        (Left(1), Right(1)),
        (Left(1), Left(2)),
        (Handle(), Other()),
    ],
)
def test_values_that_differ_in_one_fact_have_two_digests(one, other):
    assert digest(one) is not None
    assert digest(one) != digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (float("nan"), -float("nan")),
        (torch.arange(6.0).reshape(2, 3).t(), torch.arange(6.0).reshape(2, 3).t().contiguous()),
        (Left(1), Left(1)),
        (Handle(), Handle()),
    ],
)
def test_values_that_are_the_same_have_one_digest(one, other):
    assert digest(one) == digest(other)


@pytest.mark.parametrize("value", [Open(1), OpenRecord(1), object(), [Open(1)]])
def test_what_may_change_has_none(value):
    assert digest(value) is None


def test_constants_know_where_they_end():
    assert constant_bytes("a") + constant_bytes("b") != constant_bytes("asb")
    assert constant_bytes("ab") + constant_bytes("c") != constant_bytes("a") + constant_bytes("bc")
    assert constant_bytes("1") + constant_bytes("2:s") != constant_bytes("12") + constant_bytes(":s")
