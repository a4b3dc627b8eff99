"""Trivial jobs end to end over HTTP and a websocket, with the queue on disk: jobs per second, and the time of a single one.

"at once": every job is posted as fast as a number of connections can; the clock stops when the last one's final
`executing` message has come. "one": a job is posted when the one before has ended; from the POST to that message. All
jobs differ, so that nothing is reused. The same again with idle websocket clients, which see the queue's status.

    python benchmarks/server_throughput.py [--jobs 2000] [--connections 64] [--idle 50] [--json FILE]
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

PER_SECOND: Final = 800.0
ONE_MS: Final = 3.0
IDLE_CHANGE: Final = 1.10
SINGLES: Final = 300
WARM_UP: Final = 200
ROUNDS: Final = 3


def bodies(server: Server, count: int, salts: Iterator[int]) -> list[bytes]:
    """Requests of jobs that differ from all others: two nodes each."""
    return [request(server.port, {"client_id": "bench", "prompt": chains(1, 2, next(salts))}) for _ in range(count)]


def built_in_bodies(server: Server, count: int, salts: Iterator[int]) -> list[bytes]:
    """The same of built-in nodes alone, for a server without a pack."""
    salted = itertools.islice(salts, count)
    return [request(server.port, {"client_id": "bench", "prompt": _shown_number(salt)}) for salt in salted]


def _shown_number(salt: int) -> dict[str, Any]:
    return {
        "0": {"class_type": "PrimitiveInt", "inputs": {"value": salt}},
        "1": {"class_type": "PreviewAny", "inputs": {"source": ["0", 0]}},
    }


async def at_once(listener: Listener, posters: list[Poster], jobs: list[bytes]) -> tuple[float, float]:
    """Seconds until all are accepted, and until all have ended."""
    waiting = iter(jobs)

    async def feed(poster: Poster) -> None:
        for data in waiting:
            await poster.post(data)

    listener.reset()
    gc.collect()
    begun = time.perf_counter()
    ended = asyncio.create_task(listener.until(len(jobs)))
    await asyncio.gather(*(feed(poster) for poster in posters))
    accepted = time.perf_counter() - begun
    await ended
    return accepted, time.perf_counter() - begun


async def one_by_one(listener: Listener, poster: Poster, jobs: list[bytes]) -> list[float]:
    """Milliseconds of each job."""
    times = []
    for data in jobs:
        listener.reset()
        begun = time.perf_counter()
        await asyncio.gather(poster.post(data), listener.until(1))
        times.append((time.perf_counter() - begun) * 1000)
    return times


async def measure_on(server: Server, jobs: int, connections: int, salts: Iterator[int]) -> dict[str, Any]:
    """Both numbers; the best and the middle of some rounds, since other programs only ever take time away."""
    async with connected(server, "bench", connections) as (listener, posters):
        await at_once(listener, posters, bodies(server, WARM_UP, salts))
        rounds = [await at_once(listener, posters, bodies(server, jobs, salts)) for _ in range(ROUNDS)]
        singles = await one_by_one(listener, posters[0], bodies(server, SINGLES, salts))
    return {
        "accepted_per_second": [jobs / accepted for accepted, _ in rounds],
        "jobs_per_second": [jobs / ended for _, ended in rounds],
        "one_ms": {"median": statistics.median(singles), "least": min(singles), "p95": sorted(singles)[-SINGLES // 20]},
    }


async def measure(jobs: int, connections: int, idle: int) -> dict[str, Any]:
    """Without and with idle clients, on one server."""
    salts = itertools.count(1)
    with base_folder() as base, running(base) as server:
        alone = await measure_on(server, jobs, connections, salts)
        async with idle_clients(server, idle):
            crowded = await measure_on(server, jobs, connections, salts)
        return {"jobs": jobs, "connections": connections, "idle": idle, "alone": alone, "crowded": crowded}


def report(found: dict[str, Any]) -> None:
    """Print them beside their limits."""
    for name, title in (("alone", "no other client"), ("crowded", f"{found['idle']} idle websocket clients")):
        numbers = found[name]
        rate, one = max(numbers["jobs_per_second"]), numbers["one_ms"]
        rates = ", ".join(f"{each:.0f}" for each in numbers["jobs_per_second"])
        print(f"{title}:")
        print(
            f"  {found['jobs']} jobs at once: {rate:.0f} jobs/s ({rates}), accepted at "
            f"{max(numbers['accepted_per_second']):.0f}/s, limit {PER_SECOND:.0f}  {verdict(rate, PER_SECOND, least=True)}"
        )
        print(
            f"  one job: median {one['median']:.2f} ms, least {one['least']:.2f}, 95 % {one['p95']:.2f}, "
            f"limit {ONE_MS:.0f} ms  {verdict(one['median'], ONE_MS)}"
        )
    alone, crowded = found["alone"], found["crowded"]
    slower = max(alone["jobs_per_second"]) / max(crowded["jobs_per_second"])
    later = crowded["one_ms"]["median"] / alone["one_ms"]["median"]
    print(f"change by idle clients: jobs at once {slower:.3f}× {verdict(slower, IDLE_CHANGE)}, ", end="")
    print(f"one job {later:.3f}× {verdict(later, IDLE_CHANGE)}")


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--idle", type=int, default=50)
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args()
    found = asyncio.run(in_time(measure(options.jobs, options.connections, options.idle)))
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
