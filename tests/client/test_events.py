"""Server-sent events, however they are cut into pieces."""

from __future__ import annotations

import asyncio

import pytest

from engine.client import ServerError
from engine.client.events import events_of

STREAM = (
    b': hello\n\nevent: progress\ndata: {"value": 1}\n\n'
    b"event: odd\nid: 7\ndata: [1,\ndata: 2]\n\n: still there\n\n"
    b'data: "\xc3\xa4"\n\nevent: cut\ndata: {"never'
)
TOLD = [("progress", {"value": 1}), ("odd", [1, 2]), ("", "ä")]


async def pieces(data: bytes, size: int):
    for at in range(0, len(data), size):
        yield data[at : at + size]


def read(data: bytes, size: int):
    async def all_of_them():
        return [tuple(event) async for event in events_of(pieces(data, size))]

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_events_are_read_in_pieces_of_any_size(size):
    assert read(STREAM, size) == TOLD


def test_lines_may_end_as_they_do_on_windows():
    assert read(STREAM.replace(b"\n", b"\r\n"), 1000) == TOLD


def test_what_is_no_json_is_refused():
    with pytest.raises(ServerError, match="no JSON"):
        read(b"data: {\n\n", 100)
