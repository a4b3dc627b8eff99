"""Which values that can be written into are with several running nodes at a time."""

from __future__ import annotations

import threading
from typing import Protocol

from engine.cache.memory import Stored


class Lent(Protocol):
    """The inputs of a node, as far as they can be written into."""

    writable: list[Stored]
    begun: bool


class Sharing:
    """Knows which of them are shared."""

    def __init__(self) -> None:
        self._users: dict[int, int] = {}
        self._shared: set[int] = set()
        self._lock = threading.Lock()

    def begin(self, inputs: Lent) -> bool:
        """A node starts on `inputs`; False (and nothing has begun) when one of them was written into meanwhile."""
        if not inputs.writable:
            return True
        inputs.begun = True
        with self._lock:
            for entry in inputs.writable:
                users = self._users[id(entry)] = self._users.get(id(entry), 0) + 1
                if users > 1:
                    self._shared.add(id(entry))
        if all(entry.intact for entry in inputs.writable):
            return True
        self.end(inputs)
        return False

    def end(self, inputs: Lent) -> bool:
        """A node is done with `inputs`; True when one of them was written into and others had it at the same time."""
        if not inputs.begun:
            return False
        inputs.begun = spoilt = False
        with self._lock:
            for entry in inputs.writable:
                spoilt |= id(entry) in self._shared and not entry.intact
                users = self._users.pop(id(entry)) - 1
                if users:
                    self._users[id(entry)] = users
                else:
                    self._shared.discard(id(entry))
        return spoilt
