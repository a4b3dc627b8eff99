"""`/v1/models`: which models there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from aiohttp import web

from engine.server.openai.errors import PROBLEM
from engine.server.openai.images import TAG
from engine.server.openai.models import Model, Models
from engine.server.refusals import json_response
from engine.server.routing import Query, Route

_MODEL: Final = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "model"},
        "created": {"type": "integer"},
        "owned_by": {"type": "string"},
        "abilities": {"type": "array", "items": {"type": "string"}},
    },
}


def listing_routes(models: Models) -> list[Route]:
    """The routes."""

    async def listed(request: web.Request) -> web.StreamResponse:
        return json_response({"object": "list", "data": [_told(model) for model in await models.all()]})

    async def one(request: web.Request) -> web.StreamResponse:
        return json_response(_told(await models.get(request.match_info["model"])))

    return [
        Route(
            method="GET",
            path="/v1/models",
            handler=listed,
            summary="The models: saved workflows that make pictures, speech or film of what a request says.",
            tag=TAG,
            answer={
                "type": "object",
                "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": _MODEL}},
            },
            problems=PROBLEM,
            api_only=True,
        ),
        Route(
            method="GET",
            path="/v1/models/{model:.+}",
            handler=one,
            summary="One model.",
            tag=TAG,
            query=(Query(name="model", doc="Its name, which may hold slashes.", required=True),),
            answer=_MODEL,
            refusals={400: "Its workflow cannot run here.", 404: "There is no such model."},
            problems=PROBLEM,
            api_only=True,
        ),
    ]


def _told(model: Model) -> dict[str, Any]:
    """A model as the API tells it; `abilities` is ours."""
    created = int(_changed(model.workflow.path))
    return {
        "id": model.name,
        "object": "model",
        "created": created,
        "owned_by": "safelight",
        "abilities": model.abilities,
    }


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # deleted just now
        return 0.0
