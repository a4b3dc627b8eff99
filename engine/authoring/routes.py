"""Routes of a pack: the `@route` decorator keeps what to answer on the function, and the worker answers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

Handler = TypeVar("Handler", bound=Callable[[Any], Any])

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

ROUTES: Final = "__safelight_routes__"
"""Attribute under which a decorated function keeps its routes."""

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PATH: Final = re.compile(r"/[^/\s]+(/[^\s]*)?")


class Route(NamedTuple):
    """Requests of `method` for `path` are answered by `handler(request)`."""

    method: Method
    path: str
    handler: Callable[[Any], Any]


def route(method: Method, path: str) -> Callable[[Handler], Handler]:
    """Let the decorated function answer requests of `method` for `path`, and for `/api` + `path`.

    It takes the request (`aiohttp.web.Request`) and gives a response or any JSON value; a plain function runs on a thread.
    `{name}` in the path is any part of it: `request.match_info["name"]`. Begin the path with the name of the pack: of two
    equal paths the first stays. Raises ValueError for another method, and for a path that does not begin with `/name`.
    """
    if method not in _METHODS:
        raise ValueError(f"@route: {method!r} is no method of a route. Write one of {', '.join(_METHODS)}.")
    if not isinstance(path, str) or not _PATH.fullmatch(path) or path.startswith("/api/"):
        raise ValueError(f"@route: {path!r} is no path of a pack. Write '/name_of_the_pack/…', without /api before it.")

    def declare(handler: Handler) -> Handler:
        known: tuple[Route, ...] = getattr(handler, ROUTES, ())
        setattr(handler, ROUTES, (*known, Route(method, path, handler)))
        return handler

    return declare


def routes_of(target: Any) -> tuple[Route, ...]:
    """The routes of a decorated function; none for anything else."""
    return getattr(target, ROUTES, ()) if inspect.isfunction(target) else ()
