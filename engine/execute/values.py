"""Putting the values that a node gave into the cache, each under its digest, and getting them back."""

from __future__ import annotations

from typing import Any

from xxhash import xxh3_64_digest, xxh3_128_digest

from engine.authoring.definition import ExecutionBlocker
from engine.cache.actions import Record, SlotDigests
from engine.cache.digests import Digest, digest
from engine.cache.memory import Stored
from engine.execute.run import Run
from engine.execute.state import BLOCKED, SILENT, Held, NodeState, StoredInput


def store(run: Run, value: Any, place: bytes, cost: float) -> tuple[Digest, Stored]:
    """Keep `value`, which took `cost` seconds; `place` (action key and slot) names it where its content cannot."""
    if type(value) is ExecutionBlocker:
        return _store_blocker(run, value)
    name = digest(value)
    if name is None:
        name = xxh3_128_digest(place)
    return name, run.cache.put(name, value, cost)


def store_items(run: Run, items: list[Any], place: bytes, cost: float) -> tuple[SlotDigests, Held]:
    """Keep the items of one output; a single one stands for itself."""
    if len(items) == 1:
        return store(run, items[0], place, cost)
    pairs = [store(run, item, b"%s[%d]" % (place, index), cost) for index, item in enumerate(items)]
    return tuple([name for name, _ in pairs]), [entry for _, entry in pairs]


def blocker_digest(message: str | None) -> Digest:
    """Digest of an ExecutionBlocker: recognised by its first half."""
    return SILENT if message is None else BLOCKED + xxh3_64_digest(message.encode("utf-8", "surrogatepass"))


def is_blocked(name: Digest) -> bool:
    """Whether a digest is that of an ExecutionBlocker."""
    return name.startswith(BLOCKED)


def blocker_of(run: Run, name: Digest) -> ExecutionBlocker:
    """The ExecutionBlocker that a digest stands for."""
    if name == SILENT:
        return ExecutionBlocker(None)
    record = run.cache.actions.get(name)
    return ExecutionBlocker(str(record.ui["message"]) if record is not None and record.ui else "An input is blocked.")


def load(run: Run, name: Digest) -> Stored | None:
    """The value that a digest stands for; None when it has to be made again."""
    if is_blocked(name):
        return Stored(blocker_of(run, name), 0.0)
    return run.cache.get(name)


def fetch_stored(run: Run, owner: NodeState, value: StoredInput) -> Held | None:
    """The value of an input that is no JSON; None when it has to be made again."""
    stash = owner.expansion.stash if owner.expansion is not None else {}
    found: list[Stored] = []
    for name in value.digests:
        entry = stash.get(name)
        if entry is None or not entry.intact:
            entry = load(run, name)
        if entry is None:
            return None
        found.append(entry)
    return found[0] if len(found) == 1 else found


def _store_blocker(run: Run, blocker: ExecutionBlocker) -> tuple[Digest, Stored]:
    name = blocker_digest(blocker.message)
    if blocker.message is not None:  # the action cache, unlike the value store, forgets nothing while it is needed
        run.cache.actions.put(name, Record(ui={"message": blocker.message}))
    return name, Stored(blocker, 0.0)
