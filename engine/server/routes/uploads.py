"""Uploading pictures and other files, and masks for pictures."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from engine.paths import Paths
from engine.server.bodies import LIMITS, decode_json
from engine.server.limits import Limits
from engine.server.refusals import Refusal, json_response
from engine.server.routes.upload_forms import read_form
from engine.server.routes.upload_masks import with_mask
from engine.server.routes.view import produced_file
from engine.server.routing import Route
from engine.server.saving import incoming, place_new, place_over

_KINDS: Final = ("input", "temp", "output")
_REFUSALS: Final = {
    408: "The file came too slowly.",
    409: "The name is taken by a folder.",
    413: "The file is larger than is taken here.",
    507: "The disk is full; nothing was saved.",
}


class Stored(msgspec.Struct):
    """Where an uploaded file is."""

    name: str
    subfolder: str
    type: str


class Original(msgspec.Struct):
    """The picture that a mask is for."""

    filename: str
    subfolder: str = ""
    type: str = "output"


class Uploads:
    """Answers `/upload/image` and `/upload/mask`."""

    def __init__(self, paths: Paths, *, max_bytes: int | None = None, max_pixels: int = 100_000_000) -> None:
        self._paths = paths
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route(
                method="POST",
                path="/upload/image",
                handler=self._upload,
                summary="Save a file in the input folder; a name that is taken gets a number, unless the file is equal.",
                tag="files",
                body=_form({}),
                body_type="multipart",
                answer=Stored,
                refusals=_REFUSALS,
            ),
            Route(
                method="POST",
                path="/upload/mask",
                handler=self._upload_mask,
                summary="Save a picture of ours with the alpha of the uploaded one.",
                tag="files",
                body=_form({"original_ref": {"type": "string", "description": "JSON: {filename, subfolder?, type?}."}}),
                body_type="multipart",
                answer=Stored,
                refusals={**_REFUSALS, 404: "There is no such original.", 422: "A picture cannot be read."},
            ),
        ]

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        async with incoming(await self._waiting_room()) as part:
            name, fields = await read_form(request, part, self._limits(request))
            return json_response(await asyncio.to_thread(self._place, part.path, name, fields))

    async def _upload_mask(self, request: web.Request) -> web.StreamResponse:
        folder = await self._waiting_room()
        async with incoming(folder) as mask, incoming(folder) as part:
            name, fields = await read_form(request, mask, self._limits(request))
            if "original_ref" not in fields:
                return json_response(await asyncio.to_thread(self._place, mask.path, name, fields))
            await part.close()
            original = await self._original(fields["original_ref"])
            await asyncio.to_thread(with_mask, original, mask.path, part.path, self._max_pixels)
            return json_response(
                await asyncio.to_thread(self._place, part.path, str(Path(name).with_suffix(".png")), fields)
            )

    async def _waiting_room(self) -> Path:
        """Where files are written before the whole form is known: the fields often come after the file."""
        with suppress(OSError):
            return await asyncio.to_thread(self._paths.directory, "input")
        raise Refusal(
            507, "cannot_store", f"The folder {self._paths.input} cannot be made. Look at the rights of its parent."
        )

    def _limits(self, request: web.Request) -> Limits:
        limits = request.app.get(LIMITS) or Limits()
        return limits if self._max_bytes is None else msgspec.structs.replace(limits, max_upload_size=self._max_bytes)

    async def _original(self, text: str) -> Path:
        wanted: Original = decode_json(text.encode(), Original)
        return await asyncio.to_thread(produced_file, self._paths, msgspec.structs.asdict(wanted))

    def _place(self, part: Path, name: str, fields: dict[str, str]) -> Stored:
        kind, subfolder = fields.get("type") or "input", _subfolder(fields.get("subfolder", ""))
        if kind not in _KINDS:
            raise Refusal(400, "invalid_type", f"Expected type input, temp or output; got {kind[:40]!r}.")
        folder = self._paths.produced({"filename": subfolder or ".", "subfolder": "", "type": kind})
        if folder is None:
            raise Refusal(
                400, "invalid_subfolder", f"The subfolder {subfolder[:200]!r} leads out of the {kind} folder."
            )
        place = place_over if fields.get("overwrite", "").lower() in ("true", "1") else place_new
        return Stored(place(part, folder, name).name, subfolder, kind)


def upload_routes(paths: Paths, *, max_bytes: int | None = None, max_pixels: int = 100_000_000) -> list[Route]:
    """The routes of `Uploads`. `max_bytes` replaces the application's `Limits.max_upload_size`."""
    return Uploads(paths, max_bytes=max_bytes, max_pixels=max_pixels).routes()


def _subfolder(text: str) -> str:
    """The subfolder with `/` between its parts and none at its end. A leading one leads out, and is left to be refused."""
    text = text.replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    return ("/" if text.startswith("/") else "") + "/".join(parts)


def _form(more: dict[str, Any]) -> dict[str, Any]:
    fields = {
        "image": {"type": "string", "format": "binary"},
        "type": {"type": "string", "enum": list(_KINDS), "default": "input"},
        "subfolder": {"type": "string"},
        "overwrite": {"type": "string", "enum": ["true", "1", "false"]},
    }
    return {"type": "object", "properties": fields | more, "required": ["image"]}
