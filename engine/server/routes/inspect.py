"""What travelled on a link: any output of any node of a job, in words and numbers, or as a small picture."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from aiohttp import web

from engine.graph.schema import Catalogue
from engine.jobs.dispatch import Dispatcher
from engine.jobs.inspections import Asked, Graph, Inspections, NoWorkerError
from engine.jobs.messages import Inspected
from engine.jobs.records import Job
from engine.jobs.store import JobStore
from engine.jobs.values import ValueDescription
from engine.server.checks import Checks
from engine.server.graph_source import Posted
from engine.server.principals import principal_of
from engine.server.refusals import Refusal, json_response
from engine.server.routes.history import whole_number
from engine.server.routing import Query, Route

AS: Final = ("description", "thumbnail")

_GONE: Final = {
    "not_run": "This node gave nothing in that run: it was not needed, failed, or may not be reused. Run again to see.",
    "no_slot": "The node has no such output.",
    "gone": "The value is no longer in the cache; run again to see it.",
}


class InspectRoutes:
    """Handlers around the workers' cache."""

    def __init__(
        self,
        inspections: Inspections,
        dispatcher: Dispatcher,
        store: JobStore,
        catalogue: Callable[[], Awaitable[Catalogue]],
        listing: Callable[[str, str], Sequence[str]],
    ) -> None:
        self._inspections = inspections
        self._dispatcher = dispatcher
        self._store = store
        self._catalogue = catalogue
        self._checks = Checks(listing)

    def routes(self) -> list[Route]:
        """Their declarations."""
        return [
            Route(
                method="GET",
                path="/api/v1/jobs/{job}/nodes/{node}/outputs/{slot}",
                handler=self.show,
                summary="A value that travelled on a link: in words and numbers, or (`as=thumbnail`) as a small WebP.",
                tag="jobs",
                query=(
                    Query(name="node", doc="The node's id in the prompt form, such as `5`, or `5:12` in a subgraph."),
                    Query(name="slot", doc="Which output, from 0.", schema={"type": "integer", "minimum": 0}),
                    Query(name="as", schema={"enum": list(AS)}),
                    Query(name="item", doc="Which value of a list, from 0.", schema={"type": "integer", "minimum": 0}),
                ),
                answer=ValueDescription,
                refusals={
                    404: "No such job, node or output, or the value is no longer in the cache.",
                    503: "No worker is there to look.",
                },
                api_only=True,
            )
        ]

    async def show(self, request: web.Request) -> web.Response:
        wanted = request.query.get("as", AS[0])
        if wanted not in AS:
            raise Refusal(
                400, "invalid_query", f"as: expected one of {', '.join(AS)}, got {wanted[:80]!r}.", field="as"
            )
        picture = wanted == "thumbnail"
        asked = Asked(
            request.match_info["job"],
            request.match_info["node"],
            _slot(request),
            min(whole_number(request, "item", 0, least=0) or 0, 1 << 31),
            picture,
        )
        await self._check_owner(request, asked.job)
        found = await self._find(asked)
        if not picture:
            return json_response(found.description)
        if not found.file:
            raise Refusal(404, "no_picture", "There is no picture of a value of this kind.")
        # What a job gave never changes, but the job's id may be looked at while it still runs.
        headers = {"Cache-Control": "private, max-age=60"}
        return web.Response(body=found.file, content_type="image/webp", headers=headers)

    async def _find(self, asked: Asked) -> Inspected:
        async def graph() -> Graph:
            return await self._graph(asked.job)

        try:
            found = await self._inspections.ask(asked, graph)
        except NoWorkerError as error:
            raise Refusal(503, "no_worker", str(error)) from None
        if found.result != "found":
            raise Refusal(404, f"value_{found.result}", _GONE.get(found.result, "There is no such value."))
        return found

    async def _check_owner(self, request: web.Request, job_id: str) -> None:
        """Raises Refusal 404 for a job of somebody else's, as for one that is not there."""
        whose = principal_of(request)
        if whose.is_admin:
            return
        job = self._dispatcher.get(job_id)
        if job is None and (entry := await self._store.history_entry(job_id)) is not None:
            job = entry.job
        if job is None or not whose.owns(job.owner):
            raise _unknown(job_id)

    async def _graph(self, job_id: str) -> Graph:
        """The graph of a job that a worker does not know (any more). Raises Refusal 404."""
        running = self._dispatcher.running.get(job_id)
        if running is not None:
            return Graph((await self._store.whole(running.job)).checked, running.job.outputs)
        if job_id in self._dispatcher.queue:
            raise Refusal(404, "value_not_run", "The job still waits.")
        entry = await self._store.history_entry(job_id)
        if entry is None:
            raise _unknown(job_id)
        catalogue = await self._catalogue()
        return await asyncio.to_thread(self._checked, entry.job, catalogue)

    def _checked(self, job: Job, catalogue: Catalogue) -> Graph:
        posted = Posted(msgspec.json.decode(job.prompt), None, {}, {}, [])
        found = self._checks.check(posted, catalogue, list(job.outputs))
        return Graph(found.checked, found.outputs)


def _unknown(job_id: str) -> Refusal:
    return Refusal(404, "unknown_job", f"There is no job {job_id[:80]!r}.")


def _slot(request: web.Request) -> int:
    text = request.match_info["slot"]
    if not text.isdecimal() or len(text) > 9:
        raise Refusal(404, "value_no_slot", f"slot: expected a whole number from 0, got {text[:80]!r}.", field="slot")
    return int(text)
