"""A saved workflow called over HTTP, beside the same call in this process: what the server adds to a result from the cache.

"call": POST /api/v1/workflows/{name}/run with the same argument again and again, over one connection, and `Workflow.run` of
this process, in turns; every result is from the cache. "at once": each of a number of connections posts one call with a value
of its own; every answer must come, and hold that value. (Linux only, for the processor time of a server and its worker.)

    python benchmarks/run_endpoint.py [--rounds 10] [--calls 100] [--at-once 200] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from server_process import Poster, Server, base_folder, in_time, running, verdict

from engine import Workflow

OVERHEAD_MS: Final = 2.0

GRAPH: Final = {
    "1": {"class_type": "PrimitiveInt", "inputs": {"value": 1}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}
PARAMETER: Final = {"name": "value", "node": "1", "input": "value"}
WORKFLOW: Final = {
    "prompt": GRAPH,
    "workflow": {"nodes": [], "links": [], "extra": {"safelight": {"parameters": [PARAMETER]}}},
}


def request(server: Server, value: int) -> bytes:
    """A whole call, ready to be sent."""
    data = json.dumps({"value": value}).encode()
    head = f"POST /api/v1/workflows/bench/run HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


async def poster(server: Server) -> Poster:
    """A connection."""
    return Poster(*await asyncio.open_connection("127.0.0.1", server.port))


async def over_http(connection: Poster, data: bytes, calls: int) -> list[float]:
    """Milliseconds of each call."""
    times = []
    for _ in range(calls):
        begun = time.perf_counter()
        answer = await connection.post(data)
        times.append((time.perf_counter() - begun) * 1e3)
    told = json.loads(answer)
    assert told["state"] == "done"
    assert not told["ran"]
    return times


def in_process(run: Callable[..., Any], calls: int) -> list[float]:
    """The same of the engine in this process."""
    times = []
    for _ in range(calls):
        begun = time.perf_counter()
        run(value=1)
        times.append((time.perf_counter() - begun) * 1e3)
    return times


async def at_once(server: Server, connections: list[Poster], values: Iterator[int]) -> float:
    """Seconds of one call on each connection. Raises AssertionError for an answer that is not this call's own."""
    own = list(itertools.islice(values, len(connections)))
    prepared = [request(server, value) for value in own]
    begun = time.perf_counter()
    answers = await asyncio.gather(
        *(one.post(data) for one, data in zip(connections, prepared, strict=True)), return_exceptions=True
    )
    took = time.perf_counter() - begun
    lost = [answer for answer in answers if isinstance(answer, BaseException)]
    assert not lost, f"{len(lost)} calls were lost: {lost[0]!r}"
    told = [json.loads(answer) for answer in answers if isinstance(answer, bytes)]
    texts = [text for one in told for output in one["outputs"].values() for text in output["texts"]]
    assert texts == [str(value) for value in own], "a call got another's result"
    assert len({one["job_id"] for one in told}) == len(own)
    return took


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All of it, on one server and one engine in this process."""
    found: dict[str, list[Any]] = {"http": [], "engine": [], "processor": [], "at once": []}
    with base_folder(None) as base:
        file = base / "user" / "default" / "workflows" / "bench.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(WORKFLOW))
        with running(base) as server, Workflow.load("bench", base=base) as workflow:
            connection = await poster(server)
            data = request(server, 1)
            for one in (connection.post(data), asyncio.to_thread(workflow.run, value=1)):
                await one
            for _ in range(options.rounds):
                before = server.processor_seconds()
                found["http"].append(await over_http(connection, data, options.calls))
                found["processor"].append((server.processor_seconds() - before) / options.calls * 1e3)
                found["engine"].append(await asyncio.to_thread(in_process, workflow.run, options.calls))
            values = itertools.count(2)
            async with AsyncExitStack() as stack:
                connections = [await poster(server) for _ in range(options.at_once)]
                for one in connections:
                    stack.callback(one.close)
                for _ in range(options.rounds):
                    found["at once"].append(options.at_once / await at_once(server, connections, values))
            connection.close()
    return found


def report(found: dict[str, Any]) -> None:
    """Print them beside the limit."""
    http, engine = ([statistics.median(one) for one in found[name]] for name in ("http", "engine"))
    overhead = [one - other for one, other in zip(http, engine, strict=True)]
    print(f"a call over HTTP: median {statistics.median(http):.2f} ms, best round {min(http):.2f}")
    print(f"in this process: median {statistics.median(engine):.2f} ms, best round {min(engine):.2f}")
    middle = statistics.median(overhead)
    print(
        f"overhead: median {middle:.2f} ms, best round {min(overhead):.2f}, limit {OVERHEAD_MS}  {verdict(middle, OVERHEAD_MS)}"
    )
    print(f"processor time of server and worker: least {min(found['processor']):.2f} ms a call")
    rates = found["at once"]
    print(
        f"at once, each its own result, none lost: median {statistics.median(rates):.0f} calls/s, best {max(rates):.0f}"
    )


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args()
    found = asyncio.run(in_time(measure(options)))
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
