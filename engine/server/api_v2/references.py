"""References to assets in a workflow: `{"__type": "core/ASSET", "info": {"id": …}}` in place of the name of a file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from engine.server.api_v2.asset_index import Asset
from engine.server.api_v2.problems import Problem

TAG: Final = "__type"
ASSET: Final = "core/ASSET"


async def resolve(
    workflow: Any, find: Callable[[dict[str, Any]], Awaitable[Asset | None]], *, large: bool = False
) -> list[Asset]:
    """Put the names of files in the place of all references in `workflow`, which is changed; the assets they meant.

    `large`: look for them on a thread.

    Raises Problem 422 that names every reference which means none.
    """
    found: dict[str, Asset] = {}
    missing: list[str] = []
    references = await asyncio.to_thread(_references, workflow) if large else _references(workflow)
    for place, key, info in references:
        asset = await find(info) if isinstance(info, dict) else None
        if asset is None:
            missing.append(_told(info))
        else:
            place[key] = asset.value
            found[asset.id] = asset
    if missing:
        message = (
            f"The workflow names {len(missing)} assets that are not here: {', '.join(missing[:5])}. Upload them first."
        )
        raise Problem(422, "missing_asset", message, {"missing_ids": missing})
    return list(found.values())


def _references(workflow: Any) -> list[tuple[Any, Any, Any]]:
    """(container, key in it, `info`) of each reference; without recursion, as depth is the client's."""
    found: list[tuple[Any, Any, Any]] = []
    waiting: list[Any] = [workflow]
    while waiting:
        container = waiting.pop()
        items = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in items:
            if isinstance(value, dict) and value.get(TAG) == ASSET:
                found.append((container, key, value.get("info")))
            elif isinstance(value, dict | list):
                waiting.append(value)
    return found


def _told(info: Any) -> str:
    for name in ("id", "hash"):
        if isinstance(info, dict) and isinstance(info.get(name), str):
            return str(info[name])[:100]
    return "a reference without info.id"
