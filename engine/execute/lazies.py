"""Lazy inputs: only what a node asks for is needed.

A coroutine awaits `Lazy` objects; each first read becomes an errand (see `state.NodeState.errand`) that has the producer
run and hands its values to the event loop. A node of the class protocol names what it wants through `lazy_status`, and is
asked again until nothing is missing.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from engine.authoring.definition import ExecutionBlocker
from engine.authoring.inputs import Lazy
from engine.cache.memory import Stored
from engine.execute.attempt import Attempt
from engine.execute.calls import calls_of
from engine.execute.context import hidden_inputs
from engine.execute.links import NOTHING, need, release_inputs, wait_for
from engine.execute.phases import SUPPLY
from engine.execute.plan import settle
from engine.execute.run import Run
from engine.execute.state import Held, NodeState, StoredInput
from engine.execute.supply import Inputs
from engine.graph.prompt import Link, Node


class LazyBlockedError(Exception):
    """A lazy input that was read is blocked; ends the call, whose outputs are then blocked."""

    def __init__(self, blocker: ExecutionBlocker) -> None:
        super().__init__("A lazy input is blocked.")
        self.blocker = blocker


class LazyEmptyError(Exception):
    """A lazy input that was read is an empty list: the node is called for none of its items."""


class UpstreamFailedError(Exception):
    """What a lazy input links to failed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"What the input {name!r} links to failed.")


def lazy_objects(attempt: Attempt, index: int) -> dict[str, Lazy[Any]]:
    """The `Lazy` objects for call `index` of a node."""
    state = attempt.state
    names = [name for name in state.facts.lazy if name in state.node.inputs]
    return {name: Lazy(_Read(attempt, name, index)) for name in names}


class _Read:
    """What awaiting one lazy input does."""

    __slots__ = ("_attempt", "_index", "_name")

    def __init__(self, attempt: Attempt, name: str, index: int) -> None:
        self._attempt = attempt
        self._name = name
        self._index = index

    async def __call__(self) -> Any:
        state = self._attempt.state
        items = await _read(self._attempt.run, state, self._name)
        if state.facts.spec.input_is_list:
            return self._attempt.handed({self._name: items})[self._name]
        if not items:
            raise LazyEmptyError
        value = items[min(self._index, len(items) - 1)]
        if type(value) is ExecutionBlocker:
            raise LazyBlockedError(value)
        return self._attempt.handed({self._name: value})[self._name]


async def _read(run: Run, state: NodeState, name: str) -> list[Any]:
    """All items of a lazy input; read once however often it is awaited. On the event loop."""
    assert state.lazy is not None
    future = state.lazy.reads.get(name)
    if future is None:
        future = state.lazy.reads[name] = run.loop.create_future()
        value = state.node.inputs[name]
        if type(value) in (Link, StoredInput):
            run.post(_Errand(run, state, name, future).begin)
        else:
            future.set_result([value])
    return await asyncio.shield(future)


class _Errand:
    """Fetches the values of one lazy input for a coroutine that waits for them."""

    def __init__(self, run: Run, state: NodeState, name: str, future: asyncio.Future[list[Any]]) -> None:
        self._run = run
        self._state = state
        self._name = name
        self._future = future

    def begin(self) -> None:
        """On a worker thread: make the producer needed."""
        state = self._state
        assert state.lazy is not None
        value = state.node.inputs[self._name]
        errand = NodeState(state.id, Node("", {"value": value}), NOTHING, state.display, state.parent)
        errand.errand = self.deliver
        with self._run.lock:
            if self._name not in state.lazy.needed:
                state.lazy.needed.append(self._name)
                producer = need(self._run, value.node if type(value) is Link else value.owner)
                producer.uses += 1
            self._run.errand_owners[errand] = state
            self._run.agenda.fresh.append(errand)
            settle(self._run)

    def deliver(self, held: list[Held] | None) -> None:
        """On a worker thread: the values are there (None: the producer failed)."""
        if held is None:
            self._run.async_nodes.call(self._fail)
        else:
            items = [held[0]] if isinstance(held[0], Stored) else held[0]
            self._run.async_nodes.call(self._succeed, items)

    def _succeed(self, items: list[Stored]) -> None:
        assert self._state.lazy is not None
        if not self._future.done():
            self._future.set_result([entry.value for entry in items])

    def _fail(self) -> None:
        if not self._future.done():
            self._future.set_exception(UpstreamFailedError(self._name))
            self._future.exception()  # whoever awaits it sees it; nobody may be left who does


def run_errand(run: Run, state: NodeState, inputs: Inputs) -> None:
    """The values that an errand wanted are collected: deliver them."""
    deliver = state.errand
    assert deliver is not None
    deliver(list(inputs.linked.values()))
    with run.lock:
        run.errand_owners.pop(state, None)
        state.errand = None
        release_inputs(run, state)


def longest_read(state: NodeState) -> int:
    """The length of the longest list among the lazy inputs that were read."""
    assert state.lazy is not None
    done = [future for future in state.lazy.reads.values() if future is not None and future.done()]
    return max([len(future.result()) for future in done if not future.exception()], default=0)


def ask_status(attempt: Attempt) -> bool:
    """Class protocol: have the lazy inputs that the node wants made; False when it has all that it wants.

    Lazy inputs that it does not want are None, here and when it runs.
    """
    run, state = attempt.run, attempt.state
    assert state.lazy is not None
    absent = [name for name in state.facts.lazy if name in state.node.inputs and name not in state.lazy.reads]
    attempt.inputs.constants.update(dict.fromkeys(absent))
    missing = [name for name in _wanted(attempt) if name in absent]
    if not missing:
        return False
    with run.lock:
        state.enter(SUPPLY)
        for name in missing:
            _want(run, state, name)
        if not state.waiting:
            run.agenda.queue.append(state)
        settle(run)
    return True


def _wanted(attempt: Attempt) -> list[str]:
    """The names that `lazy_status` gives, over all calls."""
    status = attempt.definition.lazy_status
    assert status is not None
    wanted: dict[str, None] = {}
    for call in calls_of(attempt.state.facts, attempt.inputs):
        if isinstance(call, dict):
            answer: Any = status(*attempt.instance, **attempt.handed(call), **hidden_inputs(attempt.run, attempt.state))
            if inspect.isawaitable(answer):
                answer = asyncio.run_coroutine_threadsafe(_awaited(answer), attempt.run.loop).result()
            wanted.update(dict.fromkeys(answer or ()))
    return list(wanted)


def _want(run: Run, state: NodeState, name: str) -> None:
    assert state.lazy is not None
    state.lazy.reads[name] = None
    if name in state.lazy.needed:
        return
    state.lazy.needed.append(name)
    value = state.node.inputs[name]
    if type(value) is Link:
        wait_for(state, need(run, value.node))
    elif type(value) is StoredInput:
        run.states[value.owner].uses += 1


async def _awaited(answer: Any) -> Any:
    return await answer
