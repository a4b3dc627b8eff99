"""How soon the server answers, and what it holds while idle.

Process start → whole answer of GET /system_stats, and → GET /object_info, each on its own start; the first start of all
reads the node packs and is shown apart. Then the memory of the server process alone, once everything has settled.

    python benchmarks/server_startup.py [--repeats 5] [--json FILE]
    python benchmarks/server_startup.py --beside CHECKOUT [--repeats 15]

`--beside`: starts of this build and of another checkout in turn, to the answer of GET /object_info and to a worker that is
ready for jobs (torch is loaded after that), as ratios of medians; a machine that changes speed changes both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any, Final

from server_process import ROOT, Server, base_folder, verdict

LIMITS: Final = {"/system_stats": 0.7, "/object_info": 1.0}
IDLE_MIB: Final = 120.0
BESIDE: Final = 1.05
SETTLED: Final = 3.0


def started(base: Path, path: str) -> float:
    """Seconds to the answer of `path` on a new process."""
    server = Server(base)
    try:
        return server.first_answer(path)
    finally:
        server.stop()


def settled(base: Path) -> dict[str, float]:
    """MiB of the server after it has answered, some seconds later, and of its workers."""
    server = Server(base)
    try:
        server.first_answer("/object_info")
        time.sleep(SETTLED)
        workers = sum(one.memory_info().rss for one in server.workers()) / 2**20
        return {"server": server.resident_mib(), "workers": workers}
    finally:
        server.stop()


def measure(repeats: int) -> dict[str, Any]:
    """All numbers."""
    with base_folder() as base:
        first = started(base, "/object_info")
        times = {path: [started(base, path) for _ in range(repeats)] for path in LIMITS}
        return {"first_start": first, "seconds": times, "mib": settled(base)}


def report(found: dict[str, Any]) -> None:
    """Print them beside their limits."""
    print(f"first start of all → GET /object_info   {found['first_start']:.2f} s (reads every node pack)")
    for path, limit in LIMITS.items():
        times = found["seconds"][path]
        middle = statistics.median(times)
        print(
            f"start → GET {path:<14} median {middle:.3f} s, least {min(times):.3f} s, limit {limit:.1f} s  "
            f"{verdict(middle, limit)}"
        )
    memory = found["mib"]
    print(
        f"idle server, without worker {memory['server']:.0f} MiB, limit {IDLE_MIB:.0f} MiB  "
        f"{verdict(memory['server'], IDLE_MIB)}   (workers: {memory['workers']:.0f} MiB)"
    )


def readied(base: Path, checkout: Path) -> tuple[float, float]:
    """Seconds to the answer of /object_info, and to a worker that takes jobs."""
    server = Server(base, checkout=checkout)
    try:
        answered = server.first_answer("/object_info")
        while all(one["state"] == "starting" for one in server.get("/health")["workers"]):
            time.sleep(0.002)
        return answered, time.perf_counter() - server.started
    finally:
        server.stop()


def beside(checkout: Path, repeats: int) -> dict[str, Any]:
    """Ratios of this build's medians to the other's."""
    with base_folder(None) as mine, base_folder(None) as theirs:
        builds = ((mine, ROOT), (theirs, checkout.resolve()))
        for build in builds:
            readied(*build)  # reads the nodes
        turns = [[readied(*build) for build in builds] for _ in range(repeats)]
    found = {}
    for at, name in enumerate(("object_info", "worker")):
        ours, others = ([turn[build][at] for turn in turns] for build in (0, 1))
        found[name] = {"seconds": (statistics.median(ours), statistics.median(others))}
        found[name]["ratio"] = statistics.median(one / other for one, other in zip(ours, others, strict=True))
        print(
            f"start → {name:<12} {found[name]['seconds'][0]:.3f} s here, {found[name]['seconds'][1]:.3f} s there, "
            f"ratio {found[name]['ratio']:.3f}, limit {BESIDE:.2f}  {verdict(found[name]['ratio'], BESIDE)}"
        )
    return found


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="compare with the build there")
    options = parser.parse_args()
    if options.beside:
        found = beside(options.beside, options.repeats)
    else:
        found = measure(options.repeats)
        report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
