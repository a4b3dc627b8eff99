"""`/v1/videos`: films, which are asked for, waited for and fetched in requests of their own."""

from __future__ import annotations

import uuid
from typing import Any, Final

from aiohttp import web

from engine.server.openai.arguments import arguments_of
from engine.server.openai.errors import PROBLEM, ApiError, as_api_error
from engine.server.openai.fields import Fields, read_fields
from engine.server.openai.images import REFUSALS, TAG
from engine.server.openai.models import Models
from engine.server.openai.requests import PictureRequest, read_request
from engine.server.refusals import Refusal, json_response
from engine.server.routing import Query, Route
from engine.server.workflows.results import CallResult, ResultFile
from engine.server.workflows.runner import RunService

_PREFIX: Final = "video_"
_STATES: Final = {"queued": "queued", "running": "in_progress", "done": "completed"}
_ID: Final = (Query(name="video", doc="Its id.", required=True),)
_VIDEO: Final = {
    "type": "object",
    "required": ["id", "object", "status", "created_at"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "video"},
        "status": {"enum": ["queued", "in_progress", "completed", "failed"]},
        "created_at": {"type": "integer"},
    },
}


class VideoRoutes:
    """The routes for films."""

    def __init__(self, service: RunService, models: Models, max_pixels: int) -> None:
        self._service = service
        self._models = models
        self._max_pixels = max_pixels

    def routes(self) -> list[Route]:
        """The routes."""
        text = {"type": "string"}
        properties = dict.fromkeys(("model", "prompt", "size", "seconds"), text)
        properties["input_reference"] = {"type": "string", "format": "binary"}
        common: dict[str, Any] = {"tag": TAG, "refusals": REFUSALS, "problems": PROBLEM, "api_only": True}
        one: dict[str, Any] = {**common, "path": "/v1/videos/{video}", "query": _ID}
        return [
            Route(
                method="POST",
                path="/v1/videos",
                handler=self._create,
                summary="Begin a film, by a saved workflow that gives one.",
                body={"type": "object", "required": ["prompt"], "properties": properties},
                body_type="multipart",
                answer=_VIDEO,
                **common,
            ),
            Route(method="GET", handler=self._told, summary="How a film stands.", answer=_VIDEO, **one),
            Route(
                method="DELETE",
                handler=self._delete,
                summary="Cancel a film that is not finished. What is finished stays in the history.",
                answer={"type": "object"},
                **one,
            ),
            Route(
                method="GET",
                path="/v1/videos/{video}/content",
                handler=self._content,
                summary="The film itself.",
                query=_ID,
                answer_type="video/*",
                **common,
            ),
        ]

    async def _create(self, request: web.Request) -> web.StreamResponse:
        fields = await read_fields(request)
        wanted = _request(fields)
        model = await self._models.get(wanted.model, "video")
        try:
            (arguments, *_) = await arguments_of(model, wanted, self._max_pixels)
            started = await self._service.start(
                model.workflow.name, arguments, job_id=f"{_PREFIX}{uuid.uuid4().hex}", as_text=wanted.as_text
            )
        except Refusal as refusal:
            raise as_api_error(refusal, model.fields) from None
        return json_response(_told(await self._service.result(started.job_id), model.name))

    async def _told(self, request: web.Request) -> web.StreamResponse:
        return json_response(_told(await self._result(request)))

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        result = await self._result(request)
        cancelled = self._service.cancel(result.job_id)
        return json_response({"id": result.job_id, "object": "video.deleted", "deleted": cancelled})

    async def _content(self, request: web.Request) -> web.StreamResponse:
        result = await self._result(request)
        if result.state in ("queued", "running"):
            raise ApiError(409, "video_not_ready", f"The video '{result.job_id}' is not finished. Ask again later.")
        file = _film(result)
        if file is None:
            raise ApiError(404, "no_video", f"The video '{result.job_id}' was not made: {_failure(result)}")
        path = self._service.path(file)
        if path is None:
            raise ApiError(410, "file_gone", "The file was deleted since it was made.")
        return web.FileResponse(path, headers={"Content-Type": file.media_type})

    async def _result(self, request: web.Request) -> CallResult:
        name = request.match_info["video"]
        if name.startswith(_PREFIX) and await self._service.knows(name):
            return await self._service.result(name)
        raise ApiError(404, "video_not_found", f"There is no video '{name[:80]}'.")


def _request(fields: Fields) -> PictureRequest:
    """A film is asked for as pictures are; `seconds` is for the workflow, and `input_reference` is the picture it begins with."""
    renamed = {"input_reference": "image"}
    values = {renamed.get(name, name): value for name, value in fields.values.items() if name not in ("stream", "n")}
    files = [file._replace(field=renamed.get(file.field, file.field)) for file in fields.files]
    has_picture = "image" in values or any(file.field == "image" for file in files)
    return read_request("edit" if has_picture else "generation", Fields(values, files, as_text=fields.as_text))


def _told(result: CallResult, model: str = "") -> dict[str, Any]:
    """A film as the API tells of it."""
    film = _film(result)
    status = _STATES.get(result.state, "failed")
    if status == "completed" and film is None:
        status = "failed"
    error = {"code": "generation_failed", "message": _failure(result)} if status == "failed" else None
    return {
        "id": result.job_id,
        "object": "video",
        "model": model or result.workflow,
        "status": status,
        "progress": 100 if status == "completed" else 0,
        "created_at": int(result.created),
        "completed_at": int(result.ended) if result.ended is not None else None,
        "prompt": result.values.get("prompt"),
        "seconds": str(result.values.get("seconds", "")),
        "size": f"{result.values.get('width', '')}x{result.values.get('height', '')}".strip("x"),
        "error": error,
    }


def _film(result: CallResult) -> ResultFile | None:
    return next(iter(result.files("video/")), None)


def _failure(result: CallResult) -> str:
    if result.state == "cancelled":
        return "it was cancelled."
    return str((result.error or {}).get("exception_message") or "the workflow ended without a film.")[:2000]
