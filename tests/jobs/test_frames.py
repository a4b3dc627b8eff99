"""Messages as frames over a connection."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.execute.events import Counts, NodeFinished, RunFinished
from engine.jobs.frames import MAX_FRAME, FrameError, Frames, Unframer, frame
from engine.jobs.messages import CancelJob, FromWorker, Hello, JobEvents, RunJob, Shutdown, ToWorker
from tests.harness import PATIENCE

MESSAGES = [
    CancelJob("a"),
    RunJob("b", b'{"1": {}}' * 50, ("1", "2"), b"{}", workflow=b"[1]"),
    Shutdown(),
    RunJob("c", b"x" * 70_000, (), b""),
]


@given(st.lists(st.integers(0, 71_000), max_size=20))
def test_messages_arrive_whole_and_in_order_however_their_bytes_are_cut(cuts: list[int]) -> None:
    data = b"".join(frame(message) for message in MESSAGES)
    got: list[Any] = []
    unframer = Unframer(ToWorker)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        unframer.feed(data[start:end], got.append)
    assert got == MESSAGES


@pytest.mark.parametrize("missing", [1, 2, 4, 5])
def test_a_message_is_told_with_its_last_byte(missing: int) -> None:
    got: list[Any] = []
    unframer = Unframer(ToWorker)
    data = frame(MESSAGES[0]) + frame(MESSAGES[1])
    unframer.feed(data[:-missing], got.append)
    assert got == MESSAGES[:1]
    unframer.feed(data[-missing:], got.append)
    assert got == MESSAGES[:2]


def test_bytes_one_by_one_give_the_same_messages() -> None:
    got: list[Any] = []
    unframer = Unframer(ToWorker)
    for byte in b"".join(frame(message) for message in MESSAGES[:3]):
        unframer.feed(bytes([byte]), got.append)
    assert got == MESSAGES[:3]


def test_events_keep_their_kinds() -> None:
    finished = NodeFinished(node="1", display_node="1", class_type="A", seconds=0.5, ui={"text": ["é"]})
    sent = JobEvents("a", [finished, RunFinished(status="done", counts=Counts(ran=1), seconds=1.0)])
    got: list[Any] = []
    Unframer(FromWorker).feed(frame(sent), got.append)
    assert got == [sent]


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        (MAX_FRAME + 1).to_bytes(4, "big"),
        b"\xff\xff\xff\xff",
        (3).to_bytes(4, "big") + b"\xc1\xc1\xc1",
        frame({"type": "Nothing"}),
        frame({"type": "CancelJob"}),
        frame({"type": "CancelJob", "job": 5}),
        frame(Hello(0, "", 1)),
        (0).to_bytes(4, "big"),
        (2000).to_bytes(4, "big") + b"\x91" * 2000,
    ],
)
def test_garbage_is_refused_after_the_messages_before_it(garbage: bytes) -> None:
    got: list[Any] = []
    with pytest.raises(FrameError):
        Unframer(ToWorker).feed(frame(Shutdown()) + garbage, got.append)
    assert got == [Shutdown()]


def test_an_announced_length_takes_no_memory_before_its_bytes_come() -> None:
    unframer = Unframer(ToWorker)
    unframer.feed(MAX_FRAME.to_bytes(4, "big"), lambda _: None)
    unframer.feed(b"abc", lambda _: None)
    assert len(unframer._rest) == 7


def test_a_message_longer_than_a_frame_is_refused_where_it_is_sent() -> None:
    with pytest.raises(ValueError, match="at most"):
        frame(None, lambda _: bytes(MAX_FRAME + 1))


def test_what_is_sent_in_one_turn_arrives_in_order_and_closing_loses_none_of_it() -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        got: list[Any] = []
        closed = loop.create_future()
        server = await loop.create_server(lambda: Frames(ToWorker, got.append, closed.set_result), "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        _, client = await loop.create_connection(lambda: Frames(FromWorker, got.append, lambda _: None), host, port)
        for message in MESSAGES:
            client.send(message)
        client.close()
        assert await asyncio.wait_for(closed, PATIENCE) is None
        client.send(Shutdown())  # nobody hears it any more, and nothing is raised
        server.close()
        return got

    assert asyncio.run(main()) == MESSAGES


def test_a_connection_that_gets_garbage_ends_with_the_reason() -> None:
    async def main() -> Exception | None:
        loop = asyncio.get_running_loop()
        closed = loop.create_future()
        server = await loop.create_server(lambda: Frames(ToWorker, print, closed.set_result), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"\0\0\0\x05hello")
        error = await asyncio.wait_for(closed, PATIENCE)
        writer.close()
        server.close()
        return error

    error = asyncio.run(main())
    assert isinstance(error, FrameError)
    assert "none of the expected messages" in str(error)


def test_a_reader_that_stands_still_makes_the_connection_congested_until_it_reads_on() -> None:
    async def main() -> list[bool]:
        loop = asyncio.get_running_loop()
        got: list[Any] = []
        servers: list[Frames] = []

        def make() -> Frames:
            servers.append(Frames(ToWorker, got.append, lambda _: None))
            return servers[0]

        server = await loop.create_server(make, "127.0.0.1", 0)
        _, client = await loop.create_connection(
            lambda: Frames(FromWorker, print, lambda _: None), *server.sockets[0].getsockname()
        )
        while not servers:
            await asyncio.sleep(0.001)
        assert servers[0]._transport is not None
        servers[0]._transport.pause_reading()
        seen = [client.congested]
        while not client.congested:
            client.send(RunJob("a", bytes(4_000_000), (), b""))
            await asyncio.sleep(0)
        seen.append(client.congested)
        servers[0]._transport.resume_reading()
        while client.congested:
            await asyncio.sleep(0.001)
        client.close()
        server.close()
        return [*seen, client.congested]

    assert asyncio.run(asyncio.wait_for(main(), PATIENCE)) == [False, True, False]


def test_the_codec_is_msgpack_with_a_length_before_it() -> None:
    data = frame(CancelJob("a"))
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    assert msgspec.msgpack.decode(data[4:]) == {"type": "CancelJob", "job": "a"}
