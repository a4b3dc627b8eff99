"""Node packs: what was loaded, their files for the editor, and loading them anew."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from engine.paths import contained
from engine.server.packs import EDITOR_MODULE, SCRIPTS, Packs
from engine.server.refusals import Refusal, json_response
from engine.server.routing import Query, Route

_TYPES: Final = {".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8"}


class PackRoutes:
    """`reload` has the packs read anew; it raises Refusal when that cannot be done now."""

    def __init__(self, packs: Packs, reload: Callable[[bool], Any]) -> None:
        self._packs = packs
        self._reload = reload

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route(
                method="GET",
                path="/api/v1/packs",
                handler=self._get,
                summary="The node packs: which nodes each has, how long it took to load, and what is wrong with it.",
                tag="nodes",
                query=(Query(name="wait", doc="`false`: what is known now, though packs are still being imported."),),
                answer={"type": "object"},
                api_only=True,
            ),
            Route(
                method="POST",
                path="/api/v1/packs/reload",
                handler=self._post_reload,
                summary="Read the node packs anew, by starting the workers again.",
                tag="nodes",
                query=(Query(name="force", doc="`true`: even though jobs run; they are run again."),),
                answer={"type": "object"},
                refusals={409: "Jobs run."},
                api_only=True,
                scope="admin",
            ),
            Route(
                method="GET",
                path=SCRIPTS,
                handler=self._scripts,
                summary="Paths of the scripts that the editor imports.",
                tag="nodes",
                answer=list[str],
            ),
            Route(
                method="GET",
                path=f"{SCRIPTS}/{{pack}}/{{file:.*}}",
                handler=self._file,
                summary="A file that a node pack brings for the editor.",
                tag="nodes",
                query=(Query(name="pack", required=True), Query(name="file", required=True)),
                answer={"type": "string", "format": "binary"},
                answer_type="*/*",
                refusals={404: "There is no such file."},
            ),
        ]

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if _is_no(request.query.get("wait", "")):
            await self._packs.known()
        else:
            await self._packs.opened()
        return json_response({"packs": self._packs.report()})

    async def _post_reload(self, request: web.Request) -> web.StreamResponse:
        await self._reload(request.query.get("force", "").lower() in ("1", "true", "yes"))
        return json_response({"packs": self._packs.report()})

    async def _scripts(self, request: web.Request) -> web.StreamResponse:
        await self._packs.opened()
        return json_response(await asyncio.to_thread(_scripts, dict(self._packs.web_folders())))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        pack, name = request.match_info["pack"], request.match_info["file"]
        folder = self._packs.web_folders().get(pack)
        path = await asyncio.to_thread(_found, folder, name) if folder is not None else None
        if path is None:
            raise Refusal(404, "not_found", f"There is no file {name[:200]!r} of a node pack {pack[:200]!r}.")
        kind = _TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        headers = {"Content-Type": kind, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return web.FileResponse(path, headers=headers)


def _is_no(word: str) -> bool:
    return word.lower() in ("0", "false", "no")


def _scripts(folders: dict[str, Path]) -> list[str]:
    """What the front ends of the field import. Modules of our editor are none of it: those would not know what to do."""
    found = []
    for pack, folder in sorted(folders.items()):
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.js") if path.is_file())
        found += [f"{SCRIPTS}/{pack}/{name}" for name in names if name != EDITOR_MODULE]
    return found


def _found(folder: Path, name: str) -> Path | None:
    try:
        path = contained(folder, name)
        return path if path.is_file() else None
    except (ValueError, OSError):
        return None
