"""Scripts that node packs bring for the editor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from engine.server.refusals import json_response
from engine.server.routing import Route


def extension_routes(scripts: Callable[[], Sequence[str]] = tuple) -> list[Route]:
    """`/extensions`: the paths of `scripts`, which the editor imports one by one."""

    async def extensions(request: web.Request) -> web.StreamResponse:
        return json_response(list(scripts()))

    return [
        Route(
            method="GET",
            path="/extensions",
            handler=extensions,
            summary="Paths of the scripts that the editor imports.",
            tag="nodes",
            answer=list[str],
        )
    ]
