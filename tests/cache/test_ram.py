"""The RAM part of the value store: what is charged, what is kept, and which goes first."""

from __future__ import annotations

import sys

import torch

from engine.cache.memory import OBJECT_BYTES, Memory, Stored, size_of


class Sized:
    """A stored value of a stated size and cost."""

    def __new__(cls, size: int, cost: float = 1.0) -> Stored:  # type: ignore[misc]
        entry = Stored(None, cost)
        entry.size = size
        return entry


def names(memory: Memory) -> list[bytes]:
    return [name for name in (b"a", b"b", b"c") if name in memory._entries]


def test_a_value_that_takes_anothers_name_takes_its_place_in_the_bytes_too() -> None:
    memory = Memory(100)
    memory.put(b"a", Sized(60))
    memory.put(b"a", Sized(50))
    assert (memory.used, len(memory)) == (50, 1)
    memory.put(b"b", Sized(50))
    assert (memory.used, names(memory)) == (100, [b"a", b"b"])


def test_a_value_may_be_as_large_as_the_budget_and_a_larger_one_takes_its_older_self_along() -> None:
    memory = Memory(100)
    memory.put(b"a", Sized(100))
    assert memory.used == 100
    memory.put(b"a", Sized(101))
    assert (memory.used, len(memory)) == (0, 0)


def test_a_dropped_value_is_charged_no_more_and_another_of_its_name_stays() -> None:
    memory, first, second = Memory(100), Sized(60), Sized(40)
    memory.put(b"a", first)
    memory.drop(b"a", first)
    assert (memory.used, len(memory)) == (0, 0)
    memory.put(b"a", second)
    memory.drop(b"a", first)
    assert (memory.used, memory.get(b"a")) == (40, second)
    memory.clear()
    assert (memory.used, len(memory)) == (0, 0)


def test_of_old_values_the_cheapest_for_its_size_goes_first() -> None:
    memory = Memory(100)
    memory.put(b"a", Sized(40, cost=9.0))
    memory.put(b"b", Sized(40, cost=0.1))
    memory.put(b"c", Sized(40, cost=5.0))
    assert (names(memory), memory.used) == ([b"a", b"c"], 80)


def test_a_value_that_was_read_is_young_again(monkeypatch) -> None:
    monkeypatch.setattr("engine.cache.memory.SAMPLE", 1)
    memory = Memory(100)
    memory.put(b"a", Sized(50))
    memory.put(b"b", Sized(50))
    assert memory.get(b"a") is not None
    memory.put(b"c", Sized(50))
    assert names(memory) == [b"a", b"c"]


def test_a_value_weighs_what_its_parts_do() -> None:
    assert size_of(torch.zeros(10, dtype=torch.float64)) == OBJECT_BYTES + 80
    assert size_of(torch.zeros(10, dtype=torch.int8)) == OBJECT_BYTES + 10
    assert size_of(["a", "b"]) == OBJECT_BYTES + 2 * sys.getsizeof("a")
    assert size_of({"key": "a"}) == OBJECT_BYTES + sys.getsizeof("key") + sys.getsizeof("a")
