"""Nonsense on the websocket: the connection may end, the server goes on, and other clients notice nothing."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import socket
import struct
import threading

import aiohttp
import pytest

from engine.server.limits import Limits
from tests.harness import PATIENCE, until

HANDSHAKE = (
    "GET /ws?clientId={client} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
    "Sec-WebSocket-Version": "13",
}
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def _frame(
    data: bytes, opcode: int = TEXT, *, fin: bool = True, masked: bool = True, length: int | None = None, bits: int = 0
):
    """A websocket frame, as wrong as wished."""
    size = len(data) if length is None else length
    head = bytes([(0x80 if fin else 0) | bits | opcode])
    mask = 0x80 if masked else 0
    if size < 126:
        head += bytes([mask | size])
    elif size < 2**16:
        head += bytes([mask | 126]) + struct.pack(">H", size)
    else:
        head += bytes([mask | 127]) + struct.pack(">Q", size)
    return head + (bytes(4) if masked else b"") + data


class Raw:
    """A websocket client without any manners."""

    def __init__(self, whole, client="raw"):
        self.socket = socket.create_connection(("127.0.0.1", whole.port), timeout=PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(HANDSHAKE.format(client=client, port=whole.port, key=key).encode())
        assert b" 101 " in self.socket.recv(4096).split(b"\r\n")[0]

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # closed by the server, as it may
            self.socket.sendall(data)

    def is_ended(self) -> bool:
        """Whether the server ends the connection; reads what it still sends."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self.socket.close()


def _deep(levels: int) -> str:
    return "[" * levels + "]" * levels


MESSAGES = [
    "",
    "null",
    "{",
    "[]",
    "5",
    '"feature_flags"',
    '{"type": "feature_flags"}',
    '{"type": "feature_flags", "data": null}',
    '{"type": "feature_flags", "data": []}',
    '{"type": ["feature_flags"], "data": {}}',
    '{"type": {"a": 1}}',
    '{"type": "feature_flags", "data": {"supports_preview_metadata": [[[]]], "": {}, "x": 1e308}}',
    '{"type": "feature_flags", "data": ' + '{"a":' * 500 + "1" + "}" * 500 + "}",
    _deep(100_000),
    '{"type": "no such thing", "data": {}}',
    '{"type": "execution_error", "data": {"prompt_id": "x"}}',
    json.dumps({"type": "feature_flags", "data": {f"flag {i}": True for i in range(20_000)}}),
    "\U0001f600" * 1000,
    "\u0000" * 100,
]


