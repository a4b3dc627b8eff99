"""What an editor stores as files of its user: workflows, templates, style sheets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from engine.paths import Paths
from engine.server.bodies import LIMITS, body_chunks
from engine.server.inert import file_response
from engine.server.limits import Limits
from engine.server.refusals import Refusal, json_response
from engine.server.routes.userdata_files import Entry, FileFacts, UserFiles, taken
from engine.server.routing import Query, Route
from engine.server.saving import incoming

USER: Final = "default"
"""The one user there is; what clients say of others is not heard."""

_PATHS: Final = ("/userdata/{file:[^/]+}", "/userdata/{file:.+/.+}")
"""A name is one part of the path, but some proxies decode `%2F` on the way. (aiohttp's own pattern leaves out braces.)"""

_MOVE: Final = "/move/"

_STYLE: Final = "user.css"
_FLAG: Final = {"type": "string", "enum": ["true", "false"]}
_FILE: Final = Query(name="file", required=True, doc="A relative path as one segment: `workflows%2Fa.json`.")
_OVERWRITE: Final = Query(
    name="overwrite", doc="`false`: refuse to replace a file.", schema={**_FLAG, "default": "true"}
)
_FULL: Final = Query(name="full_info", doc="`true`: with size and times.", schema=_FLAG)
_MISSING: Final = {404: "There is no such file."}
_TAKEN: Final = {409: "The name is taken."}
_TOLD: Final = {"anyOf": [{"type": "string"}, {"type": "object"}]}
_WRITING: Final = {**_TAKEN, 413: "The file is larger than is taken here.", 507: "The disk is full; nothing was saved."}


class UserData:
    """Answers `/userdata` and `/v2/userdata`."""

    def __init__(self, paths: Paths, *, max_bytes: int | None = None) -> None:
        self._files = UserFiles(paths.user / USER)
        self._max_bytes = max_bytes

    def routes(self) -> list[Route]:
        """The routes."""
        return [*self._listings(), *self._single(_PATHS[0]), self._moving(), *self._single(_PATHS[1])]

    def _listings(self) -> list[Route]:
        queries = (
            Query(name="dir", required=True, doc="A folder, like `workflows`."),
            Query(name="recurse", doc="`true`: with what is in its folders.", schema=_FLAG),
            Query(name="split", doc="`true`: each path with its parts.", schema=_FLAG),
            _FULL,
        )
        return [
            Route(
                method="GET",
                path="/userdata",
                handler=self._list,
                summary="The files in a folder of the user's.",
                tag="userdata",
                query=queries,
                answer={"type": "array"},
                refusals={404: "There is no such folder."},
            ),
            Route(
                method="GET",
                path="/v2/userdata",
                handler=self._list_entries,
                summary="The files and folders in a folder of the user's, and in those below.",
                tag="userdata",
                query=(Query(name="path", doc="A folder; none: the user's own."),),
                answer=list[Entry],
                refusals={404: "There is no such folder."},
            ),
        ]

    def _single(self, path: str) -> list[Route]:
        return [
            Route(
                method="GET",
                path=path,
                handler=self._get,
                summary="A file of the user's.",
                tag="userdata",
                query=(_FILE,),
                answer={"type": "string", "format": "binary"},
                answer_type="*/*",
                refusals=_MISSING,
            ),
            Route(
                method="POST",
                path=path,
                handler=self._put,
                summary="Write a file of the user's, whole or not at all.",
                tag="userdata",
                query=(_FILE, _OVERWRITE, _FULL),
                body={"type": "string", "format": "binary"},
                body_type="raw",
                answer=_TOLD,
                refusals=_WRITING,
            ),
            Route(
                method="DELETE",
                path=path,
                handler=self._delete,
                summary="Delete a file of the user's.",
                tag="userdata",
                query=(_FILE,),
                status=204,
                refusals=_MISSING,
            ),
        ]

    def _moving(self) -> Route:
        return Route(
            method="POST",
            path=_PATHS[0] + _MOVE + "{dest:[^/]+}",
            handler=self._put,
            summary="Rename a file of the user's.",
            tag="userdata",
            query=(_FILE, Query(name="dest", required=True, doc="The new name, as one segment."), _OVERWRITE, _FULL),
            answer=_TOLD,
            refusals={**_MISSING, **_TAKEN},
        )

    async def _list(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        if not query.get("dir"):
            raise Refusal(400, "missing_dir", "Expected ?dir=…, the name of a folder.")
        flags = {"recurse": _said(query, "recurse"), "split": _said(query, "split"), "full": _said(query, "full_info")}
        return json_response(await asyncio.to_thread(self._files.list_files, query["dir"], **flags))

    async def _list_entries(self, request: web.Request) -> web.StreamResponse:
        return json_response(await asyncio.to_thread(self._files.list_entries, request.query.get("path", "")))

    async def _get(self, request: web.Request) -> web.StreamResponse:
        return await asyncio.to_thread(self._read, request.match_info["file"])

    def _read(self, name: str) -> web.StreamResponse:
        path = self._files.existing(name)
        try:
            return file_response(path, "text/css" if name == _STYLE else None)
        except OSError:
            raise Refusal(404, "not_found", f"The file {name[:200]!r} cannot be read.") from None

    async def _put(self, request: web.Request) -> web.StreamResponse:
        """Write, or rename: a proxy that decodes `%2F` makes both a path of many parts."""
        whole = _MOVE.join(request.match_info.values())
        moves = [(whole[:at], whole[at + len(_MOVE) :]) for at in _places(_MOVE, whole)]
        names = await asyncio.to_thread(self._files.first_there, moves)
        if not moves or (names is None and request.body_exists):  # renaming has no body
            return await self._write(request, whole)
        path = await asyncio.to_thread(self._files.move, *(names or moves[0]), overwrite=_overwrites(request))
        return await self._told(request, path)

    async def _write(self, request: web.Request, name: str) -> web.StreamResponse:
        overwrite = _overwrites(request)
        target = await asyncio.to_thread(self._files.path, name)
        if not overwrite and await asyncio.to_thread(target.exists):
            raise taken(target.name)
        limit = (request.app.get(LIMITS) or Limits()).max_upload_size if self._max_bytes is None else self._max_bytes
        async with incoming(self._files.root) as part:
            async for chunk in body_chunks(request, limit):
                await part.write(chunk)
            await part.close()
            await asyncio.to_thread(self._files.place, part.path, target, overwrite=overwrite)
        return await self._told(request, target)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        await asyncio.to_thread(self._files.delete, request.match_info["file"])
        return web.Response(status=204)

    async def _told(self, request: web.Request, path: Path) -> web.StreamResponse:
        facts: FileFacts = await asyncio.to_thread(self._files.facts, path)
        return json_response(facts if _said(request.query, "full_info") else facts.path)


def userdata_routes(paths: Paths, *, max_bytes: int | None = None) -> list[Route]:
    """The routes of `UserData`. `max_bytes` replaces the application's `Limits.max_upload_size`."""
    return UserData(paths, max_bytes=max_bytes).routes()


def _said(query: Any, name: str) -> bool:
    return str(query.get(name, "")).lower() in ("true", "1")


def _overwrites(request: web.Request) -> bool:
    return request.query.get("overwrite", "true") != "false"


def _places(part: str, text: str) -> list[int]:
    """Where `part` begins in `text`, overlapping ones included."""
    return [at for at in range(len(text)) if text.startswith(part, at)]
