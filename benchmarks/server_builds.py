"""Trivial jobs over HTTP and a websocket on two builds in turn, in one run: this one, and that of another checkout.

A server of each build stands beside the other, and rounds of either alternate, so that a machine that changes speed changes
both. "one": a job is posted when the one before has ended; from the POST to the final `executing` message. "at once": all are
posted over a number of connections; until the last one's final message. "beside": what GET /prompt takes meanwhile, asked
every few milliseconds over a connection of its own; and the server's memory at the end.

All jobs differ, so that nothing is reused: two nodes of a pack, or two built-in ones on a server without a pack. Processor time
is that of a server and its worker (Linux only), which other programs change less than the time on the wall.

    python benchmarks/server_builds.py CHECKOUT [--built-in] [--rounds 12] [--singles 100] [--jobs 200] [--connections 64]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from server_process import PACK, ROOT, Listener, Poster, Server, base_folder, connected, in_time, running, verdict
from server_throughput import at_once, bodies, built_in_bodies, one_by_one

ONE: Final = 0.8
AT_ONCE: Final = 1.5
WARM_UP: Final = 100
BESIDE: Final = 120
"""Other requests in a round, over the same time for either build, whichever is done sooner."""


class Place(NamedTuple):
    """A server with its clients."""

    server: Server
    listener: Listener
    posters: list[Poster]
    bodies: Callable[[Server, int, Iterator[int]], list[bytes]]


class Round(NamedTuple):
    """Milliseconds of a job, or the jobs per second; and processor milliseconds of a job."""

    wall: float
    processor: float


async def singles(place: Place, jobs: int, salts: Iterator[int]) -> Round:
    """Median milliseconds of a job that is alone."""
    prepared = place.bodies(place.server, jobs, salts)
    before = place.server.processor_seconds()
    times = await one_by_one(place.listener, place.posters[0], prepared)
    return Round(statistics.median(times), (place.server.processor_seconds() - before) / jobs * 1e3)


async def many(place: Place, jobs: int, salts: Iterator[int]) -> Round:
    """Jobs per second when all are posted at once."""
    prepared = place.bodies(place.server, jobs, salts)
    before = place.server.processor_seconds()
    _, ended = await at_once(place.listener, place.posters, prepared)
    return Round(jobs / ended, (place.server.processor_seconds() - before) / jobs * 1e3)


async def beside(place: Place, jobs: int, salts: Iterator[int]) -> Round:
    """Mean milliseconds of another request from when many jobs are posted; and the longest, in place of processor time."""
    ask = f"GET /prompt HTTP/1.1\r\nHost: 127.0.0.1:{place.server.port}\r\n\r\n".encode()
    other = Poster(*await asyncio.open_connection("127.0.0.1", place.server.port))
    work = asyncio.create_task(at_once(place.listener, place.posters, place.bodies(place.server, jobs, salts)))
    times = []
    for _ in range(BESIDE):
        begun = time.perf_counter()
        await other.post(ask)
        times.append((time.perf_counter() - begun) * 1e3)
        await asyncio.sleep(0.005)
    other.close()
    await work
    return Round(statistics.mean(times), max(times))


async def measure(checkout: Path, options: argparse.Namespace) -> dict[str, dict[str, list[Round]]]:
    """Rounds of "one" and "at once", of either build."""
    salts = itertools.count(1)
    found: dict[str, dict[str, list[Round]]] = {
        kind: {"base": [], "this": []} for kind in ("one", "at once", "beside", "memory")
    }
    async with AsyncExitStack() as stack:
        places = {}
        for name, root in (("base", checkout), ("this", ROOT)):
            folder = stack.enter_context(base_folder(None if options.built_in else PACK))
            server = stack.enter_context(running(folder, checkout=root))
            clients = await stack.enter_async_context(connected(server, "bench", options.connections))
            places[name] = Place(server, *clients, built_in_bodies if options.built_in else bodies)
            await many(places[name], WARM_UP, salts)
        for number in range(options.rounds):
            order = list(places) if number % 2 else list(places)[::-1]
            for name in order:
                found["one"][name].append(await singles(places[name], options.singles, salts))
            for name in order:
                found["at once"][name].append(await many(places[name], options.jobs, salts))
            for name in order:
                found["beside"][name].append(await beside(places[name], options.jobs, salts))
        for name, place in places.items():
            found["memory"][name].append(Round(place.server.resident_mib(), 0.0))
    return found


def report(found: dict[str, dict[str, list[Round]]]) -> None:
    """Print best and middle of either, and the quotients of neighbouring rounds."""
    for kind, best, unit, limit in (("one", min, "ms", ONE), ("at once", max, "jobs/s", AT_ONCE)):
        base, this = found[kind]["base"], found[kind]["this"]
        print(f"{kind}:")
        for name, rounds in (("base", base), ("this", this)):
            walls, processor = [one.wall for one in rounds], [one.processor for one in rounds]
            print(
                f"  {name}: best {best(walls):.2f} {unit}, median {statistics.median(walls):.2f}; processor "
                f"least {min(processor):.2f} ms a job, median {statistics.median(processor):.2f}"
            )
        wall = statistics.median(new.wall / old.wall for old, new in zip(base, this, strict=True))
        processor = statistics.median(new.processor / old.processor for old, new in zip(base, this, strict=True))
        of_best = best(one.wall for one in this) / best(one.wall for one in base)
        kept = verdict(wall, limit, least=kind == "at once")
        print(
            f"  this / base: median {wall:.3f} (of the best {of_best:.3f}), limit {limit}  {kept}; processor {processor:.3f}"
        )
    print("beside:")
    for name, rounds in found["beside"].items():
        middle, longest = (statistics.median(one[i] for one in rounds) for i in range(2))
        memory = found["memory"][name][0].wall
        print(
            f"  {name}: another request takes {middle:.2f} ms on the mean, the longest {longest:.1f}; memory {memory:.0f} MiB"
        )


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkout", type=Path, help="root of the other build")
    parser.add_argument("--built-in", action="store_true", help="built-in nodes instead of a pack's")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--singles", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args()
    if not sys.platform.startswith("linux"):
        parser.error("only Linux tells the processor time of another process")
    found: Any = asyncio.run(in_time(measure(options.checkout.resolve(), options)))
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