async def _hears(whole) -> bool:
    """Whether a well-behaved client is greeted and answered."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{whole.url}/ws?clientId=good", timeout=aiohttp.ClientWSTimeout(ws_close=PATIENCE)) as good,
    ):
        greeting = await good.receive_json(timeout=PATIENCE)
        await good.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        while True:
            message = await good.receive_json(timeout=PATIENCE)
            if message["type"] == "feature_flags":
                return greeting["type"] == "status" and greeting["data"]["sid"] == "good"


def _is_well(whole) -> bool:
    return asyncio.run(_hears(whole)) and whole.is_well()


@pytest.mark.parametrize("number", range(len(MESSAGES)))
def test_a_message_that_means_nothing_is_passed_over(whole, number):
    async def told() -> bool:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{whole.url}/ws") as bad:
            await bad.send_str(MESSAGES[number])
            await bad.send_bytes(MESSAGES[number].encode())
            await bad.send_json({"type": "feature_flags", "data": {}})
            while True:
                message = await bad.receive_json(timeout=PATIENCE)
                if message["type"] == "feature_flags":
                    return True

    assert asyncio.run(told())


BROKEN = {
    "bad UTF-8": _frame(b"\xff\xfe\xfd"),
    "unknown opcode": _frame(b"{}", 3),
    "reserved bits": _frame(b"{}", bits=0x70),
    "long ping": _frame(b"x" * 200, PING),
    "ping in pieces": _frame(b"x", PING, fin=False),
    "continuation of nothing": _frame(b"{}", 0),
    "text within text": _frame(b"a", fin=False) + _frame(b"b"),
    "larger than allowed": _frame(b"x" * 1_200_000),
    "larger than allowed, in pieces": _frame(b"x" * 600_000, fin=False) + _frame(b"x" * 600_000, 0),
    "a length without end": _frame(b"x", length=2**62),
    "bad close code": _frame(struct.pack(">H", 5), CLOSE),
    "close of one byte": _frame(b"x", CLOSE),
    "close with bad UTF-8": _frame(struct.pack(">H", 1000) + b"\xff", CLOSE),
    "HTTP again": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_frame_that_breaks_the_protocol_ends_its_own_connection_only(whole, name):
    client = Raw(whole)
    client.send(BROKEN[name])
    ended = client.is_ended()
    client.close()
    assert ended
    assert _is_well(whole)


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_on_a_websocket_do_no_harm(whole, seed):
    draw = random.Random(seed)
    for number in range(30):
        client = Raw(whole, f"random-{number}")
        for _ in range(draw.randint(1, 5)):
            data = draw.randbytes(draw.choice([1, 10, 1000, 70_000]))
            wrong = draw.random() < 0.3
            client.send(data if wrong else _frame(data, draw.randint(0, 15), fin=draw.random() < 0.8))
        client.close()
    assert _is_well(whole)


def test_half_a_handshake_or_half_a_frame_holds_nobody_up(whole):
    clients = [Raw(whole, f"half-{number}") for number in range(20)]
    for client in clients:
        client.send(_frame(b"x" * 1000)[:500])
    silent = [socket.create_connection(("127.0.0.1", whole.port)) for _ in range(20)]
    for one in silent:
        one.sendall(b"GET /ws HTTP/1.1\r\nHost: localh")
    assert _is_well(whole)
    for one in (*clients, *silent):
        one.close()


def test_many_clients_that_come_and_go_leave_nothing_behind(whole):
    before = threading.active_count()
    for _ in range(3):
        clients = [Raw(whole, f"many-{number % 40}") for number in range(100)]
        assert _is_well(whole)
        for number, client in enumerate(clients):
            if number % 2:
                client.send(_frame(struct.pack(">H", 1000), CLOSE))
            client.close()
    assert _is_well(whole)
    assert threading.active_count() <= before + min(32, (os.cpu_count() or 1) + 4), "more than the threads for all"


def test_a_client_that_never_reads_is_disconnected_while_others_are_served(whole_servers):
    with whole_servers(limits=Limits(max_ws_pending=100_000)) as server:
        lazy = Raw(server, "lazy")
        flags = _frame(json.dumps({"type": "feature_flags", "data": {}}).encode()) * 1000
        ended = False
        for _ in range(1000):
            try:
                lazy.socket.sendall(flags)
            except TimeoutError:
                break
            except OSError:
                ended = True
                break
        assert ended, "the server should end the connection, not wait for a reader that never comes"
        assert _is_well(server)
        lazy.close()


def test_more_clients_than_are_kept_are_refused(whole_servers):
    with whole_servers(limits=Limits(max_ws_clients=3)) as server:
        clients = [Raw(server, f"client-{number}") for number in range(3)]
        for client in ("client-4", "client-0"):  # the same client again is one more connection
            refused = server.ask("GET", f"/ws?clientId={client}", headers=UPGRADE)
            assert (refused.status, refused.json()["error"]["type"]) == (503, "too_many_clients")
        for client in clients:
            client.close()

        def heard() -> bool:
            try:
                return asyncio.run(_hears(server))
            except aiohttp.WSServerHandshakeError:  # they are not gone yet
                return False

        until(heard, "them to be gone")
        assert _is_well(server)


def test_a_client_id_that_is_none_is_replaced(whole):
    async def sid(client: str) -> str:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{whole.url}/ws?clientId={client}") as one:
            return str((await one.receive_json(timeout=PATIENCE))["data"]["sid"])

    for client in ("", "%00", "a%0d%0ab", "x" * 5000, "%ff"):
        found = asyncio.run(sid(client))
        assert found.isprintable()
        assert 0 < len(found) <= 200
