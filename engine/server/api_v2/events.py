"""What happens to a job, as server-sent events: `status`, `progress`, `preview` and `output`.

A stream begins with where the job stands and ends with its last status, which all outputs precede. There is no replay: every
event tells the whole of what it is about, and a client that comes back gets the present state at once. What is told is what has
changed since it was last told, at most some times a second; nobody needs the steps between.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from engine.jobs.messages import JobPreview
from engine.server.api_v2.asset_index import Asset, AssetIndex
from engine.server.api_v2.assets import output_document
from engine.server.api_v2.job_documents import ENDED, JobDocuments, ended_progress, progress_document
from engine.server.sse import EventStream
from engine.server.watching import Watches

EVERY: Final = 0.1
"""Seconds between two looks at a job, at least."""

LOOK: Final = 2.0
"""Seconds after which a job is looked at though nothing was heard of it: its place in the queue changes."""


class JobEvents:
    """Streams of the events of jobs."""

    def __init__(self, documents: JobDocuments, watches: Watches, index: AssetIndex) -> None:
        self._documents = documents
        self._watches = watches
        self._index = index

    async def serve(self, request: web.Request, job_id: str, base: str) -> web.StreamResponse:
        """Answer with the events of a job that there is. Raises Refusal 429 when too many streams are open."""
        stream, bell = EventStream(request), asyncio.Event()
        stop = self._watches.watch(job_id, lambda event: bell.set())
        teller = asyncio.create_task(self._tell(stream, bell, job_id, base))
        try:
            return await stream.serve()
        finally:
            stop()
            teller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await teller

    async def _tell(self, stream: EventStream, bell: asyncio.Event, job_id: str, base: str) -> None:
        told = _Told(stream, base)
        try:
            while not stream.closed:
                bell.clear()
                if not await self._look(told, job_id):
                    return
                await asyncio.sleep(EVERY)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await bell.wait()
        finally:
            stream.close()

    async def _look(self, told: _Told, job_id: str) -> bool:
        """Tell what is new; whether more may come."""
        job = self._documents.active(job_id)
        if job is None:
            entry = await self._documents.entry(job_id)
            if entry is not None:
                told.progress(ended_progress(entry.outcome)[0])
                notes = (await self._index.notes([job_id]))[job_id]
                told.outputs(await self._documents.outputs_of(entry, notes))
            told.status(ENDED[entry.outcome.status] if entry is not None else "canceled", None)
            return False
        told.status(self._documents.status(job), self._documents.position(job_id))
        counter = self._documents.counter(job_id)
        if counter is not None:
            told.progress(progress_document(counter))
            told.preview(counter.preview)
            if told.shows_more(counter.shown):
                told.outputs(await self._documents.outputs_so_far(job))
        return True


class _Told:
    """What a client knows already."""

    def __init__(self, stream: EventStream, base: str) -> None:
        self._stream = stream
        self._base = base
        self._last: dict[str, Any] = {}
        self._shown: dict[str, Any] = {}
        self._outputs: set[str] = set()

    def status(self, status: str, position: int | None) -> None:
        place = {"queue_position": position} if position is not None else {}
        self._changed("status", {"status": status, **place}, replaces=None)

    def progress(self, progress: dict[str, Any] | None) -> None:
        if progress is not None:
            self._changed("progress", progress, replaces="progress")

    def preview(self, preview: JobPreview | None) -> None:
        if preview is not None and self._last.get("preview") is not preview:
            self._last["preview"] = preview
            data = {
                "node_id": preview.display_node,
                "content_type": f"image/{preview.format}",
                "data_base64": base64.b64encode(preview.data).decode(),
            }
            self._stream.send("preview", data, replaces="preview")

    def shows_more(self, shown: Mapping[str, Any]) -> bool:
        """Whether nodes have shown something since this was last asked."""
        new = {node: ui for node, ui in shown.items() if self._shown.get(node) is not ui}
        self._shown.update(new)
        return bool(new)

    def outputs(self, outputs: Sequence[Asset]) -> None:
        for asset in outputs:
            if asset.id not in self._outputs:
                self._outputs.add(asset.id)
                self._stream.send("output", output_document(asset, self._base))

    def _changed(self, event: str, data: dict[str, Any], *, replaces: str | None) -> None:
        if self._last.get(event) != data:
            self._last[event] = data
            self._stream.send(event, data, replaces=replaces)
