"""Reading server-sent events (the format of the HTML standard) off bytes as they come."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from engine.client.errors import ServerError

MOST: Final = 256 * 1024**2
"""Bytes of one event: a result with its files in it is by far the largest."""


class ServerEvent(NamedTuple):
    """An event: its name, and its data, which is JSON."""

    name: str
    data: Any


async def events_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[ServerEvent]:
    """The events in `chunks`, one by one; one that the end cuts off is left out. Raises ServerError for what is no JSON."""
    held = bytearray()
    looked = 0
    async for chunk in chunks:
        held += chunk.replace(b"\r", b"")  # within JSON there is none
        while (end := held.find(b"\n\n", max(looked - 1, 0))) >= 0:
            event = _event(bytes(held[:end]))
            del held[: end + 2]
            looked = 0
            if event is not None:
                yield event
        looked = len(held)
        if looked > MOST:
            raise ServerError(200, "event_too_large", f"The server sent an event of more than {MOST >> 20} MiB.")


def _event(block: bytes) -> ServerEvent | None:
    """None for a comment, such as a sign of life."""
    name, data = "", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"data":
            data.append(value)
    if not data:
        return None
    try:
        return ServerEvent(name, json.loads(b"\n".join(data)))
    except ValueError as error:
        raise ServerError(200, "not_json", f"The server sent an event that is no JSON: {error}.") from error
