"""Attempt: one attempt to run a node, with all that its calls need; and the border between stored values and its code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.authoring.definition import NodeDefinition, NodeResult
from engine.cache.stamps import IMMUTABLE, stamp
from engine.execute.context import NodeContext, hidden_inputs
from engine.execute.events import Warned
from engine.execute.run import Run
from engine.execute.state import NodeState
from engine.execute.summaries import describe
from engine.execute.supply import Inputs
from engine.graph.prompt import Node
from engine.sampling.names import BROUGHT_SAMPLERS, BROUGHT_SCHEDULES


class Attempt:
    """A node whose inputs are collected. `instance` holds the instance of a class node, as leading argument.

    What is not built in, or runs code of a pack, gets copies of its own of everything that can be written into, and of what it
    gives a copy is kept: whatever it does to the one or the other, now or later, reaches nobody else.
    """

    __slots__ = ("apart", "definition", "inputs", "instance", "run", "state")

    def __init__(self, run: Run, state: NodeState, definition: NodeDefinition, inputs: Inputs) -> None:
        self.run = run
        self.state = state
        self.definition = definition
        self.inputs = inputs
        self.instance = run.executor.instance(state.id, definition) if definition.make is not None else ()
        self.apart = not definition.trusted or _runs_foreign_code(state, inputs)
        """Whether it gets copies, and copies of what it gives are kept."""
        if self.apart and inputs.writable:
            inputs.writable = []

    def set_apart(self) -> None:
        """Have the node get copies."""
        self.apart = True
        self.inputs.writable = []

    def call(self, call: dict[str, Any]) -> NodeResult:
        """Call a blocking node with keyword arguments."""
        given = self.handed(call)
        before = None if given is call else _stamps(given)
        result = self.definition.read(self.state.facts.spec, self._invoke(given))
        if before is not None:
            self._tell_written(given, before)
            self.run.cache.copies.let_go(given)
        del given  # what it gave of that is nobody's but its own now
        return self._kept(result) if self.apart else result

    async def call_async(self, call: dict[str, Any]) -> NodeResult:
        """Call an async node with keyword arguments."""
        given = self.handed(call)
        before = None if given is call else _stamps(given)
        result = self.definition.read(self.state.facts.spec, await self._invoke(given))
        if before is not None:
            self._tell_written(given, before)
            self.run.cache.copies.let_go(given)
        del given  # what it gave of that is nobody's but its own now
        return self._kept(result) if self.apart else result

    def handed(self, values: dict[str, Any]) -> dict[str, Any]:
        """Arguments as functions of the node get them: `values` itself where nothing in it has to be copied."""
        if self.apart and not IMMUTABLE.issuperset(map(type, values.values())):
            return self.run.cache.copies.of_each(values)
        return values

    def _invoke(self, call: dict[str, Any]) -> Any:
        """The raw result of a call, or its coroutine."""
        if self.state.facts.spec.hidden:
            call = {**call, **hidden_inputs(self.run, self.state)}
        if self.definition.wants_ctx:
            return self.definition.run(*self.instance, NodeContext(self.run, self.state), **call)
        return self.definition.run(*self.instance, **call)

    def _kept(self, result: NodeResult) -> NodeResult:
        """What is kept of a result: out of the node's reach."""
        ui, expand, copies = result.ui, result.expand, self.run.cache.copies
        if ui is not None:
            ui = copies.of(dict(ui) if isinstance(ui, Mapping) else ui)
        if expand is not None:
            expand = {name: Node(one.class_type, copies.of_each(one.inputs), one.meta) for name, one in expand.items()}
        if not IMMUTABLE.issuperset(map(type, result.values)):
            return NodeResult(copies.of_given(result), ui, expand)
        return NodeResult(result.values, ui, expand) if ui is not None or expand is not None else result

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


def _stamps(given: dict[str, Any]) -> dict[str, Any]:
    """Stamps of the copies among what a node is called with."""
    return {name: stamp(value) for name, value in given.items() if type(value) not in IMMUTABLE}


def _runs_foreign_code(state: NodeState, inputs: Inputs) -> bool:
    """Whether a built-in node may run code of a pack: functions on a model, an object of a pack, a sampler it brought."""
    if inputs.writable and any(entry.opaque for entry in inputs.writable):
        return True
    return state.facts.samples and bool(BROUGHT_SAMPLERS or BROUGHT_SCHEDULES)
