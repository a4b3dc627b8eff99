"""Fixtures of the server's tests."""

from __future__ import annotations

import asyncio
import http.client
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from engine.server.guards import RUNNER, Policy, install_guards
from engine.server.limits import Limits
from engine.server.routing import Route, register
from tests.harness import PATIENCE

Guarded: TypeAlias = Callable[..., AbstractAsyncContextManager[TestClient]]


@pytest.fixture
def guarded() -> Guarded:
    """`async with guarded(routes, policy, limits) as client`: a server on loopback with the guards before the routes."""

    @asynccontextmanager
    async def serve(
        routes: Sequence[Route], policy: Policy | None = None, limits: Limits | None = None
    ) -> AsyncIterator[TestClient]:
        app = web.Application()
        install_guards(app, policy or Policy(), limits)
        register(app, routes)
        server = TestServer(app)
        await server.start_server(**RUNNER)
        async with TestClient(server) as client:
            yield client

    return serve


class Answer(NamedTuple):
    """What the server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Whole:
    """A running server with all its routes, store and queue, but without workers: jobs are taken and wait."""

    base: Path
    port: int
    description: dict[str, Any]
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request whose target is taken letter by letter. Raises TimeoutError when no answer comes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.putrequest(method, target, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None and "Content-Length" not in (headers or {}):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def is_well(self) -> bool:
        """Whether it answers and still takes jobs."""
        prompt = {"1": {"class_type": "PreviewAny", "inputs": {"source": "well"}}}
        posted = self.ask("POST", "/prompt", msgspec.json.encode({"prompt": prompt}))
        return posted.status == 200 and self.ask("GET", "/queue").status == 200


@pytest.fixture(scope="session")
def whole_servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., AbstractContextManager[Whole]]:
    """`with whole_servers(policy, limits) as server`: a server in a thread of its own."""
    from engine.plugins.opening import load_library
    from engine.server.run import _loop_factory

    library = load_library(("nodes",))

    @contextmanager
    def start(
        policy: Policy | None = None, limits: Limits | None = None, store: Mapping[str, Any] | None = None
    ) -> Iterator[Whole]:
        base = tmp_path_factory.mktemp("whole") / "base"
        base.mkdir()
        started: list[Whole] = []
        ready, end = threading.Event(), asyncio.Event()

        def run() -> None:
            try:
                with asyncio.Runner(loop_factory=_loop_factory()) as runner:  # the loop that servers run on
                    told = (policy or Policy(), limits or Limits(), store or {})
                    runner.run(_serve(base, library, *told, started, ready, end))
            finally:
                ready.set()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        ready.wait(PATIENCE)
        assert started, "the server did not start"
        yield started[0]
        started[0].loop.call_soon_threadsafe(end.set)
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server did not end"

    return start


@pytest.fixture(scope="session")
def whole(whole_servers: Callable[..., AbstractContextManager[Whole]]) -> Iterator[Whole]:
    """A whole server on loopback, shared by all tests."""
    limits = Limits(max_upload_size=2_000_000, max_body=2_000_000, max_pixels=1_000_000)
    with whole_servers(limits=limits) as server:
        yield server


async def _no_reload(force):
    """There are no workers to start again."""


async def _serve(
    base: Path,
    library: Any,
    policy: Policy,
    limits: Limits,
    store_options: Mapping[str, Any],
    started: list[Whole],
    ready: threading.Event,
    end: asyncio.Event,
) -> None:
    from engine.jobs.dispatch import Dispatcher
    from engine.jobs.inspections import Inspections
    from engine.jobs.pack_calls import PackCalls
    from engine.jobs.store import JobStore
    from engine.paths import Paths
    from engine.server.app import Parts, all_routes, make_application
    from engine.server.catalogues import Catalogues
    from engine.server.follow import JobFollower
    from engine.server.hub import Hub
    from engine.server.log_ring import LogRing
    from engine.server.openapi import describe
    from engine.server.options import ServeOptions
    from engine.server.packs import Packs
    from engine.server.routes.object_info import ObjectInfo
    from engine.server.routes.system import SystemInfo

    ring = LogRing()
    logging.getLogger("safelight").addHandler(ring)
    paths = Paths(base)
    store = JobStore(base / "jobs.db", **store_options)
    hub = Hub(dict, lambda only: {"exec_info": {"queue_remaining": dispatcher.remaining_of(only)}}, ring, limits)
    dispatcher = Dispatcher(store, lambda job: JobFollower(job, hub), hub.tell_status)
    catalogues = Catalogues(lambda as_it_is: library)
    opened = asyncio.Event()
    packs = Packs(PackCalls(list), catalogues, hub, paths)
    info = ObjectInfo(packs.catalogue, paths)
    inspections, system = Inspections(list), SystemInfo()
    parts = Parts(
        paths,
        store,
        dispatcher,
        inspections,
        hub,
        catalogues,
        system,
        ring,
        "0",
        opened,
        packs,
        info,
        _no_reload,
        limits,
    )
    runner = web.AppRunner(make_application(parts, ServeOptions(), policy, limits), **RUNNER)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    await dispatcher.load(await store.open())
    opened.set()
    await catalogues.read()
    port = site._server.sockets[0].getsockname()[1]
    started.append(Whole(base, port, describe(all_routes(parts, limits)), asyncio.get_running_loop()))
    ready.set()
    await end.wait()
    await hub.close()
    await runner.cleanup()
    await store.close()
    logging.getLogger("safelight").removeHandler(ring)
