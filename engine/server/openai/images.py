"""`/v1/images/…`: pictures after a prompt, after pictures, or like a picture."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from aiohttp import web

from engine.server.idempotency import IDEMPOTENCY, digest_of, read_key
from engine.server.openai.arguments import arguments_of
from engine.server.openai.errors import PROBLEM, as_api_error
from engine.server.openai.fields import read_fields
from engine.server.openai.models import Model, Models
from engine.server.openai.pictures import Pictures, answer
from engine.server.openai.requests import FORMATS, MOST_PICTURES, Operation, PictureRequest, read_request
from engine.server.openai.running import Runs, let_go
from engine.server.openai.streaming import PictureStream
from engine.server.principals import principal_of
from engine.server.refusals import Refusal, json_response
from engine.server.routing import Handler, Route
from engine.server.workflows.runner import RunService

TAG: Final = "openai"

REFUSALS: Final = {
    400: "A field is wrong, or the model cannot answer such a request.",
    404: "There is no such model.",
    409: "The run was cancelled.",
    413: "A file is larger than is taken here.",
    422: "The idempotency key was used for another request.",
    500: "The workflow failed.",
}

_TEXT: Final = {"type": "string"}
_FILE: Final = {"type": "string", "format": "binary"}
_COMMON: Final[Mapping[str, Any]] = {
    "model": _TEXT | {"description": "A model of GET /v1/models: a saved workflow."},
    "n": {"type": "integer", "minimum": 1, "maximum": MOST_PICTURES, "default": 1},
    "size": _TEXT | {"description": "WIDTHxHEIGHT or auto.", "default": "auto"},
    "quality": _TEXT | {"description": "As the settings map it; else it changes nothing.", "default": "auto"},
    "response_format": {"type": "string", "enum": ["b64_json", "url"], "default": "b64_json"},
    "output_format": {"type": "string", "enum": list(FORMATS), "default": "png"},
    "output_compression": {"type": "integer", "minimum": 0, "maximum": 100, "default": 100},
    "seed": {"type": "integer", "minimum": 0, "description": "Of ours: the same seed makes the same picture."},
}
_STREAMED: Final[Mapping[str, Any]] = {
    "stream": {"type": "boolean", "default": False},
    "partial_images": {"type": "integer", "minimum": 0, "maximum": 3, "default": 0},
}
_PROMPT: Final = {"prompt": _TEXT}
_IMAGES: Final[Mapping[str, Any]] = {
    "image": _FILE | {"description": "Also several times, as image[]."},
    "mask": _FILE | {"description": "See-through where the picture may change."},
}
_ANSWER: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["created", "data"],
    "properties": {
        "created": {"type": "integer"},
        "data": {
            "type": "array",
            "items": {"type": "object", "properties": {"b64_json": _TEXT, "url": _TEXT, "seed": {"type": "integer"}}},
        },
    },
}


class ImageRoutes:
    """The routes for pictures."""

    def __init__(self, service: RunService, models: Models, max_pixels: int) -> None:
        self._service = service
        self._models = models
        self._pictures = Pictures(service, max_pixels)
        self._max_pixels = max_pixels

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            self._route(
                "generations",
                "generation",
                "Make pictures after a prompt, by a saved workflow; with `stream` as server-sent events.",
                _body({**_PROMPT, **_COMMON, **_STREAMED}, "prompt"),
            ),
            self._route(
                "edits",
                "edit",
                "Make pictures after a prompt and pictures, by a saved workflow that takes some.",
                _body({**_PROMPT, **_IMAGES, **_COMMON, **_STREAMED}, "prompt", "image"),
            ),
            self._route(
                "variations",
                "variation",
                "Make pictures like one that is given, by a saved workflow that takes some.",
                _body({"image": _FILE, **_COMMON}, "image"),
            ),
        ]

    def _route(self, name: str, operation: Operation, summary: str, body: Mapping[str, Any]) -> Route:
        return Route(
            method="POST",
            path=f"/v1/images/{name}",
            handler=self._handler(operation),
            summary=summary,
            tag=TAG,
            body=body,
            body_type="json" if operation == "generation" else "multipart",
            answer=_ANSWER,
            refusals=REFUSALS,
            problems=PROBLEM,
            api_only=True,
        )

    def _handler(self, operation: Operation) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._answer(request, read_request(operation, await read_fields(request)))

        return handle

    async def _answer(self, request: web.Request, wanted: PictureRequest) -> web.StreamResponse:
        model = await self._models.get(wanted.model, wanted.operation)
        stream = PictureStream(request, model, wanted.without_files(), self._pictures) if wanted.stream else None
        try:
            runs = await self._started(request, model, wanted, stream)
            wanted = wanted.without_files()  # they are on disk now
            let_go(request)
            try:
                if stream is not None:
                    return await stream.serve(runs)
                pictures = await self._pictures.of(model, wanted, await runs.results(request))
            finally:
                runs.close()
        except Refusal as refusal:
            raise as_api_error(refusal, model.fields) from None
        return json_response(answer(request, wanted, pictures))

    async def _started(
        self, request: web.Request, model: Model, wanted: PictureRequest, stream: PictureStream | None
    ) -> Runs:
        """The runs of a request, in the queue."""
        async with self._once(request, wanted) as (name, kept):
            runs = Runs(self._service, model, name, kept=kept)
            try:
                for arguments in await arguments_of(model, wanted, self._max_pixels):
                    listener = stream.listener() if stream is not None else None
                    previews = stream is not None and wanted.partial_images > 0
                    await runs.start(arguments, as_text=wanted.as_text, listener=listener, previews=previews)
            except BaseException:
                runs.close()
                raise
        return runs

    @asynccontextmanager
    async def _once(self, request: web.Request, wanted: PictureRequest) -> AsyncIterator[tuple[str, bool]]:
        """What the ids of the jobs begin with, and whether they may be there: with a key, the same request may come again.

        One that is streamed runs for whoever follows it.
        """
        key = read_key(request)
        if key is None or wanted.stream:
            yield uuid.uuid4().hex, False
            return
        scope = f"openai pictures of {principal_of(request).owner or ''}"
        digest = digest_of(request.path.encode(), msgspec.json.encode(wanted))
        async with request.app[IDEMPOTENCY].claim(scope, key, digest) as claim:
            name = claim.job_id or uuid.uuid4().hex
            if claim.answer is None:
                await claim.hold(name)
            yield name, True
            if claim.answer is None:
                await claim.keep(b"{}")


def _body(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(required)}
