from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from engine.graph.schema import Catalogue
from engine.server.catalogues import Catalogues
from engine.server.refusals import Refusal


def library(catalogue: Catalogue) -> Any:
    return SimpleNamespace(catalogue=catalogue, problems=[])


def test_who_waits_for_the_catalogue_gets_it_once_a_worker_has_made_it():
    made = Catalogue()

    async def wait() -> Catalogue:
        catalogues = Catalogues(lambda as_it_is: library(made) if as_it_is else None)
        assert not await catalogues.read()
        waiting = asyncio.create_task(catalogues.get())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert await catalogues.read(as_it_is=True)
        return await waiting

    assert asyncio.run(wait()) is made


def test_who_waits_is_refused_with_the_reason_when_the_catalogue_cannot_come():
    async def wait() -> None:
        catalogues = Catalogues(lambda as_it_is: None)
        waiting = asyncio.create_task(catalogues.get())
        await asyncio.sleep(0)
        catalogues.give_up("Worker 0 ended with exit code 1.")
        await waiting

    with pytest.raises(Refusal, match=r"Worker 0 ended with exit code 1\.") as refused:
        asyncio.run(wait())
    assert refused.value.status == 503


def test_a_catalogue_that_comes_after_all_is_given():
    made = Catalogue()

    async def ask() -> Catalogue:
        catalogues = Catalogues(lambda as_it_is: library(made))
        catalogues.give_up("It is late.")
        await catalogues.read()
        return await catalogues.get()

    assert asyncio.run(ask()) is made
