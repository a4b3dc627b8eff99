"""Running workflows for a request that waits: they end with it when its client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from engine.server.openai.models import Model
from engine.server.watching import Listener
from engine.server.workflows.results import CallResult
from engine.server.workflows.runner import RunService

_LOOK: Final = 1.0
"""Seconds between two looks at whether the client is still there."""


class Runs:
    """The runs of one request. `close` cancels those that have not ended: nobody else can ask for what they give."""

    def __init__(self, service: RunService, model: Model) -> None:
        self._service = service
        self._model = model
        self._ids: list[str] = []

    async def start(
        self,
        arguments: Mapping[str, Any],
        *,
        as_text: bool = False,
        listener: Listener | None = None,
        previews: bool = False,
    ) -> str:
        """Start one; its job id. Raises as `RunService.start`."""
        options = {"extra_data": {"preview_method": "auto"}} if previews else {}
        started = await self._service.start(
            self._model.workflow.name, arguments, as_text=as_text, options=options, listener=listener
        )
        self._ids.append(started.job_id)
        return started.job_id

    async def results(self, request: web.Request | None = None) -> Sequence[CallResult]:
        """What all gave, in order, once they have ended. Raises ConnectionResetError when the client of `request` has gone."""
        waiting = asyncio.gather(*(self._service.wait(one) for one in self._ids))
        try:
            while not waiting.done():
                await asyncio.wait([waiting], timeout=_LOOK)
                if request is not None and (request.transport is None or request.transport.is_closing()):
                    raise ConnectionResetError("the client has gone")
            return await waiting
        finally:
            waiting.cancel()

    def close(self) -> None:
        """Cancel what has not ended."""
        for one in self._ids:
            self._service.cancel(one)
