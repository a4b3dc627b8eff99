"""Large graphs of trivial nodes over HTTP and a websocket: from the POST to the final `executing` message.

Ten chains of a hundred nodes: "cold" (all run), "reused" (posted again), "one source changed" (one chain runs). Then one
chain of ten thousand. `bytes` is what the submitting client got over its websocket. Optionally with idle clients too.

    python benchmarks/server_graphs.py [--repeats 7] [--idle 50] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from server_process import (
    Listener,
    Poster,
    Server,
    base_folder,
    chains,
    connected,
    idle_clients,
    in_time,
    request,
    running,
    verdict,
)

LIMITS: Final = {"cold": 60.0, "reused": 15.0, "one source changed": 20.0}
"""Milliseconds."""
BYTES: Final = 1_000_000
IDLE_CHANGE: Final = 1.10
LONG: Final = 10_000


async def timed(listener: Listener, poster: Poster, data: bytes) -> tuple[float, int]:
    """Milliseconds to the end of the job, and bytes that its client got."""
    listener.reset()
    gc.collect()
    begun = time.perf_counter()
    await asyncio.gather(poster.post(data), listener.until(1))
    return (time.perf_counter() - begun) * 1000, listener.bytes


async def measure_on(server: Server, repeats: int, salts: Iterator[int]) -> dict[str, list[tuple[float, int]]]:
    """Times and bytes of every case."""

    def body(salt: int, changed: int = 0, count: int = 10, length: int = 100) -> bytes:
        return request(server.port, {"client_id": "bench", "prompt": chains(count, length, salt, changed)})

    found: dict[str, list[tuple[float, int]]] = {case: [] for case in LIMITS}
    async with connected(server, "bench", 1) as (listener, (poster,)):
        for _ in range(3):
            await timed(listener, poster, body(next(salts)))
        for salt in itertools.islice(salts, repeats):
            found["cold"].append(await timed(listener, poster, body(salt)))
            found["reused"].append(await timed(listener, poster, body(salt)))
            found["one source changed"].append(await timed(listener, poster, body(salt, changed=1)))
        salt = next(salts)
        found["chain, cold"] = [await timed(listener, poster, body(salt, 0, 1, LONG))]
        found["chain, reused"] = [await timed(listener, poster, body(salt, 0, 1, LONG))]
        history = server.get("/history?max_items=1")
    (entry,) = history.values()
    if not entry["status"]["completed"]:
        raise RuntimeError(f"The long chain failed: {entry['status']}")
    return found


async def measure(repeats: int, idle: int) -> dict[str, Any]:
    """Without and with idle clients, on one server."""
    salts = itertools.count(1)
    with base_folder() as base, running(base) as server:
        found: dict[str, Any] = {"idle": idle, "alone": await measure_on(server, repeats, salts)}
        if idle:
            async with idle_clients(server, idle):
                found["crowded"] = await measure_on(server, repeats, salts)
        return found


def report(found: dict[str, Any]) -> None:
    """Print them beside their limits."""
    for name in ("alone", "crowded"):
        if name not in found:
            continue
        print("no other client:" if name == "alone" else f"{found['idle']} idle websocket clients:")
        for case, values in found[name].items():
            times, most = [ms for ms, _ in values], max(size for _, size in values)
            middle, limit = statistics.median(times), LIMITS.get(case)
            nodes = "10 × 100 nodes" if limit else f"1 × {LONG} nodes"
            told = f"limit {limit:.0f} ms  {verdict(middle, limit)}" if limit else ""
            size = f"{most / 1000:.0f} kB {verdict(most, BYTES) if limit else ''}"
            print(f"  {nodes} {case:20} median {middle:8.1f} ms, least {min(times):8.1f} ms, {told:24} {size}")
    if "crowded" in found:
        for case in LIMITS:
            ratio = _middle(found["crowded"][case]) / _middle(found["alone"][case])
            print(f"change by idle clients, {case}: {ratio:.3f}× {verdict(ratio, IDLE_CHANGE)}")


def _middle(values: list[tuple[float, int]]) -> float:
    return statistics.median(ms for ms, _ in values)


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--idle", type=int, default=50)
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args()
    found = asyncio.run(in_time(measure(options.repeats, options.idle)))
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
