"""Routes of the pack: the server passes such requests on to the worker, which has the pack's code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.api import route

if TYPE_CHECKING:
    from aiohttp import web

PALETTES = {
    "beach": "#264653 #2a9d8f #e9c46a #f4a261 #e76f51",
    "forest": "#132a13 #31572c #4f772d #90a955 #ecf39e",
    "print": "#000000 #ffffff #00aeef #ec008c #fff200",
}


@route("GET", "/example_pack/palettes")
async def palette_names(request: web.Request) -> list[str]:
    """The names of all palettes: what a handler returns is the answer as JSON."""
    return list(PALETTES)


@route("GET", "/example_pack/palettes/{name}")
async def palette_by_name(request: web.Request) -> Any:
    """The colours of one palette; a response of aiohttp says more than JSON could."""
    from aiohttp import web

    colors = PALETTES.get(request.match_info["name"])
    return {"colors": colors} if colors else web.json_response({"error": "no such palette"}, status=404)
