"""Tensors that nobody else holds: what is found is safe to take over, and every way to hold on to memory is seen."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
import torch

from engine.authoring.definition import NodeResult
from engine.cache.copies import Copies
from engine.cache.sole import sole_tensors
from engine.cache.spare import MOST_BYTES, Spare

HOLDING = {
    "itself": lambda value: value,
    "a list of it": lambda value: [value],
    "a closure": lambda value: lambda: value,
    "a view": lambda value: value[:1],
    "a view made without gradients": lambda value: value.detach(),
    "data": lambda value: value.data,
    "an iterator": iter,
    "its storage": lambda value: value.untyped_storage(),
    "an array": lambda value: value.numpy(),
    "an array of a view": lambda value: value[1:].numpy(),
    "a buffer": lambda value: memoryview(value.numpy()),
    "a capsule": torch.utils.dlpack.to_dlpack,
    "a tensor over its capsule": torch.from_dlpack,
    "an array over its capsule": np.from_dlpack,
    "a bound method": lambda value: value.fill_,
    "a weak reference": weakref.ref,
    "a weak reference to its storage": lambda value: weakref.ref(value.untyped_storage()),
    "a graph of gradients": lambda value: torch.ones(4, requires_grad=True) * value,
    "another tensor on its storage": lambda value: torch.empty(0).set_(value.untyped_storage()),
}


def test_a_result_that_is_let_go_of_is_taken_over_as_it_is():
    result = NodeResult((torch.ones(4), {"samples": torch.zeros(2, 2), "more": [torch.ones(1)]}, 3))
    where = [id(result.values[0]), id(result.values[1]["samples"]), id(result.values[1]["more"][0])]
    kept = Copies().of_given(result)
    assert [id(kept[0]), id(kept[1]["samples"]), id(kept[1]["more"][0])] == where
    assert kept[1] is not result.values[1]
    assert kept[2] == 3


@pytest.mark.parametrize("way", HOLDING)
@pytest.mark.parametrize("within", [False, True], ids=["bare", "in a dict"])
def test_a_tensor_that_somebody_holds_is_copied(way: str, within: bool):
    result = NodeResult(({"samples": torch.ones(4)},) if within else (torch.ones(4),))
    held = HOLDING[way](result.values[0]["samples"] if within else result.values[0])
    kept = Copies().of_given(result)
    given, own = (result.values[0]["samples"], kept[0]["samples"]) if within else (result.values[0], kept[0])
    assert given.untyped_storage().data_ptr() != own.untyped_storage().data_ptr()
    assert torch.equal(given, own)
    del held


@pytest.mark.parametrize(
    "container", [lambda result: result.values, lambda result: result.values[0], lambda result: result.values[0]["in"]]
)
def test_a_tensor_in_a_container_that_somebody_holds_is_copied(container: Any):
    result = NodeResult(({"in": [torch.ones(4)]},))
    held = container(result)
    kept = Copies().of_given(result)
    assert kept[0]["in"][0].data_ptr() != result.values[0]["in"][0].data_ptr()
    del held


@pytest.mark.parametrize(
    "make",
    [
        lambda path: torch.from_numpy(np.ones(4, dtype=np.float32)),
        lambda path: torch.frombuffer(bytearray(16), dtype=torch.float32),
        lambda path: torch.from_dlpack(np.ones(4, dtype=np.float32)),
        lambda path: torch.from_file(str(path), shared=True, size=4),
        lambda path: torch.ones(4).share_memory_(),
        lambda path: torch.ones(8)[:4],
        lambda path: torch.ones(4, requires_grad=True) * 2,
        lambda path: torch.nn.Parameter(torch.ones(4)),
        lambda path: torch.eye(4).to_sparse(),
    ],
    ids=["array", "buffer", "dlpack", "mapped file", "shared", "part", "with gradients", "parameter", "sparse"],
)
def test_memory_that_is_not_torchs_own_is_not_taken_over(make: Any, tmp_path):
    path = tmp_path / "numbers"
    path.write_bytes(bytes(16))
    assert not sole_tensors((make(path),))


def test_a_tensor_of_inference_mode_is_copied_as_writes_into_it_are_not_counted():
    with torch.inference_mode():
        result = NodeResult((torch.ones(4),))
    assert not Copies().of_given(result)[0].is_inference()


def test_two_outputs_that_are_one_tensor_stay_one():
    one = torch.ones(4)
    result = NodeResult((one, one))
    del one
    first, second = Copies().of_given(result)
    assert first is second
    assert first is not result.values[0]


def test_memory_of_copies_that_were_let_go_of_is_used_again():
    copies, value = Copies(), {"samples": torch.rand(1, 4)}
    given = copies.of_each({"value": value})
    where = given["value"]["samples"].data_ptr()
    copies.let_go(given)
    del given
    again = copies.of({"samples": torch.rand(1, 4)})
    assert again["samples"].data_ptr() == where
    assert copies.of(value)["samples"].data_ptr() != where


@pytest.mark.parametrize("way", HOLDING)
def test_memory_of_a_copy_that_somebody_holds_is_not_used_again(way: str):
    copies = Copies()
    given = copies.of_each({"value": torch.ones(4)})
    held = HOLDING[way](given["value"])
    where = given["value"].data_ptr()
    copies.let_go(given)
    assert copies.of(torch.ones(4)).data_ptr() != where
    del held


def test_a_copy_that_was_laid_out_anew_is_not_used_again():
    copies = Copies()
    given = copies.of_each({"value": torch.arange(4.0).view(2, 2)})
    given["value"].t_()
    copies.let_go(given)
    assert torch.equal(copies.of(torch.ones(2, 2)), torch.ones(2, 2))
    assert copies.of(torch.ones(2, 2)).is_contiguous()


def test_what_is_kept_for_copies_to_come_is_bounded():
    spare = Spare()
    spare.give(torch.empty(MOST_BYTES // 4 + 1))
    assert spare.take(torch.empty(MOST_BYTES // 4 + 1)) is None
    big = torch.empty(MOST_BYTES // 8)
    spare.give(big)
    spare.give(torch.empty(MOST_BYTES // 8 + 1))
    assert spare.take(big) is None
    for size in range(100):
        spare.give(torch.empty(size))
    assert sum(spare.take(torch.empty(size)) is not None for size in range(100)) <= 16
