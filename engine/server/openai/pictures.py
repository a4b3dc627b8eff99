"""From results to answers: the pictures of runs, in the form that was asked for."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from engine.server.openai.errors import ApiError
from engine.server.openai.models import Model
from engine.server.openai.requests import PictureRequest
from engine.server.proxies import forwarded_host, is_secure, prefix_of
from engine.server.routes.view_renditions import Wish, render
from engine.server.workflows.results import CallResult, ResultFile
from engine.server.workflows.runner import RunService

USAGE: Final = {
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "input_tokens_details": {"text_tokens": 0, "image_tokens": 0},
}
"""Nothing is counted here, and clients want the field."""

_MEDIA: Final = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


class Picture(msgspec.Struct, frozen=True):
    """One picture of a result. `size` is as the API writes it."""

    data: bytes
    file: ResultFile
    size: str
    seed: int | None


class Pictures:
    """Reads pictures of results. `max_pixels` bounds what is decoded to be encoded anew."""

    def __init__(self, runs: RunService, max_pixels: int) -> None:
        self._runs = runs
        self._max_pixels = max_pixels

    async def of(self, model: Model, request: PictureRequest, results: Sequence[CallResult]) -> list[Picture]:
        """The pictures of all runs, at most `n`. Raises ApiError for a run that failed or gave none."""
        seed = model.parameter("seed")
        found = []
        for result in results:
            check_ended(result)
            drawn = result.values.get(seed.name) if seed is not None else None
            for file in _files(model, result):
                found.append(await self._read(file, request, drawn if isinstance(drawn, int) else None))
        if not found:
            raise ApiError(500, "no_picture", f"The workflow of '{model.name}' ended without a picture.", "model")
        return found[: request.n]

    async def _read(self, file: ResultFile, request: PictureRequest, seed: int | None) -> Picture:
        data = await self._runs.read(file)
        return await asyncio.to_thread(self._encoded, file, data, request, seed)

    def _encoded(self, file: ResultFile, data: bytes, request: PictureRequest, seed: int | None) -> Picture:
        """As it is where the file is in the format asked for, else encoded anew."""
        if file.media_type != _MEDIA[request.format]:
            made = render(data, Wish(format=request.format, quality=request.compression), self._max_pixels)
            data = made.data if made is not None else data
        return Picture(data, file, _size(data), seed)


def answer(request: web.Request, wanted: PictureRequest, pictures: Sequence[Picture]) -> dict[str, Any]:
    """The JSON of an answer that is not streamed. `seed` of each picture is ours: what makes it once more."""
    data = []
    for one in pictures:
        entry: dict[str, Any] = (
            {"url": _url(request, one.file, wanted)} if wanted.as_url else {"b64_json": coded(one.data)}
        )
        data.append(entry | ({"seed": one.seed} if one.seed is not None else {}))
    facts = {"background": "opaque", "output_format": wanted.format, "quality": told_quality(wanted)}
    return {"created": int(time.time()), "data": data, "size": pictures[0].size, **facts, "usage": USAGE}


def coded(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode()


def told_quality(wanted: PictureRequest) -> str:
    """The quality that was asked for."""
    return wanted.quality or "auto"


def check_ended(result: CallResult) -> None:
    """Raises ApiError for a run that gave nothing."""
    if result.state == "failed":
        told = result.error or {}
        node, message = told.get("node_type", ""), str(told.get("exception_message", "")).strip()
        raise ApiError(500, "job_failed", f"The workflow failed{f' in {node}' if node else ''}: {message[:2000]}")
    if result.state == "cancelled":
        raise ApiError(409, "job_cancelled", "The run was cancelled by somebody. Ask again.")


def _files(model: Model, result: CallResult) -> list[ResultFile]:
    """The pictures of the first output that gives some."""
    named = model.output("image")
    found = result.outputs.get(named.name) if named is not None else None
    return [file for file in found.files if file.media_type.startswith("image/")] if found is not None else []


def _size(data: bytes) -> str:
    import io

    from PIL import Image

    with Image.open(io.BytesIO(data)) as opened:
        return f"{opened.width}x{opened.height}"


def _url(request: web.Request, file: ResultFile, wanted: PictureRequest) -> str:
    """Where the picture is, for whoever called this server by the name that the request has."""
    scheme = "https" if is_secure(request) else "http"
    host = forwarded_host(request) or request.host
    anew = file.media_type != _MEDIA[wanted.format]
    preview = "&" + urlencode({"preview": f"{wanted.format};{wanted.compression}"}) if anew else ""
    return f"{scheme}://{host}{prefix_of(request)}{file.url}{preview}"
