"""Attempt: one attempt to run a node, with all that its calls need."""

from __future__ import annotations

from typing import Any

from engine.authoring.definition import NodeDefinition, NodeResult
from engine.execute.context import NodeContext, hidden_inputs
from engine.execute.state import NodeState, Run
from engine.execute.supply import Inputs


class Attempt:
    """A node whose inputs are collected. `instance` holds the instance of a class node, as leading argument."""

    __slots__ = ("definition", "inputs", "instance", "run", "state")

    def __init__(self, run: Run, state: NodeState, definition: NodeDefinition, inputs: Inputs) -> None:
        self.run = run
        self.state = state
        self.definition = definition
        self.inputs = inputs
        self.instance = run.executor.instance(state, definition)

    def invoke(self, call: dict[str, Any]) -> Any:
        """Call the node with the keyword arguments `call`; gives its raw result, or its coroutine."""
        if self.state.facts.spec.hidden:
            call = {**call, **hidden_inputs(self.run, self.state)}
        if self.definition.wants_ctx:
            return self.definition.run(*self.instance, NodeContext(self.run, self.state), **call)
        return self.definition.run(*self.instance, **call)

    def read(self, raw: Any) -> NodeResult:
        """What the node returned, in the one form that the executor knows."""
        return self.definition.read(self.state.facts.spec, raw)
