"""Supply: the input values of a node that must run, remade where they are gone."""

from __future__ import annotations

from typing import Any, TypeAlias

from engine.cache.actions import Reference, SlotDigests
from engine.cache.memory import Stored
from engine.execute.links import count_stashed, inputs_in_use
from engine.execute.phases import FAILED, SUPPLY
from engine.execute.plan import queue_to_run
from engine.execute.run import Run
from engine.execute.state import Held, NodeState, StoredInput
from engine.execute.values import fetch_stored, load
from engine.graph.prompt import Link

Leaf: TypeAlias = tuple[NodeState, int | StoredInput]
"""Where values really come from: output `int` of a node, or values that an expanding node made itself."""


class Inputs:
    """The inputs of one node: `constants`, and `linked` values (a list where the producer gave a list)."""

    __slots__ = ("begun", "constants", "linked", "writable")

    def __init__(self) -> None:
        self.begun = False
        """Whether `sharing.Sharing` counts them as in use."""
        self.writable: list[Stored] = []
        """Those of the linked values that somebody could write into."""
        self.constants: dict[str, Any] = {}
        self.linked: dict[str, Held] = {}


def collect(run: Run, state: NodeState, lazy_names: Any) -> Inputs | list[NodeState]:
    """The inputs of `state` (of the lazy ones, `lazy_names`), or the states that must be remade first.

    Called without the lock: what it reads of other states cannot change while `state` counts in their `uses`.
    """
    inputs = Inputs()
    facts = state.facts
    missing: list[NodeState] = []
    for name, value in state.node.inputs.items():
        if facts.lazy and name in facts.lazy and name not in lazy_names:
            continue
        if type(value) is Link:
            if name in facts.raw:
                inputs.constants[name] = [value.node, value.slot]
                continue
            producer = run.states[value.node]
            found = fetch(run, producer, value.slot)
            while found is None and not (gone := origins(run, producer, value.slot)):
                found = fetch(run, producer, value.slot)  # another thread has remade it in the meantime
            if found is None:
                missing += gone
            else:
                inputs.linked[name] = found
        elif type(value) is StoredInput:
            found = fetch_stored(run, run.states[value.owner], value)
            if found is None:
                missing.append(run.states[value.owner])
            else:
                inputs.linked[name] = found
        elif name in facts.inputs or facts.open_inputs:
            inputs.constants[name] = value
    if missing:
        return missing
    _note_writable(inputs)
    return inputs


def _note_writable(inputs: Inputs) -> None:
    found: dict[int, Stored] = {}
    for held in inputs.linked.values():
        for entry in (held,) if isinstance(held, Stored) else held:
            if entry.stamp is not None:
                found[id(entry)] = entry
    inputs.writable.extend(found.values())


def fetch(run: Run, producer: NodeState, slot: int) -> Held | None:
    """The value of one output of a resolved node, or None when it has to be remade."""
    held = producer.held
    if held is not None:
        found = held[slot]
        if isinstance(found, Stored):
            if found.stamp is None or found.intact:
                return found
        elif all(entry.intact for entry in found):
            return found
        producer.held = None  # somebody wrote into it
    if producer.leader is None and producer.expansion is None:
        assert producer.outputs is not None
        return _load(run, producer.outputs[slot])
    return _assemble(run, producer, slot)


def origins(run: Run, producer: NodeState, slot: int) -> list[NodeState]:
    """The states that have to run again to give the missing values of an output."""
    return [leaf[0] for leaf in _leaves(run, producer, slot) if _fetch_leaf(run, leaf) is None]


def request(run: Run, state: NodeState, missing: list[NodeState]) -> None:
    """Have `missing` remade; `state` waits for their values. Under the lock."""
    state.enter(SUPPLY)
    state.borrowed = state.borrowed or []
    for origin in dict.fromkeys(missing):
        if origin.phase == FAILED and not origin.remaking:
            state.upstream = origin
            continue
        origin.uses += 1
        state.borrowed.append(origin)
        state.waiting += 1
        if origin.waiters is None:
            origin.waiters = []
            _remake(run, origin)
        origin.waiters.append(state)
    if not state.waiting:
        run.agenda.queue.append(state)


def _remake(run: Run, origin: NodeState) -> None:
    """Run `origin` again; for an expanded node a second state does so, as the first goes on waiting for its nodes."""
    run.remade.add(origin.id)
    state = origin
    if origin.expansion is not None:
        state = NodeState(origin.id, origin.node, origin.facts, origin.display, origin.parent)
        state.stands_for = origin
        state.key, state.recorded, state.lazy, state.outputs = origin.key, origin.recorded, origin.lazy, ()
        state.waiters = origin.waiters
    state.remaking = True
    if state.lazy is not None:
        state.lazy.reads = {}
    if not state.uses_inputs:
        state.uses_inputs = True
        for producer in inputs_in_use(run, state):
            producer.uses += 1
        if state.parent is not None:
            count_stashed(run, state, 1)
    queue_to_run(run, state)


def _load(run: Run, digests: SlotDigests) -> Held | None:
    if isinstance(digests, bytes):
        return load(run, digests)
    found = [entry for name in digests if (entry := load(run, name)) is not None]
    return found if len(found) == len(digests) else None


def _assemble(run: Run, producer: NodeState, slot: int) -> Held | None:
    items: list[Stored] = []
    for leaf in _leaves(run, producer, slot):
        found = _fetch_leaf(run, leaf)
        if found is None:
            return None
        items += found if isinstance(found, list) else [found]
    return items[0] if len(items) == 1 else items


def _fetch_leaf(run: Run, leaf: Leaf) -> Held | None:
    state, what = leaf
    if isinstance(what, StoredInput):
        return fetch_stored(run, state, what)
    if state.leader is None and state.expansion is None:
        return fetch(run, state, what)
    return None


def _leaves(run: Run, producer: NodeState, slot: int) -> list[Leaf]:
    """Behind leaders and expansions, in the order of the items."""
    found: list[Leaf] = []
    todo: list[Leaf] = [(producer, slot)]
    while todo:
        state, what = todo.pop()
        if isinstance(what, StoredInput):
            found.append((state, what))
        elif state.leader is not None:
            todo.append((state.leader, what))
        elif state.expansion is not None:
            todo += [_behind(run, state, call.values[what]) for call in reversed(state.expansion.calls)]
        else:
            found.append((state, what))
    return found


def _behind(run: Run, state: NodeState, reference: Reference) -> Leaf:
    if reference.digests is not None:
        return state, StoredInput(state.id, reference.digests)
    return run.states[reference.node], reference.slot
