"""Running workflows for a request that waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from engine.server.large_bodies import BODIES
from engine.server.openai.models import Model
from engine.server.tokens import refuse_when_revoked
from engine.server.watching import Listener
from engine.server.workflows.results import CallResult
from engine.server.workflows.runner import RunService

_LOOK: Final = 1.0
"""Seconds between two looks at whether the client is still there."""


class Runs:
    """The runs of one request, whose jobs have ids that begin with `name`.

    `close` cancels those that have not ended, as nobody else can ask for what they give; but not when they are to be `kept`,
    because the request may come again.
    """

    def __init__(self, service: RunService, model: Model, name: str, *, kept: bool = False) -> None:
        self._service = service
        self._model = model
        self._name = name
        self._kept = kept
        self._ids: list[str] = []

    async def start(
        self,
        arguments: Mapping[str, Any],
        *,
        as_text: bool = False,
        listener: Listener | None = None,
        previews: bool = False,
    ) -> None:
        """Start one, unless it was started by the same request before. Raises as `RunService.start`."""
        job_id = f"{self._name}-{len(self._ids)}"
        if not self._kept or not await self._service.knows(job_id):
            options = {"extra_data": {"preview_method": "auto"}} if previews else {}
            name = self._model.workflow.name
            await self._service.start(
                name, arguments, job_id=job_id, as_text=as_text, options=options, listener=listener
            )
        self._ids.append(job_id)

    async def results(self, request: web.Request | None = None) -> Sequence[CallResult]:
        """What all gave, in order, once they have ended.

        Raises ConnectionResetError when the client of `request` has gone, Refusal 401 when its token is good no more.
        """
        waiting = asyncio.gather(*(self._service.wait(one) for one in self._ids))
        try:
            while not waiting.done():
                await asyncio.wait([waiting], timeout=_LOOK)
                if request is not None and (request.transport is None or request.transport.is_closing()):
                    raise ConnectionResetError("the client has gone")
                if request is not None and not waiting.done():
                    refuse_when_revoked(request)
            return await waiting
        finally:
            waiting.add_done_callback(_heard)
            waiting.cancel()

    def close(self) -> None:
        """Cancel what has not ended."""
        for one in self._ids if not self._kept else ():
            self._service.cancel(one)


def _heard(waiting: asyncio.Future[Any]) -> None:
    """Nobody waits any more, and that is no error which asyncio has to tell of."""
    if not waiting.cancelled():
        waiting.exception()


def let_go(request: web.Request) -> None:
    """Give the turn of a large body to others: what came with the request is on disk, and the run may take long."""
    bodies = request.app.get(BODIES)
    if bodies is not None:
        bodies.let_go(request)
