"""Packed weights of layers are unpacked into one room, whose content nobody keeps."""

from __future__ import annotations

import threading

import pytest
import torch
from torch.nn import functional

from engine.models.packed import tensor
from engine.models.packed.base import all_formats
from engine.models.packed.room import ROOM
from engine.models.packed.tensor import PackedTensor, Stored

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def in_pieces(monkeypatch):
    monkeypatch.setitem(tensor._AT_ONCE, "cpu", 16)
    ROOM.free()
    yield
    ROOM.free()


def packed(rows: int, columns: int) -> PackedTensor:
    numbers = torch.Generator().manual_seed(rows)
    parts = {"weight": torch.randint(-90, 90, (rows, columns), dtype=torch.int8, generator=numbers)}
    parts["weight_scale"] = torch.rand(rows, generator=numbers)
    return PackedTensor(Stored(all_formats()["int8"], parts, {}, (rows, columns)), torch.float32)


@torch.no_grad()
def test_layers_of_all_sizes_compute_as_with_unpacked_weights_in_one_room():
    places = set()
    for rows, columns in ((12, 8), (40, 8), (8, 24), (40, 8)):
        weight, x, bias = packed(rows, columns), torch.randn(3, columns), torch.randn(rows)
        first = functional.linear(x, weight, bias)
        kept = first.clone()
        functional.linear(torch.randn(3, 8), packed(40, 8))
        assert torch.equal(first, kept), "a result is no view of the room"
        assert torch.equal(first, functional.linear(x, weight.unpacked(), bias))
        with ROOM.lent() as room:
            assert room is not None
            places.add(room.of((40, 8), torch.float32, CPU).data_ptr())
    assert len(places) == 1


def test_what_may_be_kept_is_not_in_the_room():
    weight = packed(12, 8)
    unpacked = weight.unpacked()
    before = unpacked.clone()
    x = torch.randn(3, 8, requires_grad=True)
    with torch.no_grad():
        functional.linear(torch.randn(3, 8), packed(40, 8))  # the room is large enough for what follows
    made = functional.linear(x, weight)
    with torch.no_grad():
        functional.linear(torch.randn(3, 8), packed(40, 8))
        functional.linear(torch.randn(3, 8), packed(12, 8))
    made.sum().backward()
    assert torch.equal(unpacked, before)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, before.sum(0).expand(3, 8))


@torch.no_grad()
def test_who_finds_the_room_taken_does_without():
    weight, x = packed(12, 8), torch.randn(3, 8)
    found: list[torch.Tensor] = []

    @torch.no_grad()  # which holds for one thread
    def compute() -> None:
        found.append(functional.linear(x, weight))

    with ROOM.lent() as room:
        assert room is not None
        mine = room.of((12, 8), torch.float32, CPU)
        mine.fill_(7.0)
        thread = threading.Thread(target=compute)
        thread.start()
        thread.join()
        assert bool((mine == 7.0).all())
    assert torch.equal(found[0], functional.linear(x, weight.unpacked()))
