"""Workflows to begin with, for the template browsers of editors."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from engine.media.types import UNKNOWN
from engine.paths import PathError, contained
from engine.server.inert import content_type, file_response
from engine.server.refusals import Refusal, json_response
from engine.server.routing import Query, Route

_THUMBNAILS: Final = (".webp", ".png", ".jpg", ".jpeg")
_FIRST_OF_TWO: Final = ("-1", "-2")
"""Editors ask for `NAME-1.png`, and for `NAME-2.png` where one is to be compared with another."""


class Templates:
    """Answers `/templates` from the workflows (`NAME.json`, and `NAME.png` of what it makes) in the folders."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self._folders = folders

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route(
                method="GET",
                path="/templates/index.json",
                handler=self._index,
                summary="The templates by category.",
                tag="templates",
                answer={"type": "array"},
            ),
            Route(
                method="GET",
                path="/templates/{name:[^/]+}",
                handler=self._file,
                summary="A template (NAME.json) or its picture (NAME-1.png).",
                tag="templates",
                query=(Query(name="name", required=True),),
                answer={"type": "object"},
                answer_type="*/*",
                refusals={404: "There is no such template."},
            ),
            *_of_packs(),
        ]

    async def _index(self, request: web.Request) -> web.StreamResponse:
        found = await asyncio.to_thread(self._found)
        category = {"moduleName": "default", "title": "Safelight", "type": "image", "templates": found}
        return json_response([category] if found else [])

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return await asyncio.to_thread(self._read, request.match_info["name"])

    def _found(self) -> list[dict[str, Any]]:
        workflows = {path.stem: path for folder in reversed(self._folders) for path in folder.glob("*.json")}
        return [_entry(path) for _, path in sorted(workflows.items())]

    def _read(self, name: str) -> web.StreamResponse:
        for wanted in dict.fromkeys((name, _without_number(name))):
            for folder in self._folders:
                try:
                    path = contained(folder, wanted)
                    kind = content_type(path) if path.is_file() else UNKNOWN
                except (PathError, ValueError, OSError):
                    continue
                if kind != UNKNOWN:
                    return file_response(path, kind)
        raise Refusal(404, "not_found", f"There is no template {name[:200]!r}.")


def template_routes(*folders: Path) -> list[Route]:
    """The routes of `Templates` for the workflows in `folders`, the first of which win."""
    return Templates(folders).routes()


def _of_packs() -> list[Route]:
    """What node packs may bring; none does yet."""

    async def nothing(request: web.Request) -> web.StreamResponse:
        return json_response({})

    rows = (
        ("/global_subgraphs", "Subgraphs that packs offer, by id."),
        ("/node_replacements", "Nodes that take the place of others, by name."),
    )
    return [
        Route(method="GET", path=path, handler=nothing, summary=summary, tag="templates", answer={"type": "object"})
        for path, summary in rows
    ]


def _entry(path: Path) -> dict[str, Any]:
    title = path.stem.replace("_", " ").capitalize()
    picture = next((suffix for suffix in _THUMBNAILS if path.with_suffix(suffix).is_file()), ".png")
    return {
        "name": path.stem,
        "title": title,
        "mediaType": "image",
        "mediaSubtype": picture[1:],
        "description": f"{title}: a workflow that comes with Safelight.",
    }


def _without_number(name: str) -> str:
    path = Path(name)
    if path.suffix in _THUMBNAILS and path.stem.endswith(_FIRST_OF_TWO):
        return path.stem[:-2] + path.suffix
    return name
