"""Attempt: one attempt to run a node, with all that its calls need; and the border between stored values and its code."""

from __future__ import annotations

from typing import Any

from engine.authoring.definition import NodeDefinition, NodeResult
from engine.cache.stamps import IMMUTABLE, stamp
from engine.execute.context import NodeContext, hidden_inputs
from engine.execute.events import Warned
from engine.execute.state import NodeState, Run
from engine.execute.summaries import describe
from engine.execute.supply import Inputs
from engine.graph.prompt import Node


class Attempt:
    """A node whose inputs are collected. `instance` holds the instance of a class node, as leading argument.

    What is not built in, or runs code that came through an input, gets copies of its own of everything that can be written
    into, and of what it gives a copy is kept: whatever it does to the one or the other, now or later, reaches nobody else.
    """

    __slots__ = ("apart", "definition", "inputs", "instance", "run", "state")

    def __init__(self, run: Run, state: NodeState, definition: NodeDefinition, inputs: Inputs) -> None:
        self.run = run
        self.state = state
        self.definition = definition
        self.inputs = inputs
        self.instance = run.executor.instance(state.id, definition)
        self.apart = not definition.trusted or any([entry.opaque for entry in inputs.writable])
        """Whether it gets copies, and copies of what it gives are kept."""
        if self.apart:
            inputs.writable = []

    def call(self, call: dict[str, Any]) -> NodeResult:
        """Call a blocking node with keyword arguments."""
        given, before = self._given(call)
        result = self._read(self._invoke(given))
        self._tell_written(given, before)
        return result

    async def call_async(self, call: dict[str, Any]) -> NodeResult:
        """Call an async node with keyword arguments."""
        given, before = self._given(call)
        result = self._read(await self._invoke(given))
        self._tell_written(given, before)
        return result

    def handed(self, values: dict[str, Any]) -> dict[str, Any]:
        """Arguments as functions of the node get them."""
        return self.run.cache.copies.of_each(values) if self.apart else values

    def _given(self, call: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the node is called with, and stamps of the copies among it."""
        given = self.handed(call)
        if not self.apart:
            return given, {}
        return given, {name: stamp(value) for name, value in given.items() if type(value) not in IMMUTABLE}

    def _invoke(self, call: dict[str, Any]) -> Any:
        """The raw result of a call, or its coroutine."""
        if self.state.facts.spec.hidden:
            call = {**call, **hidden_inputs(self.run, self.state)}
        if self.definition.wants_ctx:
            return self.definition.run(*self.instance, NodeContext(self.run, self.state), **call)
        return self.definition.run(*self.instance, **call)

    def _read(self, raw: Any) -> NodeResult:
        """What the node returned, in the one form that the executor knows, and out of its reach."""
        result = self.definition.read(self.state.facts.spec, raw)
        if not self.apart:
            return result
        copies = self.run.cache.copies
        values = copies.of_all(result.values)
        ui = copies.of(dict(result.ui)) if result.ui is not None else None
        expand = result.expand
        if expand is not None:
            expand = {name: Node(n.class_type, copies.of_each(n.inputs), n.meta) for name, n in expand.items()}
        return NodeResult(values, ui, expand)

    def _tell_written(self, given: dict[str, Any], before: dict[str, Any]) -> None:
        """Name the node where it can be seen that it wrote into an input: its author will want to know."""
        for name, seen in before.items():
            if seen != stamp(given[name]):
                message = (
                    f"Node {self.state.id} ({self.state.node.class_type}) wrote into the value of its input {name!r} "
                    f"({describe(given[name])}). It had a copy of its own, so nothing else is affected. "
                    f"Nodes must not change their inputs; copy them first."
                )
                self.run.emit(Warned(message=message, node=self.state.id))
