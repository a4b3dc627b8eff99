"""Showing files of the output, temp and input folders, and what model files say of themselves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from aiohttp import web

from engine.paths import Paths, bare_name
from engine.server.inert import content_type, file_response, headers
from engine.server.refusals import Refusal, json_response
from engine.server.routes.model_headers import read_metadata
from engine.server.routes.view_renditions import CHANNELS, Renditions, Wish, read_wish
from engine.server.routing import Query, Route

_FILE: Final = (
    Query(name="filename", required=True, doc="May end in ` [input]`, ` [output]` or ` [temp]`."),
    Query(name="subfolder"),
    Query(name="type", schema={"type": "string", "enum": ["output", "input", "temp"], "default": "output"}),
)
_WISHES: Final = (
    Query(name="preview", doc="`webp;90` or `jpeg;90`: a smaller file for previews.", schema={"type": "string"}),
    Query(name="channel", schema={"type": "string", "enum": list(CHANNELS), "default": "rgba"}),
    Query(name="rand", doc="Ignored; for getting round a browser's cache."),
)
_BINARY: Final = {"type": "string", "format": "binary"}
_MISSING: Final = "There is no such file."


class View:
    """Answers `/view`, `/viewvideo` and `/view_metadata`."""

    def __init__(self, paths: Paths, *, max_pixels: int = 100_000_000) -> None:
        self._paths = paths
        self._renditions = Renditions(max_pixels)

    def routes(self) -> list[Route]:
        """The routes."""
        refusals = {404: _MISSING, 413: "The picture has too many pixels to decode.", 422: "It is no sound picture."}
        return [
            Route(
                method="GET",
                path="/view",
                handler=self._view,
                summary="A file of the output, temp or input folder, with ranges; a picture also converted.",
                tag="files",
                query=_FILE + _WISHES,
                answer=_BINARY,
                answer_type="*/*",
                refusals=refusals,
            ),
            Route(
                method="GET",
                path="/viewvideo",
                handler=self._view_file,
                summary="A file of the output, temp or input folder, as it is.",
                tag="files",
                query=_FILE,
                answer=_BINARY,
                answer_type="*/*",
                refusals={404: _MISSING},
            ),
            Route(
                method="GET",
                path="/view_metadata/{folder:[^/]+}",
                handler=self._metadata,
                summary="The metadata in the header of a safetensors file.",
                tag="models",
                query=(
                    Query(name="folder", required=True, doc="A model folder, like `checkpoints`."),
                    Query(name="filename", required=True),
                ),
                answer={"type": "object", "additionalProperties": {"type": "string"}},
                refusals={404: "There is no such file, or it has no metadata."},
            ),
        ]

    async def _view(self, request: web.Request) -> web.StreamResponse:
        wish = read_wish(request.query.get("channel", ""), request.query.get("preview", ""))
        path = await asyncio.to_thread(produced_file, self._paths, dict(request.query))
        if wish.as_it_is:
            return await asyncio.to_thread(_served, path)
        return await self._converted(request, path, wish)

    async def _view_file(self, request: web.Request) -> web.StreamResponse:
        path = await asyncio.to_thread(produced_file, self._paths, dict(request.query))
        return await asyncio.to_thread(_served, path)

    async def _converted(self, request: web.Request, path: Path, wish: Wish) -> web.StreamResponse:
        try:
            is_picture = (await asyncio.to_thread(content_type, path)).startswith("image/")
            made = await self._renditions.get(path, wish) if is_picture else None
        except FileNotFoundError:
            raise _missing(path.name) from None
        if made is None:
            return await asyncio.to_thread(_served, path)
        found = {**headers(made.kind, path.name), "ETag": f'"{made.tag}"'}
        if any(etag.value in (made.tag, "*") for etag in request.if_none_match or ()):
            return web.Response(status=304, headers=found)
        return web.Response(body=made.data, headers=found)

    async def _metadata(self, request: web.Request) -> web.StreamResponse:
        folder, name = request.match_info["folder"], request.query.get("filename", "")
        path = (
            await asyncio.to_thread(self._paths.locate, folder, name) if folder in self._paths.model_folders() else None
        )
        found = await asyncio.to_thread(read_metadata, path) if path else None
        if found is None:
            raise Refusal(404, "no_metadata", f"There is no safetensors file {name[:200]!r} in {folder} with metadata.")
        return json_response(found)


def view_routes(paths: Paths, *, max_pixels: int = 100_000_000) -> list[Route]:
    """The routes of a `View`."""
    return View(paths, max_pixels=max_pixels).routes()


def produced_file(paths: Paths, wanted: dict[str, str]) -> Path:
    """The file that `{filename, subfolder, type}` means. Raises Refusal 400 for one outside our folders, 404 for none."""
    name = wanted.get("filename", "")
    kind = wanted.get("type") or "output"
    bare = bare_name(name)
    if bare != name:
        kind = name[len(bare) :].strip(" []")
    if not bare:
        raise Refusal(400, "missing_filename", "Expected ?filename=…, the name of a file.")
    if kind not in ("output", "input", "temp"):
        raise Refusal(400, "invalid_type", f"Expected type=output, input or temp; got {kind[:40]!r}.")
    path = paths.produced({"filename": bare, "subfolder": wanted.get("subfolder", ""), "type": kind})
    if path is None:
        raise Refusal(
            400, "invalid_name", "The name leads out of its folder. Give a name relative to it, without '..'."
        )
    try:
        if path.is_file():
            return path
    except OSError:  # a name that the file system cannot have
        pass
    raise _missing(bare)


def _missing(name: str) -> Refusal:
    return Refusal(404, "not_found", f"There is no file {name[:200]!r} in this folder.")


def _served(path: Path) -> web.StreamResponse:
    try:
        return file_response(path)
    except OSError:
        raise _missing(path.name) from None
