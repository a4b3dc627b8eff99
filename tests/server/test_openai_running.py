"""Waiting for the runs of one request."""

from __future__ import annotations

import asyncio
import gc
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.server.openai.models import Model
from engine.server.openai.running import Runs
from engine.server.workflows.runner import RunService


class _Endless:
    """A service whose runs do not end."""

    async def start(self, *arguments: Any, **options: Any) -> None:
        """Nothing."""

    async def wait(self, job_id: str) -> None:
        await asyncio.Event().wait()


def test_a_client_that_has_gone_leaves_nothing_behind_that_the_loop_complains_of() -> None:
    complaints: list[dict[str, Any]] = []

    async def waited() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        model = cast(Model, SimpleNamespace(workflow=SimpleNamespace(name="any")))
        runs = Runs(cast(RunService, _Endless()), model, "job")
        await runs.start({})
        await runs.start({})
        with pytest.raises(ConnectionResetError):
            await runs.results(cast(Any, SimpleNamespace(transport=None)))
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(waited())
    assert complaints == []
