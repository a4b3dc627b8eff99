"""Waiting for the runs of one request."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from engine.server.openai import running
from engine.server.openai.models import Model
from engine.server.openai.running import Runs
from engine.server.principals import Principal, set_principal
from engine.server.refusals import Refusal
from engine.server.tokens import TOKENS, Tokens
from engine.server.workflows.runner import RunService


class _Endless:
    """A service whose runs do not end."""

    async def start(self, *arguments: Any, **options: Any) -> None:
        """Nothing."""

    async def wait(self, job_id: str) -> None:
        await asyncio.Event().wait()


MODEL = cast(Model, SimpleNamespace(workflow=SimpleNamespace(name="any")))


def test_who_waits_is_refused_once_the_token_is_revoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_LOOK", 0.01)

    async def waited() -> None:
        runs = Runs(cast(RunService, _Endless()), MODEL, "job")
        await runs.start({})
        app = web.Application()
        app[TOKENS] = Tokens(None, tmp_path / "tokens.json")  # there is none of that name (any more)
        transport = mock.Mock(is_closing=lambda: False)
        request = make_mocked_request("POST", "/", app=app, transport=transport)
        set_principal(request, Principal(name="alice", scopes=frozenset({"run"})))
        await runs.results(request)

    with pytest.raises(Refusal) as raised:
        asyncio.run(waited())
    assert raised.value.status == 401


def test_a_client_that_has_gone_leaves_nothing_behind_that_the_loop_complains_of() -> None:
    complaints: list[dict[str, Any]] = []

    async def waited() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        runs = Runs(cast(RunService, _Endless()), MODEL, "job")
        await runs.start({})
        await runs.start({})
        with pytest.raises(ConnectionResetError):
            await runs.results(cast(Any, SimpleNamespace(transport=None)))
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(waited())
    assert complaints == []
