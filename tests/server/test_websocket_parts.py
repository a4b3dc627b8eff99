"""Websockets and the kept log by their parts: frames, pictures, clients that come back or do not read, and listeners."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer

from engine.server.hub import Client, Hub, _frame_head
from engine.server.limits import Limits
from engine.server.log_ring import LogRing


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, "8100"),
        (125, "817d"),
        (126, "817e007e"),
        (65535, "817effff"),
        (65536, "817f0000000000010000"),
    ],
)
def test_the_head_of_a_frame_has_the_shortest_form_of_its_length(length: int, head: str) -> None:
    assert _frame_head(length, WSMsgType.TEXT).hex() == head
    assert _frame_head(length, WSMsgType.BINARY).hex() == head.replace("81", "82", 1)


def client(**limits: int) -> Client:
    socket: Any = None
    return Client("me", socket, Limits(**limits))


def waiting(one: Client) -> list[bytes]:
    return [message for message, _ in one._waiting]


def test_a_picture_with_its_metadata_has_their_length_ahead() -> None:
    one = client()
    one.send_result(b"picture", {"node": "1"})
    one.flags = {"supports_preview_metadata": True}
    one.send_result(b"picture", {"node": "1"})
    plain, full = waiting(one)
    assert plain == b"\0\0\0\x01\0\0\0\x02picture"
    length = int.from_bytes(full[4:8], "big")
    assert full[:4] == b"\0\0\0\x04"
    assert json.loads(full[8 : 8 + length]) == {"node": "1", "image_type": "image/png"}
    assert full[8 + length :] == b"picture"


def test_pictures_and_texts_that_wait_are_counted_apart() -> None:
    one = client(max_ws_pending=100, max_ws_pictures=1000)
    one.send_bytes(bytes(1000))
    one.send_encoded(bytes(100))
    assert not one.closed
    one.send_encoded(b"x")
    assert one.closed
    other = client(max_ws_pending=100, max_ws_pictures=1000)
    other.send_bytes(bytes(1001))
    assert other.closed


def test_a_client_that_comes_back_keeps_what_it_announced() -> None:
    async def story() -> tuple[dict[str, Any], bool]:
        hub = Hub(dict, lambda only: {}, LogRing(), Limits())
        app = web.Application()
        app.router.add_get("/ws", hub.serve)
        async with TestClient(TestServer(app)) as browser, browser.ws_connect("/ws?clientId=me") as first:
            await first.receive_json()
            await first.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
            await first.receive_json()
            async with browser.ws_connect("/ws?clientId=me") as second:
                await second.receive_json()
                back = hub.client("me")
                assert back is not None
                return back.flags, back.wants_previews

    assert asyncio.run(story()) == ({"supports_preview_metadata": True}, True)


def test_an_old_connections_end_leaves_the_one_that_took_its_place() -> None:
    async def story() -> list[bool]:
        hub = Hub(dict, lambda only: {}, LogRing(), Limits())
        app = web.Application()
        app.router.add_get("/ws", hub.serve)
        there = []
        async with TestClient(TestServer(app)) as browser, browser.ws_connect("/ws?clientId=me") as first:
            await first.receive_json()
            async with browser.ws_connect("/ws?clientId=me") as second:
                await second.receive_json()
                await first.receive()  # it is closed
                while len(hub) > 1:
                    await asyncio.sleep(0.01)
                there.append(hub.client("me") is not None)
            while len(hub):
                await asyncio.sleep(0.01)
            there.append(hub.client("me") is not None)
        return there

    assert asyncio.run(story()) == [True, False]


def test_listeners_hear_each_line_once_and_not_what_they_log_themselves() -> None:
    ring, heard = LogRing(), []

    def listener(entries: list[dict[str, str]]) -> None:
        heard.extend(entry["m"] for entry in entries)
        ring.add("logged by the listener")

    forget = ring.listen(listener)
    ring.add("one")
    ring.add("two")
    forget()
    ring.add("three")
    assert heard == ["one\n", "two\n"]
    assert [entry.m for entry in ring.entries()] == [
        "one\n",
        "logged by the listener\n",
        "two\n",
        "logged by the listener\n",
        "three\n",
    ]


def test_a_line_of_the_log_is_kept_in_part_and_with_its_time() -> None:
    ring = LogRing(capacity=2)
    ring.add("x" * 30_000)
    record = logging.LogRecord("a", logging.INFO, "", 1, "late", (), None)
    record.created = 86400.25
    ring.emit(record)
    long, late = ring.entries()
    assert len(long.m) == 20_001
    assert late.t == "1970-01-02T00:00:00.250Z"
