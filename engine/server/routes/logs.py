"""The log, the folders and the newest files, for the panels of editors."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
from aiohttp import web

from engine.paths import Paths
from engine.server.bodies import read_json
from engine.server.log_ring import LogEntry, LogRing
from engine.server.principals import Scope, principal_of
from engine.server.refusals import Refusal, json_response
from engine.server.routing import Query, Route

Subscribe: TypeAlias = Callable[[str, bool, str | None], None]
"""Begin (or end) to send new entries to the client of that id."""

_KINDS: Final = ("output", "input", "temp")
_SIZE: Final = {"cols": 120, "rows": 50}


class Subscription(msgspec.Struct, rename={"client_id": "clientId"}):
    """Who wants to be sent the log, or no longer."""

    enabled: bool
    client_id: str


class Log(msgspec.Struct):
    """The entries of the log, and the size of the terminal that would show them."""

    entries: list[LogEntry]
    size: dict[str, int]


class Internals:
    """Answers `/internal` and `/logs`."""

    def __init__(self, ring: LogRing, subscribe: Subscribe, paths: Paths) -> None:
        self._ring = ring
        self._subscribe = subscribe
        self._paths = paths

    def routes(self) -> list[Route]:
        """The routes."""
        kind = Query(name="kind", required=True, schema={"type": "string", "enum": list(_KINDS)})
        folders = dict[str, list[str]]
        rows: tuple[tuple[str, Any, str, Any, tuple[Query, ...], Scope], ...] = (
            ("/logs", self._text, "The log as one text.", str, (), "admin"),
            ("/internal/logs", self._text, "The log as one text.", str, (), "admin"),
            ("/internal/logs/raw", self._raw, "The entries of the log.", Log, (), "admin"),
            ("/internal/folder_paths", self._folders, "Where files are looked for, by kind.", folders, (), "read"),
            (
                "/internal/files/{kind:[^/]+}",
                self._files,
                "The names of files, newest first.",
                list[str],
                (kind,),
                "read",
            ),
        )
        return [
            *(
                Route(
                    method="GET",
                    path=path,
                    handler=handler,
                    summary=summary,
                    tag="logs",
                    query=query,
                    answer=answer,
                    api_only=path.startswith("/internal"),
                    scope=scope,
                )
                for path, handler, summary, answer, query, scope in rows
            ),
            Route(
                method="PATCH",
                path="/internal/logs/subscribe",
                handler=self._change,
                summary="Send new entries of the log to a websocket client, or stop it.",
                tag="logs",
                body=Subscription,
                api_only=True,
                scope="admin",
            ),
        ]

    async def _text(self, request: web.Request) -> web.StreamResponse:
        return json_response(self._ring.text())

    async def _raw(self, request: web.Request) -> web.StreamResponse:
        return json_response(Log(self._ring.entries(), _SIZE))

    async def _change(self, request: web.Request) -> web.StreamResponse:
        wanted: Subscription = await read_json(request, Subscription)
        self._subscribe(wanted.client_id, wanted.enabled, principal_of(request).owner)
        return web.Response()

    async def _folders(self, request: web.Request) -> web.StreamResponse:
        found = {name: [str(path) for path in self._paths.folders(name)] for name in self._paths.model_folders()}
        found["custom_nodes"] = [str(path) for path in self._paths.custom_node_folders]
        return json_response(found)

    async def _files(self, request: web.Request) -> web.StreamResponse:
        kind = request.match_info["kind"]
        if kind not in _KINDS:
            raise Refusal(404, "unknown_folder", f"Expected output, input or temp; got {kind[:40]!r}.")
        return json_response(await asyncio.to_thread(_newest_first, str(getattr(self._paths, kind))))


def log_routes(ring: LogRing, subscribe: Subscribe, paths: Paths) -> list[Route]:
    """The routes of `Internals`."""
    return Internals(ring, subscribe, paths).routes()


def _newest_first(folder: str) -> list[str]:
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file() and not entry.name.startswith("."):
                    found.append((-entry.stat().st_mtime_ns, entry.name))
    except OSError:  # not there yet, or a file was deleted while it was listed
        pass
    return [name for _, name in sorted(found)]
