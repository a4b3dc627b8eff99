"""What a saved workflow declares of itself in `extra.safelight`: its parameters, its outputs, and a sentence about it.

    {"doc": "…",
     "parameters": [{"name": "prompt", "node": "6", "input": "text", "label": "…", "doc": "…", "default": …,
                     "min": 1, "max": 50, "step": 1, "choices": […], "required": true}],
     "outputs": [{"name": "image", "node": "9", "doc": "…"}]}

All but name, node and input may be left out. Other editors number nodes anew and leave `extra` as it is, so a node also carries
what it stands for in `properties.safelight` (`{"parameters": {INPUT: NAME}, "output": NAME}`), which moves with it; and an entry
may say the node's `class_type` and `title`, by which it is found where they name one node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from engine.graph.prompt import NodeId, Prompt
from engine.graph.saved import node_id, objects
from engine.graph.schema import Catalogue, InputSpec


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter as it is declared. `node` may not be in the graph."""

    name: str
    node: NodeId
    input: str
    label: str = ""
    doc: str = ""
    default: Any = msgspec.UNSET
    ge: int | float | None = None
    le: int | float | None = None
    step: int | float | None = None
    choices: tuple[str | int | float | bool, ...] | None = None
    required: bool = False

    def narrowed(self, spec: InputSpec) -> InputSpec:
        """`spec` with the narrower range: no bound goes beyond the node's own, and no choice is added to its choices."""
        told = msgspec.structs.replace(spec, choices=self._chosen(spec), tip=self.doc or spec.tip)
        if spec.type not in ("INT", "FLOAT"):
            return told
        return msgspec.structs.replace(
            told,
            ge=max((bound for bound in (spec.ge, self.ge) if bound is not None), default=None),
            le=min((bound for bound in (spec.le, self.le) if bound is not None), default=None),
            step=spec.step if self.step is None else self.step,
        )

    def _chosen(self, spec: InputSpec) -> Any:
        if self.choices is None:
            return spec.choices
        own = spec.choices
        return tuple(one for one in self.choices if one in own) if isinstance(own, tuple) else self.choices


class DeclaredOutput(msgspec.Struct, frozen=True, kw_only=True):
    """An output as it is declared."""

    name: str
    node: NodeId
    doc: str = ""


def declared_parameters(workflow: Mapping[str, Any] | None, graph: Prompt, catalogue: Catalogue) -> Iterator[Declared]:
    """The parameters that `workflow` declares, each with the node that it means in `graph`, in their order."""
    marked = _marked(workflow)
    for entry in objects(_own(workflow).get("parameters")):
        name, input_name = entry.get("name"), entry.get("input")
        if isinstance(name, str) and name and isinstance(input_name, str):
            node = marked.get((input_name, name)) or _place(entry, graph, catalogue)
            yield Declared(name=name, node=node, input=input_name, **_facts(entry))


def declared_outputs(
    workflow: Mapping[str, Any] | None, graph: Prompt, catalogue: Catalogue
) -> Iterator[DeclaredOutput]:
    """The outputs that `workflow` declares, each with the node that it means in `graph`, in their order."""
    marked = _marked(workflow)
    for entry in objects(_own(workflow).get("outputs")):
        name = entry.get("name")
        if isinstance(name, str) and name:
            node = marked.get(("", name)) or _place(entry, graph, catalogue)
            yield DeclaredOutput(name=name, node=node, doc=_text(entry, "doc"))


def declared_doc(workflow: Mapping[str, Any] | None) -> str:
    """What the workflow says of itself; empty where it says nothing."""
    return _text(_own(workflow), "doc")


def _own(workflow: Mapping[str, Any] | None) -> Mapping[str, Any]:
    level: Any = workflow
    for key in ("extra", "safelight"):
        level = level.get(key) if isinstance(level, Mapping) else None
    return level if isinstance(level, Mapping) else {}


def _marked(workflow: Mapping[str, Any] | None) -> dict[tuple[str, str], NodeId]:
    """(input, name) of each mark on a node → its id; the input is empty for an output."""
    found: dict[tuple[str, str], NodeId] = {}
    for node in objects(workflow.get("nodes")) if workflow is not None else ():
        own = node["properties"].get("safelight") if isinstance(node.get("properties"), dict) else None
        id = node_id(node.get("id"))
        if not isinstance(own, dict) or id is None:
            continue
        names = own.get("parameters")
        for input_name, name in names.items() if isinstance(names, dict) else ():
            if isinstance(name, str):
                found.setdefault((input_name, name), id)
        if isinstance(own.get("output"), str):
            found.setdefault(("", own["output"]), id)
    return found


def _place(entry: Mapping[str, Any], graph: Prompt, catalogue: Catalogue) -> NodeId:
    """The node that an entry means: the one of its id, unless that is of another type than the entry says."""
    id = str(entry.get("node"))
    kind = _text(entry, "class_type")
    if not kind or (id in graph and _same(graph[id].class_type, kind, catalogue)):
        return id
    alike = [one for one, node in graph.items() if _same(node.class_type, kind, catalogue)]
    title = _text(entry, "title")
    titled = [one for one in alike if title and graph[one].meta.get("title") == title]
    found = titled or alike
    return found[0] if len(found) == 1 else id


def _same(one: str, other: str, catalogue: Catalogue) -> bool:
    return one == other or catalogue.aliases.get(one, one) == catalogue.aliases.get(other, other)


def _facts(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry says beside its place; what is of the wrong type is not there."""
    choices = entry.get("choices")
    plain = isinstance(choices, list) and all(isinstance(one, str | int | float | bool) for one in choices)
    return {
        "label": _text(entry, "label"),
        "doc": _text(entry, "doc"),
        "default": entry.get("default", msgspec.UNSET),
        "ge": _number(entry.get("min")),
        "le": _number(entry.get("max")),
        "step": _number(entry.get("step")),
        "choices": tuple(choices) if plain and choices else None,
        "required": entry.get("required") is True,
    }


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0 else None
