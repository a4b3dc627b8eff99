"""One typed operation for each saved workflow, for the OpenAPI description: `run_text_to_image`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.graph.schema import Files
from engine.graph.signature import Kind, Signature
from engine.graph.signature_schema import arguments_schema
from engine.graph.values import ChoicesOf
from engine.server.workflows.library import SavedWorkflow
from engine.server.workflows.runner import RunService
from engine.server.workflows.told import operations_of, workflow_url

MOST: Final = 1_000
"""Workflows that have an operation of their own."""

TAG: Final = "run"
MEDIA: Final = "x-safelight-media"

_TYPES: Final[Mapping[Kind, str]] = {
    "image": "image/*",
    "mask": "image/*",
    "video": "video/*",
    "audio": "audio/*",
    "mesh": "model/*",
}
_BINARY: Final = {"type": "string", "format": "binary"}


class Operations:
    """The operations of a server's workflows, made anew when workflows, or files that they may name, have changed."""

    def __init__(self, runs: RunService) -> None:
        self._runs = runs
        self._known: tuple[list[SavedWorkflow], dict[tuple[str, str], Sequence[str]], list[dict[str, Any]]] | None = (
            None
        )

    async def all(self) -> list[dict[str, Any]]:
        """`{name, path, operation, signature, arguments, schema, result}` of each workflow, by name."""
        entries = [one for one in await self._runs.library.all() if isinstance(one, SavedWorkflow)][:MOST]
        known = self._known
        if known is not None and known[0] == entries and self._unchanged(known[1]):
            return known[2]
        used: dict[tuple[str, str], Sequence[str]] = {}

        def choices(files: Files) -> Sequence[str]:
            names = used[files.folder, files.kind] = self._runs.names(files.folder, files.kind)
            return names

        made = await asyncio.to_thread(_described, entries, choices)
        self._known = (entries, used, made)
        return made

    def _unchanged(self, used: Mapping[tuple[str, str], Sequence[str]]) -> bool:
        return all(self._runs.names(*folder) is names for folder, names in used.items())


def with_operations(description: Mapping[str, Any], operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A description with the operations of workflows beside its own, made like that of the route which runs any of them."""
    like = description["paths"]["/api/v1/workflows/{name}/run"]["post"]
    paths, schemas = dict(description["paths"]), dict(description["components"]["schemas"])
    call = like["responses"]["200"]["content"]["application/json"]["schema"]
    output = call["properties"]["outputs"]["additionalProperties"]
    outputs = {**call["properties"]["outputs"], "additionalProperties": {"$ref": "#/components/schemas/CallOutput"}}
    call = {**call, "properties": {**call["properties"], "outputs": outputs}}
    schemas |= {"Call": call, "CallOutput": {"title": "CallOutput", **output}}
    for one in operations:
        paths[one["path"]] = {"post": _merged(like, one["operation"])}
        schemas[one["arguments"]] = one["schema"]
        schemas[one["result"]] = _result(one["signature"], call, one["result"])
    tags = [*description["tags"], {"name": TAG, "description": "The saved workflows, each as an operation of its own."}]
    return {
        **description,
        "paths": paths,
        "tags": tags,
        "components": {**description["components"], "schemas": schemas},
    }


def _merged(like: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What all runs have in common, and what one has of its own."""
    parameters = [one for one in like["parameters"] if one["in"] != "path"]
    return {**like, **own, "parameters": parameters, "responses": {**like["responses"], **own["responses"]}}


def _described(entries: Sequence[SavedWorkflow], choices: ChoicesOf) -> list[dict[str, Any]]:
    names = operations_of([one.name for one in entries])
    return [_one(entry, names[entry.name], choices) for entry in entries]


def _one(entry: SavedWorkflow, id: str, choices: ChoicesOf) -> dict[str, Any]:
    arguments, result = f"{id}_arguments", f"{id}_result"
    schema = arguments_schema(entry.signature, choices)
    bodies = {"application/json": {"schema": {"$ref": f"#/components/schemas/{arguments}"}}}
    if any(MEDIA in one for one in schema["properties"].values()):
        bodies["multipart/form-data"] = {"schema": form_schema(schema)}
    doc = entry.signature.doc.strip()
    return {
        "name": entry.name,
        "path": f"{workflow_url(entry.name)}/run",
        "signature": entry.signature,
        "arguments": arguments,
        "schema": {"title": arguments, **schema},
        "result": result,
        "operation": {
            "operationId": id,
            "summary": f"Run the workflow {entry.name}.",
            **({"description": doc} if doc else {}),
            "tags": [TAG],
            "requestBody": {"required": bool(schema.get("required")), "content": bodies},
            "responses": _responses(entry.signature, result),
        },
    }


def form_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same arguments as fields of a form, whose files are files."""
    properties = {name: _field(one) for name, one in schema["properties"].items()}
    return {**schema, "properties": properties}


def _field(schema: Mapping[str, Any]) -> dict[str, Any]:
    if MEDIA not in schema:
        return dict(schema)
    return {**{key: value for key, value in schema.items() if key in ("title", "description")}, **_BINARY}


def _responses(signature: Signature, result: str) -> dict[str, Any]:
    kinds = dict.fromkeys(_TYPES[one.kind] for one in signature.outputs if one.kind in _TYPES)
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": f"#/components/schemas/{result}"}}}
    content |= {kind: {"schema": _BINARY} for kind in kinds}
    content["text/event-stream"] = {"schema": {"type": "string"}}
    later = {"application/json": {"schema": {"$ref": "#/components/schemas/Call"}}}
    return {
        "200": {"description": "The result.", "content": content},
        "202": {"description": "It goes on; Location says where to ask.", "content": later},
    }


def _result(signature: Signature, like: Mapping[str, Any], title: str) -> dict[str, Any]:
    """A call whose outputs have names."""
    outputs = {one.name: {"$ref": "#/components/schemas/CallOutput"} for one in signature.outputs}
    named = {**like["properties"]["outputs"], "properties": outputs}
    return {**like, "title": title, "properties": {**like["properties"], "outputs": named}}
