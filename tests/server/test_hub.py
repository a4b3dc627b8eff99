"""What waits for websocket clients, all of them together."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from engine.server.hub import Client, Hub
from engine.server.limits import Limits
from engine.server.log_ring import LogRing


def joined(hub: Hub, name: str, limits: Limits) -> tuple[Client, list[str]]:
    """A client that does not read, and a note once it is cut off."""
    cut: list[str] = []
    client = Client(name, SimpleNamespace(closed=False), limits)  # type: ignore[arg-type]
    client.on_queued = hub._queued
    client.transport = SimpleNamespace(abort=lambda: cut.append(name))  # type: ignore[assignment]
    hub._sockets.add(client)
    return client, cut


def test_when_too_much_waits_for_all_the_client_that_reads_least_is_cut_off() -> None:
    async def story() -> None:
        limits = Limits(max_ws_all=1000, max_ws_pending=600, max_ws_pictures=900)
        nothing: dict[str, Any] = {}
        hub = Hub(lambda: nothing, lambda only: nothing, LogRing(), limits)
        slow, slow_cut = joined(hub, "slow", limits)
        other, other_cut = joined(hub, "other", limits)
        slow.send_bytes(bytes(700))
        other.send_bytes(bytes(250))
        assert not slow_cut
        other.send_encoded(bytes(100))
        assert slow_cut == ["slow"]
        assert slow.closed
        assert not other_cut
        assert other.pending == 350
        assert hub._pending == 350
        slow.send_bytes(bytes(5000))
        assert hub._pending == 350, "nothing is kept for one that is gone"
        other._next()
        assert hub._pending == 100
        other.close()
        assert hub._pending == 0

    asyncio.run(story())
