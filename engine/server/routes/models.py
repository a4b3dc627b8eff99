"""What models there are, and what they look like."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from engine.paths import PathError, Paths, contained
from engine.server.inert import headers
from engine.server.refusals import Refusal, json_response
from engine.server.routes.model_headers import read_metadata
from engine.server.routes.view_renditions import Renditions, Wish, render
from engine.server.routing import Query, Route

_PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
_THUMBNAIL: Final = "modelspec.thumbnail"
"""A data URL, by the model metadata specification."""
_COVERS: Final = "ssmd_cover_images"
"""JSON: a list of files in base64, by trainers of LoRAs."""
_LONGEST_SIDE: Final = 768
_MAX_PIXELS: Final = 100_000_000
_LARGEST_THUMBNAIL: Final = 16 * 1024**2
_WISH: Final = Wish(format="webp", longest=_LONGEST_SIDE)


class ModelFile(msgspec.Struct, rename={"path_index": "pathIndex"}):
    """A model file. `path_index` tells in which of the folder's places it is; times in seconds since 1970."""

    name: str
    path_index: int
    modified: float
    created: float
    size: int


class ModelFolder(msgspec.Struct):
    """A kind of model, and where its files are looked for."""

    name: str
    folders: list[str]


class Models:
    """Answers `/models`, `/embeddings` and `/experiment/models`."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._renditions = Renditions(_MAX_PIXELS)

    def routes(self) -> list[Route]:
        """The routes."""
        folder = Query(name="folder", required=True, doc="A model folder, like `checkpoints`.")
        index = Query(name="index", required=True, schema={"type": "integer", "minimum": 0}, doc="As `pathIndex`.")
        file = Query(name="file", required=True, doc="The model's name as one segment.")
        rows: tuple[tuple[str, Any, str, tuple[Query, ...], Any], ...] = (
            ("/models", self._folders, "The kinds of models.", (), list[str]),
            ("/models/{folder:[^/]+}", self._names, "The model files of a kind.", (folder,), list[str]),
            ("/embeddings", self._embeddings, "The embeddings that a prompt can name.", (), list[str]),
            ("/experiment/models", self._places, "The kinds of models, with their folders.", (), list[ModelFolder]),
            (
                "/experiment/models/{folder:[^/]+}",
                self._files,
                "The model files of a kind.",
                (folder,),
                list[ModelFile],
            ),
        )
        return [
            *(
                Route(
                    method="GET",
                    path=path,
                    handler=handler,
                    summary=summary,
                    tag="models",
                    query=query,
                    answer=answer,
                    refusals={404: "There is no such kind."} if query else {},
                )
                for path, handler, summary, query, answer in rows
            ),
            Route(
                method="GET",
                path="/experiment/models/preview/{folder:[^/]+}/{index:[^/]+}/{file:.+}",
                handler=self._preview,
                summary="The picture beside or inside a model file.",
                tag="models",
                query=(folder, index, file),
                answer={"type": "string", "format": "binary"},
                answer_type="image/webp",
                refusals={404: "There is no such model, or it has no picture.", 413: "The picture is too large."},
            ),
        ]

    async def _folders(self, request: web.Request) -> web.StreamResponse:
        return json_response(self._paths.model_folders())

    async def _names(self, request: web.Request) -> web.StreamResponse:
        return json_response(await asyncio.to_thread(self._paths.listing, self._known(request)))

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        names = await asyncio.to_thread(self._paths.listing, "embeddings")
        return json_response([os.path.splitext(name)[0] for name in names])  # noqa: PTH122

    async def _places(self, request: web.Request) -> web.StreamResponse:
        names = [name for name in self._paths.model_folders() if name != "configs"]
        return json_response([ModelFolder(name, [str(path) for path in self._paths.folders(name)]) for name in names])

    async def _files(self, request: web.Request) -> web.StreamResponse:
        return json_response(await asyncio.to_thread(self._facts, self._known(request)))

    def _facts(self, folder: str) -> list[ModelFile]:
        found = []
        for index, (root, names) in enumerate(self._paths.listings(folder)):
            for name in names:
                try:
                    facts = (root / name).stat()
                except OSError:  # deleted since it was listed
                    continue
                found.append(ModelFile(name, index, facts.st_mtime, facts.st_ctime, facts.st_size))
        return found

    async def _preview(self, request: web.Request) -> web.StreamResponse:
        path = await asyncio.to_thread(self._model, request)
        beside = await asyncio.to_thread(_beside, path)
        made = await self._renditions.get(beside, _WISH) if beside else await asyncio.to_thread(_inside, path)
        if made is None:
            raise _no_picture(path.name)
        found = {**headers(made.kind, path.stem + ".webp"), "ETag": f'"{made.tag}"'}
        if any(etag.value in (made.tag, "*") for etag in request.if_none_match or ()):
            return web.Response(status=304, headers=found)
        return web.Response(body=made.data, headers=found)

    def _model(self, request: web.Request) -> Path:
        roots = self._paths.folders(self._known(request))
        number, name = request.match_info["index"], request.match_info["file"]
        index = int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else -1
        try:
            path = contained(roots[index], name) if 0 <= index < len(roots) else None
            if path is not None and path.exists():
                return path
        except (PathError, ValueError, OSError):
            pass
        raise Refusal(404, "not_found", f"There is no model {name[:200]!r} there.")

    def _known(self, request: web.Request) -> str:
        folder = request.match_info["folder"]
        if folder in ("input", "output", "temp"):
            raise Refusal(404, "unknown_folder", f"{folder} is no model folder.")
        try:
            self._paths.folders(folder)
        except PathError as error:
            raise Refusal(404, "unknown_folder", str(error)) from error
        return folder


def model_routes(paths: Paths) -> list[Route]:
    """The routes of `Models`."""
    return Models(paths).routes()


def _beside(path: Path) -> Path | None:
    """The picture file that goes with a model file: `name.png` or `name.preview.png`."""
    stem = path.parent / path.stem if path.is_file() else path
    names = (Path(f"{stem}{middle}{suffix}") for middle in ("", ".preview") for suffix in _PICTURES)
    return next((name for name in names if name.is_file()), None)


def _inside(path: Path) -> Any:
    """The first picture in the header of a model file that is one."""
    metadata = (read_metadata(path) or {}) if path.is_file() else {}
    for text in _pictures(metadata):
        try:
            if len(text) <= _LARGEST_THUMBNAIL and (data := base64.b64decode(text, validate=True)):
                return render(data, _WISH, _MAX_PIXELS)
        except (binascii.Error, ValueError, Refusal):
            continue
    return None


def _pictures(metadata: Mapping[str, Any]) -> Iterator[str]:
    """What may be files of pictures in base64."""
    thumbnail, covers = metadata.get(_THUMBNAIL), metadata.get(_COVERS)
    if isinstance(thumbnail, str) and thumbnail.startswith("data:image/"):
        yield thumbnail.partition(",")[2]
    if isinstance(covers, str):
        with suppress(msgspec.DecodeError, RecursionError):
            covers = msgspec.json.decode(covers)
    for cover in covers if isinstance(covers, list) else ():
        if isinstance(cover, str):
            yield cover.rpartition(",")[2]


def _no_picture(name: str) -> Refusal:
    return Refusal(
        404, "no_preview", f"There is no picture for {name[:200]!r}: put one beside it, with its name and .png."
    )
