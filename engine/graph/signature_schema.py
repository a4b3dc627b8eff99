"""The JSON Schema of what a workflow takes: for OpenAPI, for tools of language models, and for forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from engine.graph.arguments import needed
from engine.graph.parameters import Parameter
from engine.graph.schema import Files, InputSpec
from engine.graph.signature import Signature, media_kind
from engine.graph.values import ChoicesOf

_TYPES: Final = {"INT": "integer", "FLOAT": "number", "STRING": "string", "BOOLEAN": "boolean"}
_MOST_CHOICES: Final = 500
"""Of longer lists of files the schema says the folder, and not each name."""

_SAFE: Final = 2**63 - 1
"""Larger bounds of seeds are told in words: generators of clients make 64-bit numbers of integers."""


def arguments_schema(signature: Signature, choices: ChoicesOf) -> dict[str, Any]:
    """JSON Schema (2020-12) of the object of a workflow's parameters. `choices` gives the files that inputs may name now."""
    properties = {one.name: parameter_schema(one, choices) for one in signature.parameters}
    required = [one.name for one in signature.parameters if needed(one, choices)]
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": required} if required else {})


def parameter_schema(parameter: Parameter, choices: ChoicesOf) -> dict[str, Any]:
    """JSON Schema of one parameter: type, bounds, choices, default, what it means."""
    spec = parameter.spec
    schema: dict[str, Any] = {}
    if parameter.label:
        schema["title"] = parameter.label
    if doc := " ".join((parameter.doc or (spec.tip if spec is not None else "")).split()):
        schema["description"] = doc
    if spec is not None:
        schema |= _values(spec, choices)
    if (
        not needed(parameter, choices)
        and not isinstance(parameter.default, list | dict)
        and parameter.default is not None
    ):
        schema["default"] = parameter.default
    return schema


def _values(spec: InputSpec, choices: ChoicesOf) -> dict[str, Any]:
    kind = media_kind(spec)
    if kind is not None:
        return {
            "type": "string",
            "format": "uri-reference",
            "x-safelight-media": kind,
        }
    if spec.choices is not None:
        return _choices(spec, list(choices(spec.choices)) if isinstance(spec.choices, Files) else spec.choices)
    schema: dict[str, Any] = {"type": _TYPES[spec.type]} if spec.type in _TYPES else {}
    if spec.seed:
        return {"anyOf": [{"type": "integer", **_bounds(spec)}, {"const": "random"}]}
    return schema | (_bounds(spec) if spec.type in ("INT", "FLOAT") else {})


def _choices(spec: InputSpec, listed: Sequence[Any]) -> dict[str, Any]:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    types = sorted({kinds[type(one)] for one in listed}) or ["string"]
    schema: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
    return schema | ({"enum": list(listed)} if listed and len(listed) <= _MOST_CHOICES else {})


def _bounds(spec: InputSpec) -> dict[str, Any]:
    bounds = {"minimum": spec.ge, "maximum": spec.le}
    return {name: bound for name, bound in bounds.items() if bound is not None and abs(bound) <= _SAFE}
