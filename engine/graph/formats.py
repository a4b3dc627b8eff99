"""Which kind of JSON is this, and the prompt in it: every entry point takes any form of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from engine.graph.jsontext import parse_json
from engine.graph.problems import GraphError, Problem, problem
from engine.graph.renamed import renamed, renamed_nodes
from engine.graph.schema import Catalogue
from engine.graph.texts import with_seed
from engine.graph.workflow import workflow_to_prompt

Format: TypeAlias = Literal["prompt", "workflow", "envelope", "invokeai", "a1111", "diffusers", "empty", "unknown"]

_FOREIGN: Final[Mapping[str, str]] = {
    "invokeai": "This is a workflow of InvokeAI, whose nodes are others. Rebuild the graph here from its settings.",
    "a1111": "These are settings for the API of the Stable Diffusion web UI. "
    "Give the text that it keeps in a picture instead: it becomes a graph.",
    "diffusers": "This describes the parts of a diffusers model. Put its folder under models/ and load it from a graph.",
}


class Loaded(NamedTuple):
    """A graph in the prompt form (JSON, not checked yet), with what came along."""

    prompt: dict[str, Any]
    workflow: dict[str, Any] | None
    """The workflow form, if there was one: it is embedded in saved pictures."""
    extra_data: dict[str, Any]
    problems: list[Problem]
    """What was wrong with the workflow form itself."""


def detect_format(data: Any) -> Format:
    """Say which form of a graph `data` (parsed JSON) is, looking only at its outermost keys."""
    if not isinstance(data, Mapping):
        return "unknown"
    if not data:
        return "empty"
    nodes, edges = data.get("nodes"), data.get("edges")
    if isinstance(edges, list) and isinstance(nodes, list | Mapping):
        return "invokeai"
    if isinstance(nodes, list):
        return "workflow"
    if any(isinstance(value, Mapping) and "class_type" in value for value in data.values()):
        return "prompt"
    if any(isinstance(data.get(key), Mapping) for key in ("prompt", "output", "workflow")):
        return "envelope"
    if "_class_name" in data:
        return "diffusers"
    if isinstance(data.get("prompt"), str) or {"sd_model_checkpoint", "infotexts"} & data.keys():
        return "a1111"
    return "unknown"


def loads(text: str | bytes, catalogue: Catalogue) -> Loaded:
    """`load` from JSON text (bytes: UTF-8). Raises GraphError: `invalid_json` with line and column, or as `load`."""
    return load(parse_json(text), catalogue)


def load(data: Any, catalogue: Catalogue) -> Loaded:
    """Find the graph in `data` (parsed JSON) and convert it to the prompt form if it is a saved workflow.

    Taken are the prompt form, the workflow form, and objects that hold one of them under `prompt`, `output` or `workflow`
    (what clients post, with `extra_data`). Raises GraphError (`unknown_format`, `no_prompt`) for anything else.
    """
    kind = detect_format(data)
    if kind == "prompt":
        return Loaded(renamed(data), None, {}, [])
    if kind == "workflow":
        return _from_workflow(data, {}, catalogue)
    if kind == "envelope":
        return _from_envelope(data, catalogue)
    if kind == "empty":
        raise GraphError([problem("no_prompt")])
    received = list(data)[:8] if isinstance(data, Mapping) else data
    raise GraphError([problem("unknown_format", hint=_FOREIGN.get(kind, ""), received=received)])


def _from_envelope(data: Mapping[str, Any], catalogue: Catalogue) -> Loaded:
    extra = data.get("extra_data")
    extra_data = dict(extra) if isinstance(extra, Mapping) else {}
    inner = next(data[key] for key in ("prompt", "output", "workflow") if isinstance(data.get(key), Mapping))
    if detect_format(inner) == "workflow":
        return _from_workflow(inner, extra_data, catalogue)
    if detect_format(inner) not in ("prompt", "empty"):
        raise GraphError([problem("unknown_format", received=list(inner)[:8])])
    embedded = extra_data.get("extra_pnginfo")
    workflow = data.get("workflow") or (embedded.get("workflow") if isinstance(embedded, Mapping) else None)
    return Loaded(renamed(inner), dict(workflow) if isinstance(workflow, Mapping) else None, extra_data, [])


def _from_workflow(workflow: Mapping[str, Any], extra_data: dict[str, Any], catalogue: Catalogue) -> Loaded:
    workflow = renamed_nodes(workflow)
    converted = workflow_to_prompt(workflow, catalogue)
    carried = dict(workflow) if converted.text_seed is None else with_seed(workflow, converted.text_seed)
    return Loaded(renamed(converted.prompt), carried, extra_data, converted.problems)
