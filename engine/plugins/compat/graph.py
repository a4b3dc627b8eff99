"""`comfy_execution.graph`: the value that stops what receives it, and names of errors."""

from __future__ import annotations

from engine.authoring.definition import ExecutionBlocker
from engine.execute.context import DynamicPrompt

__all__ = ["DependencyCycleError", "DynamicPrompt", "ExecutionBlocker", "NodeInputError", "NodeNotFoundError"]


class DependencyCycleError(Exception):
    """A graph that depends on itself."""


class NodeInputError(Exception):
    """An input that is not as declared."""


class NodeNotFoundError(Exception):
    """A node that is not in the graph."""
