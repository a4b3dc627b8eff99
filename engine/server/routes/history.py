"""The history: what jobs showed, how they ended, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from engine.jobs.records import HistoryEntry
from engine.jobs.store import JobStore
from engine.server.bodies import read_json
from engine.server.principals import principal_of
from engine.server.refusals import Refusal, json_response
from engine.server.routes.queue import QueueChange, queue_item
from engine.server.routing import Query, Route
from engine.server.streams import streamed_json

MOST: Final = 1_000
"""Entries in one answer, the newest ones, when the client names no number."""


AT_ONCE: Final = 4 * 1024 * 1024
"""Bytes of entries that are read and sent as one; more of them are sent one by one."""

encode = msgspec.json.Encoder().encode


class HistoryRoutes:
    """Handlers around the store."""

    def __init__(self, store: JobStore) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """Their declarations."""
        return [
            Route(
                method="GET",
                path="/history",
                handler=self.show,
                summary="Jobs that have ended, oldest first; `max_items` without `offset` means the newest ones.",
                tag="history",
                query=(
                    Query(name="max_items", doc="At most so many.", schema={"type": "integer", "minimum": 0}),
                    Query(name="offset", doc="Leave out so many of the oldest.", schema={"type": "integer"}),
                ),
                answer=_HISTORY,
                refusals={400: "A number is none."},
            ),
            Route(
                method="GET",
                path="/history/{prompt_id}",
                handler=self.one,
                summary="One job that has ended, or `{}`.",
                tag="history",
                answer=_HISTORY,
            ),
            Route(
                method="POST",
                path="/history",
                handler=self.change,
                summary="Delete entries: all (`clear`), or those in `delete`. Their pictures stay.",
                tag="history",
                body=QueueChange,
            ),
        ]

    async def show(self, request: web.Request) -> web.StreamResponse:
        most = whole_number(request, "max_items", None, least=0)
        offset = whole_number(request, "offset", None)
        only = principal_of(request).only
        part = {"max_items": most if most is not None else MOST, "offset": offset}
        sizes = await self._store.history_sizes(**part, owner=only)
        if sum([size for _, size in sizes]) > AT_ONCE:
            return await streamed_json(request, b"{", self._one_by_one([id for id, _ in sizes]), b"}")
        entries = await self._store.history(**part, owner=only)
        return json_response({entry.job.id: history_item(entry) for entry in entries})

    async def _one_by_one(self, ids: Sequence[str]) -> AsyncIterator[bytes]:
        for id in ids:
            entry = await self._store.history_entry(id)
            if entry is not None:
                yield encode(id) + b":" + encode(history_item(entry))

    async def one(self, request: web.Request) -> web.Response:
        entry = await self._store.history_entry(request.match_info["prompt_id"])
        known = entry is not None and principal_of(request).owns(entry.job.owner)
        return json_response({entry.job.id: history_item(entry)} if entry is not None and known else {})

    async def change(self, request: web.Request) -> web.Response:
        wish = await read_json(request, QueueChange)
        only = principal_of(request).only
        if wish.clear:
            await self._store.clear_history(only)
        elif wish.delete:
            await self._store.delete_history(wish.delete, only)
        return web.Response()


def history_item(entry: HistoryEntry) -> dict[str, Any]:
    """An entry of the history, as the convention has it; `nodes` (what ran, what was reused, seconds) is ours."""
    outcome = entry.outcome
    return {
        "prompt": queue_item(entry.job),
        "outputs": msgspec.Raw(outcome.outputs),
        "status": {
            "status_str": "success" if outcome.status == "done" else "error",
            "completed": outcome.status == "done",
            "messages": msgspec.Raw(outcome.messages),
        },
        "meta": msgspec.Raw(outcome.meta),
        "nodes": msgspec.Raw(outcome.nodes),
    }


def whole_number(request: web.Request, name: str, default: int | None, *, least: int | None = None) -> int | None:
    """A whole number of the query string. Raises Refusal 400."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or (least is not None and number < least) or abs(number) > 2**53:
        expected = "a whole number" if least is None else f"a whole number from {least}"
        raise Refusal(400, "invalid_query", f"{name}: expected {expected}, got {text[:80]!r}.", field=name)
    return number


_HISTORY: Final = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["prompt", "outputs", "status", "meta"],
        "properties": {
            "prompt": {"type": "array"},
            "outputs": {"type": "object"},
            "status": {
                "type": "object",
                "properties": {
                    "status_str": {"enum": ["success", "error"]},
                    "completed": {"type": "boolean"},
                    "messages": {"type": "array"},
                },
            },
            "meta": {"type": "object"},
            "nodes": {"type": "object"},
        },
    },
}
