"""Example workflows that packs bring: in the folders that the field's convention names, beside the pack's code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from aiohttp import web

from engine.media.types import UNKNOWN
from engine.paths import PathError, contained
from engine.server.inert import content_type, file_response
from engine.server.refusals import Refusal, json_response
from engine.server.routing import Query, Route

PackFolders: TypeAlias = Callable[[], Awaitable[Mapping[str, Path]]]
"""Pack → folder of its code."""

_NAMES: Final = ("example_workflows", "example", "examples", "workflow", "workflows")


def pack_template_routes(folders: PackFolders) -> list[Route]:
    """The routes of `PackTemplates`."""
    return PackTemplates(folders).routes()


class PackTemplates:
    """Answers `/workflow_templates`."""

    def __init__(self, folders: PackFolders) -> None:
        self._folders = folders

    def routes(self) -> list[Route]:
        """The list, and the files (`NAME.json`, `NAME.jpg` of what it makes)."""
        return [
            Route(
                method="GET",
                path="/workflow_templates",
                handler=self._list,
                summary="Example workflows of node packs: pack → names.",
                tag="templates",
                answer={"type": "object"},
            ),
            Route(
                method="GET",
                path="/workflow_templates/{pack:[^/]+}/{name:[^/]+}",
                handler=self._file,
                summary="An example workflow of a pack (NAME.json), or its picture.",
                tag="templates",
                query=(Query(name="pack", required=True), Query(name="name", required=True)),
                answer={"type": "object"},
                answer_type="*/*",
                refusals={404: "There is no such workflow."},
            ),
        ]

    async def _list(self, request: web.Request) -> web.StreamResponse:
        return json_response(await asyncio.to_thread(_listed, await self._folders()))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        pack, name = request.match_info["pack"], request.match_info["name"]
        folder = (await self._folders()).get(pack)
        found = await asyncio.to_thread(_found, folder, name) if folder is not None else None
        if found is None:
            raise Refusal(404, "not_found", f"The node pack {pack[:200]!r} has no workflow {name[:200]!r}.")
        return found


def _listed(folders: Mapping[str, Path]) -> dict[str, list[str]]:
    named = {
        pack: sorted({path.stem for place in _places(folder) for path in place.glob("*.json")})
        for pack, folder in folders.items()
    }
    return {pack: names for pack, names in sorted(named.items()) if names}


def _found(folder: Path, name: str) -> web.StreamResponse | None:
    for place in _places(folder):
        try:
            path = contained(place, name)
            kind = content_type(path) if path.is_file() else UNKNOWN
        except (PathError, ValueError, OSError):
            continue
        if kind != UNKNOWN:
            return file_response(path, kind)
    return None


def _places(folder: Path) -> Iterator[Path]:
    return (folder / name for name in _NAMES)
