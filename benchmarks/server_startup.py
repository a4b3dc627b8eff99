"""How soon the server answers, and what it holds while idle.

Process start → whole answer of GET /system_stats, and → GET /object_info, each on its own start; the first start of all
reads the node packs and is shown apart. Then the memory of the server process alone, once everything has settled.

    python benchmarks/server_startup.py [--repeats 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any, Final

from server_process import Server, base_folder, verdict

LIMITS: Final = {"/system_stats": 0.7, "/object_info": 1.0}
IDLE_MIB: Final = 120.0
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


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args()
    found = measure(options.repeats)
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
