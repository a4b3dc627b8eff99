"""Translations that node packs bring: `locales/LANGUAGE/{main,nodeDefs,commands,settings}.json` beside their code."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from engine.server.refusals import json_response
from engine.server.routes.pack_templates import PackFolders
from engine.server.routing import Route

MAIN: Final = "main"
PARTS: Final = ("nodeDefs", "commands", "settings")
"""Files whose content stands under their own name; that of `main.json` stands beside them."""

_LARGEST: Final = 16 * 1024**2

log = logging.getLogger("safelight.packs")


def translation_routes(folders: PackFolders) -> list[Route]:
    """`/i18n`."""

    async def translations(request: web.Request) -> web.StreamResponse:
        return json_response(await asyncio.to_thread(read_translations, await folders()))

    summary = "Translations that node packs bring, by language."
    return [
        Route(
            method="GET", path="/i18n", handler=translations, summary=summary, tag="system", answer={"type": "object"}
        )
    ]


def read_translations(folders: Mapping[str, Path]) -> dict[str, Any]:
    """Language → texts of all packs together, in the order of their names. A file that is no JSON object is left out."""
    found: dict[str, Any] = {}
    for _, folder in sorted(folders.items()):
        for place in sorted((folder / "locales").glob("*/")):
            texts = _object(place / f"{MAIN}.json")
            texts |= {part: texts_of for part in PARTS if (texts_of := _object(place / f"{part}.json"))}
            if texts:
                found[place.name] = merged(found.get(place.name, {}), texts)
    return found


def merged(first: Any, second: Any) -> Any:
    """Objects are merged by key and lists are joined; of anything else the second counts."""
    if isinstance(first, dict) and isinstance(second, dict):
        return {**first, **{key: merged(first[key], value) if key in first else value for key, value in second.items()}}
    if isinstance(first, list) and isinstance(second, list):
        return first + second
    return second


def _object(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return {}
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        log.warning("translations of a node pack cannot be read", extra={"file": str(path), "problem": str(error)})
        return {}
