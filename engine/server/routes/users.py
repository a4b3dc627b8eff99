"""Who uses the server: one user, whose files and settings are kept here."""

from __future__ import annotations

from aiohttp import web

from engine.server.refusals import Refusal, json_response
from engine.server.routing import Route


def user_routes() -> list[Route]:
    """`/users`."""
    return [
        Route(
            method="GET",
            path="/users",
            handler=_get,
            summary="Whose data is kept: one user's, on the server.",
            tag="settings",
            answer={"type": "object"},
        ),
        Route(
            method="POST",
            path="/users",
            handler=_make,
            summary="Refused: there is one user.",
            tag="settings",
            body={"type": "object", "properties": {"username": {"type": "string"}}},
            status=400,
        ),
    ]


async def _get(request: web.Request) -> web.StreamResponse:
    return json_response({"storage": "server", "migrated": True})


async def _make(request: web.Request) -> web.StreamResponse:
    raise Refusal(400, "single_user", "This server keeps the data of one user; it makes no others.")
