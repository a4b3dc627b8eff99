"""`/v1/audio/speech`: a text spoken, by a workflow that gives sound."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from engine.server.openai.errors import PROBLEM, ApiError, as_api_error
from engine.server.openai.fields import Fields, read_fields
from engine.server.openai.images import REFUSALS, TAG
from engine.server.openai.models import Model, Models
from engine.server.openai.pictures import check_ended
from engine.server.openai.running import Runs, let_go
from engine.server.refusals import Refusal
from engine.server.routing import Route
from engine.server.workflows.runner import RunService

_FORMATS: Final[Mapping[str, tuple[str, ...]]] = {
    "mp3": ("audio/mpeg",),
    "opus": ("audio/ogg", "audio/opus"),
    "aac": ("audio/aac", "audio/mp4"),
    "flac": ("audio/flac", "audio/x-flac"),
    "wav": ("audio/wav", "audio/x-wav", "audio/vnd.wave"),
}
"""Formats of the API → media types of files."""

_READ: Final = frozenset({"model", "input", "response_format", "stream_format"})
_PASSED: Final = ("voice", "speed", "instructions")
"""Fields that go to a parameter of the same name where there is one, and mean nothing else."""


class SpeechRoutes:
    """The route for speech."""

    def __init__(self, service: RunService, models: Models) -> None:
        self._service = service
        self._models = models

    def routes(self) -> list[Route]:
        """The routes."""
        text = {"type": "string"}
        properties = {
            **dict.fromkeys(("model", "input", "voice", "instructions"), text),
            "response_format": {"type": "string", "enum": list(_FORMATS)},
        }
        return [
            Route(
                method="POST",
                path="/v1/audio/speech",
                handler=self._speak,
                summary="Speak a text, by a saved workflow that gives sound.",
                tag=TAG,
                body={"type": "object", "required": ["model", "input"], "properties": properties},
                answer_type="audio/*",
                refusals=REFUSALS,
                problems=PROBLEM,
                api_only=True,
            )
        ]

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        fields = await read_fields(request)
        text = fields.text("input")
        format = fields.choice("response_format", ("", *_FORMATS), "")
        if fields.choice("stream_format", ("audio", "sse"), "audio") == "sse":
            raise ApiError(400, "invalid_value", "Speech is not streamed as events here. Use audio.", "stream_format")
        model = await self._models.get(fields.text("model", ""), "speech")
        runs = Runs(self._service, model, uuid.uuid4().hex)
        try:
            await runs.start(_arguments(model, fields, text), as_text=fields.as_text)
            let_go(request)
            (result,) = await runs.results(request)
        except Refusal as refusal:
            raise as_api_error(refusal, model.fields) from None
        finally:
            runs.close()
        check_ended(result)
        file = next(iter(result.files("audio/")), None)
        if file is None:
            raise ApiError(500, "no_sound", f"The workflow of '{model.name}' ended without a sound.", "model")
        if format and file.media_type not in _FORMATS[format]:
            message = (
                f"The workflow of '{model.name}' saves {file.media_type}. Leave 'response_format' out to get that."
            )
            raise ApiError(400, "invalid_value", message, "response_format")
        return web.Response(body=await self._service.read(file), content_type=file.media_type)


def _arguments(model: Model, fields: Fields, text: str) -> dict[str, Any]:
    values: dict[str, Any] = dict(model.settings.values)
    for name, value in fields.values.items():
        parameter = model.parameter(name) if name in _PASSED else None
        if parameter is not None:
            values[parameter.name] = value
        elif name not in _READ and name not in _PASSED:
            values[name] = value
    spoken = model.text_parameter("speech")
    assert spoken is not None  # else the model answers no speech
    return {**values, spoken.name: text}
