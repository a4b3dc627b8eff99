"""The OpenAPI description of the server, made from the same `Route`s that are registered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from aiohttp import web

from engine.server.openapi_page import page_of
from engine.server.refusals import json_response
from engine.server.routing import Query, Route
from engine.server.workflows.forms import forms_of
from engine.server.workflows.operations import Operations, with_operations

_REF = "#/components/schemas/{name}"
_PART = re.compile(r"\{(\w+)(?::[^{}]*(?:\{[^{}]*\}[^{}]*)*)?\}")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_TAG = "description"
_ANYWHERE = {
    400: "What was sent is not sound; the message says where and why.",
    401: "The server asks for its token.",
    403: "The Host or the page that this comes from is not this server's, or the token lacks the scope.",
}
_ABOUT = (
    "Every path also exists under `/api`, unless it begins with `/api`, `/internal` or `/ws` or is a file. "
    "Bodies are taken whatever their Content-Type says. Refusals have the form of `Problem`, unless they say another."
)

_PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "required": ["error", "node_errors"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message", "details", "extra_info"],
            "properties": {
                "type": {"type": "string", "description": "A word in snake_case, for programs."},
                "message": {"type": "string", "description": "For people: what was expected, what came, what to do."},
                "details": {"type": "string"},
                "extra_info": {"type": "object"},
            },
        },
        "node_errors": {"type": "object", "description": "Node id → what is wrong with its inputs."},
    },
}


_DOCUMENT: dict[str, Any] = {
    "title": "ProblemDocument",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id", "error"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people: what was expected, what came, what to do."},
        "code": {"type": "string", "description": "A word in snake_case, for programs."},
        "request_id": {"type": "string"},
        "error": {
            "type": "object",
            "required": ["code", "message", "details"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "details": {"type": ["object", "null"]},
            },
        },
    },
}

_PROBLEMS = {"plain": "application/json", "document": "application/problem+json"}
_FORMS = {"plain": "Problem", "document": "ProblemDocument"}


def openapi_routes(routes: Iterable[Route], operations: Operations | None = None) -> list[Route]:
    """Routes that describe `routes` and themselves: `/openapi.json` for programs, `/api/v1/docs` for people.

    `operations` are those of the saved workflows, which change while a server runs.
    """
    described = list(routes)

    @lru_cache(1)
    def description() -> dict[str, Any]:
        return describe(described)

    async def as_json(request: web.Request) -> web.Response:
        own = await operations.all() if operations is not None else []
        return json_response(with_operations(description(), own) if own else description())

    async def as_page(request: web.Request) -> web.Response:
        own = await operations.all() if operations is not None else []
        return web.Response(text=page_of(description(), forms_of(own)), content_type="text/html", charset="utf-8")

    own = [
        _own("/openapi.json", as_json, "This description, for programs", "application/json", {"type": "object"}),
        _own("/api/v1/docs", as_page, "This description, for people", "text/html", None),
    ]
    described += own
    return own


def _own(path: str, handler: Callable[[web.Request], Any], summary: str, answer_type: str, answer: Any) -> Route:
    return Route(
        method="GET",
        path=path,
        handler=handler,
        summary=summary,
        tag=_TAG,
        answer=answer,
        answer_type=answer_type,
        api_only=path.startswith("/api"),
    )


def describe(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 description of `routes`."""
    schemas, components = _schemas(routes)
    documents = {"ProblemDocument": _DOCUMENT} if any(route.problems == "document" for route in routes) else {}
    paths: dict[str, dict[str, Any]] = {}
    for route in sorted(routes, key=lambda route: (route.path, _METHODS.index(route.method))):
        operation = _operation(route, schemas)
        paths.setdefault(_PART.sub(r"{\1}", route.path), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Safelight", "version": _version(), "description": _ABOUT},
        "tags": [{"name": tag} for tag in sorted({route.tag for route in routes})],
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _PROBLEM, **documents},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _version() -> str:
    try:
        return version("safelight")
    except PackageNotFoundError:  # run from a source tree
        return "0"


def _schemas(routes: Sequence[Route]) -> tuple[dict[int, Any], dict[str, Any]]:
    """The JSON Schema of each type that routes name, by the type's id, and the components that those refer to."""
    types = [type_ for route in routes for type_ in (route.body, route.answer) if not _is_schema(type_)]
    found, components = msgspec.json.schema_components(types, ref_template=_REF)
    return {id(type_): schema for type_, schema in zip(types, found, strict=True)}, components


def _is_schema(type_: Any) -> bool:
    return type_ is None or isinstance(type_, Mapping)


def _operation(route: Route, schemas: Mapping[int, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "responses": _responses(route, schemas),
    }
    if route.scope is not None:
        operation["security"] = [{}, {"token": [route.scope]}]
    if parameters := _parameters(route):
        operation["parameters"] = parameters
    if route.body is not None or route.body_type != "json":
        operation["requestBody"] = {"required": True, "content": {_body_media(route): _body_schema(route, schemas)}}
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"\w+", _PART.sub(r"\1", route.path)) or ["root"]
    return "_".join([route.method.lower(), *words])


def _parameters(route: Route) -> list[dict[str, Any]]:
    told = {query.name: query for query in route.query}
    parts = _PART.findall(route.path)
    in_path = [{**_parameter(told.get(part) or Query(name=part)), "in": "path", "required": True} for part in parts]
    in_query = [{**_parameter(query), "in": "query"} for query in route.query if query.name not in parts]
    return in_path + in_query


def _parameter(query: Query) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": query.name, "required": query.required, "schema": dict(query.schema)}
    if query.doc:
        parameter["description"] = query.doc
    return parameter


_MEDIA = {"json": "application/json", "multipart": "multipart/form-data", "raw": "application/octet-stream"}


def _body_media(route: Route) -> str:
    return _MEDIA[route.body_type]


def _body_schema(route: Route, schemas: Mapping[int, Any]) -> dict[str, Any]:
    if route.body is None:
        raw = {"type": "string", "format": "binary"}
        return {"schema": raw if route.body_type == "raw" else {"type": "object"}}
    return {"schema": _schema(route.body, schemas)}


def _schema(type_: Any, schemas: Mapping[int, Any]) -> Any:
    return dict(type_) if isinstance(type_, Mapping) else schemas[id(type_)]


def _responses(route: Route, schemas: Mapping[int, Any]) -> dict[str, Any]:
    fine: dict[str, Any] = {"description": "Done." if route.answer is None else "The answer."}
    if route.answer is not None:
        fine["content"] = {route.answer_type: {"schema": _schema(route.answer, schemas)}}
    elif route.answer_type != "application/json":
        fine["content"] = {route.answer_type: {}}
    told = {} if route.method == "HEAD" else {"content": _problem_content(route)}
    refusals = sorted({**_ANYWHERE, **route.refusals}.items())
    return {str(route.status): fine, **{str(status): {"description": doc, **told} for status, doc in refusals}}


def _problem_content(route: Route) -> dict[str, Any]:
    """The form of a route's refusals."""
    form = route.problems
    if isinstance(form, Mapping):
        return {"application/json": {"schema": dict(form)}}
    return {_PROBLEMS[form]: {"schema": {"$ref": _REF.format(name=_FORMS[form])}}}
