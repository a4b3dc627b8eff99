"""Routes as data: registered under `/` and `/api`, and described for the OpenAPI page from the same declaration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec
from aiohttp import web

from engine.server.principals import Scope

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
Scopes: TypeAlias = dict[web.AbstractRoute, Scope]
ROUTE_SCOPES: web.AppKey[Scopes] = web.AppKey("route_scopes", dict)
"""What the routes of an application need that say so themselves; of the others the method says it."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter of the query string (or of the path); `schema` is JSON Schema."""

    name: str
    doc: str = ""
    required: bool = False
    schema: Mapping[str, Any] = msgspec.field(default_factory=lambda: {"type": "string"})


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One route. `path` has aiohttp's `{name}` for parts; `body` and `answer` are types that msgspec knows, or JSON Schema.

    The handler raises `Refusal` for what it does not accept. `refusals` maps further statuses to when they are given.
    """

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    summary: str
    tag: str
    query: tuple[Query, ...] = ()
    body: Any = None
    body_type: Literal["json", "multipart", "raw"] = "json"
    answer: Any = None
    answer_type: str = "application/json"
    status: int = 200
    refusals: Mapping[int, str] = {}
    api_only: bool = False
    """Only as written: for paths that begin with `/api/v1`, `/internal`, `/ws`, and files."""
    problems: Literal["plain", "document"] | Mapping[str, Any] = "plain"
    """The form of its refusals: `Problem`, that of RFC 9457 (`ProblemDocument`), or the JSON Schema of one of their own."""
    scope: Scope | None = None
    """What a token needs for it. None: what the method says, `read` for GET and `run` for others."""


def register(app: web.Application, routes: Iterable[Route]) -> None:
    """Add every route to the application, under its path and under `/api` before it."""
    scopes = app.get(ROUTE_SCOPES, {})
    for route in routes:
        for prefix in ("",) if route.api_only else ("", "/api"):
            added = app.router.add_route(route.method, prefix + route.path, route.handler)
            if route.scope is not None:
                scopes[added] = route.scope
