"""The RAM part of the value store: an LRU with a byte budget that would rather lose what is big and quick to make."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable
from itertools import chain, islice
from typing import Any, Final

from engine.cache.digests import Digest, has_content, is_array, is_tensor
from engine.cache.stamps import IMMUTABLE, stamp

SAMPLE = 8
"""Among this many least recently used values, the one with the least cost per byte goes first."""


class Stored:
    """A value with the stamp it had when it was stored, its size in bytes, and the seconds it took to make."""

    __slots__ = ("_opaque", "cost", "size", "stamp", "value")

    def __init__(self, value: Any, cost: float) -> None:
        self.value = value
        self.cost = cost
        self.stamp = None if type(value) in IMMUTABLE else stamp(value)
        self.size = size_of(value)
        self._opaque: bool | None = None

    @property
    def intact(self) -> bool:
        """Whether nobody wrote into the value since it was stored."""
        return self.stamp is None or self.stamp == stamp(self.value)

    @property
    def opaque(self) -> bool:
        """Whether there is something in the value that has no content, and may be code of a pack."""
        if self._opaque is None:
            self._opaque = self.stamp is not None and not has_content(self.value)
        return self._opaque


class Memory:
    """Digest → Stored within `budget` bytes. Safe to use from several threads."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.used = 0
        self._entries: OrderedDict[Digest, Stored] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: Digest) -> Stored | None:
        """The stored value, now the most recently used one; None when it is not here or was written into (then dropped)."""
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                return None
            self._entries.move_to_end(name)
        if entry.stamp is not None and not entry.intact:
            self.drop(name, entry)
            return None
        return entry

    def put(self, name: Digest, entry: Stored) -> None:
        """Keep `entry`, dropping others until the budget holds; one larger than the whole budget is not kept."""
        with self._lock:
            old = self._entries.pop(name, None)
            if old is not None:
                self.used -= old.size
            if entry.size > self.budget:
                return
            self._entries[name] = entry
            self.used += entry.size
            while self.used > self.budget:
                self._evict_one()

    def drop(self, name: Digest, entry: Stored) -> None:
        """Forget `entry` if it is still what `name` stands for."""
        with self._lock:
            if self._entries.get(name) is entry:
                del self._entries[name]
                self.used -= entry.size

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self.used = 0

    def __len__(self) -> int:
        return len(self._entries)

    def _evict_one(self) -> None:
        oldest = islice(self._entries.items(), SAMPLE)
        name, entry = min(oldest, key=lambda item: item[1].cost / (item[1].size + 1))
        del self._entries[name]
        self.used -= entry.size


OBJECT_BYTES = 64
"""What a value of unknown kind is taken to weigh; model weights are the memory manager's to count."""


def size_of(value: Any) -> int:
    """About how many bytes `value` keeps in memory. What holds itself, as what a node shows may, is counted once."""
    if type(value) not in _CONTAINERS:
        return _leaf_size(value)
    size, inside, seen = 0, [value], {id(value)}
    while inside:
        one = inside.pop()
        size += OBJECT_BYTES
        for item in _items(one):
            if type(item) not in _CONTAINERS:
                size += _leaf_size(item)
            elif id(item) not in seen:
                seen.add(id(item))
                inside.append(item)
    return size


_CONTAINERS: Final = frozenset({list, tuple, dict})


def _items(container: Any) -> Iterable[Any]:
    return chain(container, container.values()) if type(container) is dict else container


def _leaf_size(value: Any) -> int:
    kind = type(value)
    if kind is str or kind is bytes or kind is int:
        return sys.getsizeof(value)
    if is_tensor(value):
        return OBJECT_BYTES + int(value.numel() * value.element_size())
    if is_array(value):
        return OBJECT_BYTES + int(value.nbytes)
    return OBJECT_BYTES
