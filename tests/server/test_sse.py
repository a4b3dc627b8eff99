"""Server-sent events: their form, replaced and bounded waiting, heartbeats, and clients that go away."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from engine.server.guards import RUNNER
from engine.server.sse import EventStream, event_bytes, install_streams
from tests.harness import PATIENCE


def served(told: Any, story: Any) -> None:
    """Run `story(client, streams)` against a server whose `/` is a stream that `told(stream)` was given."""
    streams: list[EventStream] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        stream = told(request)
        streams.append(stream)
        return await stream.serve()

    async def run() -> None:
        app = web.Application()
        install_streams(app)
        app.router.add_get("/", handler)
        server = TestServer(app)
        await server.start_server(**RUNNER)
        async with asyncio.timeout(PATIENCE), TestClient(server) as client:
            await story(client, streams)

    asyncio.run(run())


async def started(streams: list[EventStream]) -> EventStream:
    while not streams:
        await asyncio.sleep(0)
    return streams[0]


def test_an_event_is_its_name_id_and_json_and_no_text_breaks_out_of_it() -> None:
    assert event_bytes("status", {"a": 1}, id="7") == b'event: status\nid: 7\ndata: {"a":1}\n\n'
    assert event_bytes("a\nevent: b", {}, id="1\r\n2\0") == b"event: aevent: b\nid: 12\ndata: {}\n\n"
    assert event_bytes("x", b'{\r\n"a":1\n}') == b'event: x\ndata: {\ndata: "a":1\ndata: }\n\n'
    assert event_bytes("", {"t": "line\nbreak"}) == b'data: {"t":"line\\nbreak"}\n\n'


def test_what_was_queued_is_sent_in_order_and_replaced_ones_only_once() -> None:
    def told(request: web.Request) -> EventStream:
        stream = EventStream(request)
        stream.send("status", {"is": "running"})
        stream.send("progress", {"value": 1}, replaces="progress")
        stream.send("output", {"id": "a"})
        stream.send("progress", {"value": 2}, replaces="progress")
        stream.close()
        stream.send("late", {})
        return stream

    async def story(client: TestClient, streams: list[EventStream]) -> None:
        answer = await client.get("/", headers={"Last-Event-ID": "41"})
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        text = await answer.text()
        assert [line[7:] for line in text.splitlines() if line.startswith("event")] == ["status", "output", "progress"]
        assert '{"value":2}' in text
        assert streams[0].last_event_id == "41"
        assert streams[0].closed

    served(told, story)


def test_silence_is_broken_by_comments() -> None:
    async def story(client: TestClient, streams: list[EventStream]) -> None:
        answer = await client.get("/")
        assert await answer.content.readuntil(b"\n\n") == b": \n\n"
        (await started(streams)).send("status", {})
        while await answer.content.readline() != b"event: status\n":
            pass
        streams[0].close()
        await answer.read()

    served(lambda request: EventStream(request, heartbeat=0.01), story)


def test_a_client_that_goes_away_is_noticed() -> None:
    async def story(client: TestClient, streams: list[EventStream]) -> None:
        answer = await client.get("/")
        stream = await started(streams)
        assert not stream.gone
        answer.close()
        while not stream.gone:
            await asyncio.sleep(0.01)
        stream.send("late", {})
        assert stream.closed

    served(EventStream, story)


def test_one_that_does_not_read_is_cut_off() -> None:
    async def story(client: TestClient, streams: list[EventStream]) -> None:
        answer = await client.get("/")
        stream = await started(streams)
        while not stream.gone:
            stream.send("big", {"text": "x" * 1_000_000})
            await asyncio.sleep(0)
        answer.close()

    served(lambda request: EventStream(request, most_waiting=4_000_000), story)


def test_streams_end_with_the_server() -> None:
    async def story(client: TestClient, streams: list[EventStream]) -> None:
        answer = await client.get("/")
        stream = await started(streams)
        assert client.app is not None
        await client.app.shutdown()
        assert await answer.read() == b""
        assert stream.closed

    served(EventStream, story)


def test_one_message_larger_than_the_bound_reaches_a_client_that_reads() -> None:
    def told(request: web.Request) -> EventStream:
        stream = EventStream(request, most_waiting=1000)
        stream.send("progress", {"value": 1})
        stream.send("finished", {"picture": "x" * 5000})
        stream.close()
        return stream

    async def story(client: TestClient, streams: list[EventStream]) -> None:
        assert len(await (await client.get("/")).read()) > 5000

    served(told, story)
