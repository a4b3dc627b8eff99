"""The signature of a workflow of a server, out of the JSON Schema that it tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.graph.parameters import Parameter
from engine.graph.schema import Files, InputSpec
from engine.graph.signature import Output, Signature, media_kind
from engine.paths import INPUT_KINDS

_TYPES: Final = {"integer": "INT", "number": "FLOAT", "string": "STRING", "boolean": "BOOLEAN"}


def signature_from(told: Mapping[str, Any]) -> Signature:
    """The signature in the answer of `GET /api/v1/workflows/{name}`. Where nodes are is the server's business: they are empty."""
    schema = told.get("parameters") or {}
    needed = set(schema.get("required") or ())
    parameters = tuple(_parameter(name, one, name in needed) for name, one in (schema.get("properties") or {}).items())
    outputs = tuple(
        Output(name=str(one["name"]), node="", kind=one.get("kind") or "file", doc=str(one.get("doc") or ""))
        for one in told.get("outputs") or ()
    )
    return Signature(parameters=parameters, outputs=outputs, doc=str(told.get("doc") or ""))


def without_lists_of_files(signature: Signature) -> Signature:
    """The signature with any name for files of models: which ones there are is known to the server that runs it."""

    def open_to_any(one: Parameter) -> Parameter:
        spec = one.spec
        if spec is None or not isinstance(spec.choices, Files) or media_kind(spec) is not None:
            return one
        return msgspec.structs.replace(one, spec=msgspec.structs.replace(spec, choices=None))

    return msgspec.structs.replace(signature, parameters=tuple(map(open_to_any, signature.parameters)))


def _parameter(name: str, schema: Mapping[str, Any], required: bool) -> Parameter:
    spec = _spec(name, schema)
    facts: dict[str, Any] = {
        "label": str(schema.get("title") or ""),
        "doc": str(schema.get("description") or ""),
        "required": required,
    }
    return Parameter(name=name, node="", input=name, type=spec.type, default=schema.get("default"), spec=spec, **facts)


def _spec(name: str, schema: Mapping[str, Any]) -> InputSpec:
    kind = schema.get("x-safelight-media")
    if kind:
        return InputSpec(
            name=name,
            type="COMBO",
            choices=Files("input", kind=kind if kind in INPUT_KINDS else ""),
            options={f"{kind}_upload": True},
        )
    branches = [one for one in schema.get("anyOf") or () if isinstance(one, Mapping)]
    number = next((one for one in branches if one.get("type") == "integer"), None)
    if number is not None:
        return InputSpec(name=name, type="INT", seed=True, ge=number.get("minimum"), le=number.get("maximum"))
    if schema.get("enum"):
        return InputSpec(name=name, type="COMBO", choices=tuple(schema["enum"]))
    named = schema.get("type")
    type = _TYPES.get(named, "*") if isinstance(named, str) else "*"
    return InputSpec(name=name, type=type, ge=schema.get("minimum"), le=schema.get("maximum"))
