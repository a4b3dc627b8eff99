"""Calls that are refused: for what was given, or for what the workflow lacks here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from engine.graph.problems import Problem
from engine.graph.schema import Files
from engine.server.refusals import Refusal
from engine.server.workflows.library import SavedWorkflow

_MOST_TOLD: Final = 12
_INPUTS: Final = ("input", "output", "temp")


class WrongArguments(Refusal):
    """Arguments that a workflow does not take. `problems` lists everything that is wrong with them."""

    def __init__(self, workflow: str, problems: Sequence[Problem]) -> None:
        message = "\n".join(sentence(one) for one in problems[:_MOST_TOLD])
        told = [argument_problem(one) for one in problems]
        super().__init__(422, "invalid_arguments", message, workflow=workflow, problems=told)
        self.problems = list(problems)


def argument_problem(one: Problem) -> dict[str, Any]:
    """A problem of an argument for programs: parameter, type, message, expected, received, hint."""
    told: dict[str, Any] = {"parameter": one.input_name, "type": one.type, "message": one.message}
    facts = {"expected": one.expected, "received": one.received, "hint": one.hint}
    return told | {key: value for key, value in facts.items() if value not in ("", msgspec.UNSET)}


def missing_of(workflow: SavedWorkflow, node_errors: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Types of nodes, and `folder/name` of model files, that the problems of its nodes say are not here."""
    nodes: dict[str, None] = {}
    models: dict[str, None] = {}
    for told in node_errors.values():
        for error in told.get("errors", ()):
            if error["type"] == "missing_node_type":
                nodes[told.get("class_type") or "?"] = None
            model = _model(workflow, told.get("class_type") or "", error)
            if model is not None:
                models[model] = None
    return list(nodes), list(models)


def not_runnable(workflow: SavedWorkflow, body: Mapping[str, Any]) -> Refusal:
    """The refusal of a workflow whose graph is not sound here; `body` is that of its graph's refusal."""
    errors: Mapping[str, Any] = body.get("node_errors") or {}
    nodes, models = missing_of(workflow, errors)
    told = [f"nodes {', '.join(nodes)}"] if nodes else []
    told += [f"model files {', '.join(models)}"] if models else []
    if told:
        message = f"{workflow.name}: not here are {'; '.join(told)}. Install the packs, put the files into the folders."
        type = "workflow_incomplete"
    else:
        reasons = list(_reasons(errors)) or [str((body.get("error") or {}).get("message", "Its graph is not sound."))]
        message = f"{workflow.name} cannot run: " + "\n".join(reasons[:_MOST_TOLD])
        type = "workflow_not_sound"
    return _NotRunnable(409, type, message, errors, workflow=workflow.name, missing_nodes=nodes, missing_models=models)


class _NotRunnable(Refusal):
    def __init__(self, status: int, type: str, message: str, errors: Mapping[str, Any], **extra_info: Any) -> None:
        super().__init__(status, type, message, **extra_info)
        self._errors = errors

    def body(self) -> dict[str, Any]:
        """With the problems of the nodes."""
        return {**super().body(), "node_errors": self._errors}


def _model(workflow: SavedWorkflow, class_type: str, error: Mapping[str, Any]) -> str | None:
    """`folder/name` of the model file that an input names and that is not here."""
    if error["type"] != "value_not_in_list":
        return None
    spec = workflow.catalogue.spec(class_type)
    info = error.get("extra_info", {})
    declared = spec.input(str(info.get("input_name"))) if spec is not None else None
    files = declared.choices if declared is not None else None
    if not isinstance(files, Files) or files.folder in _INPUTS:
        return None
    return f"{files.folder}/{info.get('received_value')}"


def _reasons(node_errors: Mapping[str, Any]) -> Iterator[str]:
    for node, told in node_errors.items():
        for error in told.get("errors", ()):
            details = f" ({error['details']})" if error.get("details") else ""
            yield f"node {node} ({told.get('class_type')}): {error['message']}{details}"


def sentence(one: Problem) -> str:
    """A problem in one line for people."""
    where = f"{one.where}: " if one.where else ""
    parts = [f"{where}{one.message}."]
    parts += [f"Expected {one.expected}."] if one.expected else []
    return " ".join([*parts, one.hint] if one.hint else parts)
