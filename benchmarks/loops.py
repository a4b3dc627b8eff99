"""Loops, which packs build of expansions: time, history and memory by the number of passes, and one that never ends.

A pass is three or four nodes (`loop_nodes.py`). "linear" compares the time of a pass in the longest loop with that in the
shortest. The endless loop is one over a list that is fed a picture; while it runs, `/system_stats` is asked again and again.

    python benchmarks/loops.py [--passes 100 300 600] [--base CHECKOUT] [--json FILE]

With `--base`, the same is measured with the code in that folder too, first that, then this.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import threading
import time
from pathlib import Path
from typing import Any, Final

from server_process import ROOT, Listener, Server, base_folder, connected, fetched, request, running, verdict

HISTORY_BYTES: Final = 100_000
SERVER_MIB: Final = 150.0
ENDLESS_SECONDS: Final = 10.0
LINEAR: Final = 1.5
"""A pass of the longest loop takes at most so many times as long as one of the shortest."""
GIVES_UP: Final = 60.0
"""Seconds after which the endless loop is interrupted, and a worker or server that takes all memory is ended."""
MOST_MIB: Final = 5_000


def loop(passes: int, close: str = "LoopClose", value: Any = 0, show: bool = False) -> dict[str, Any]:
    """A prompt of one loop."""
    prompt: dict[str, Any] = {
        "1": {"class_type": "LoopOpen", "inputs": {"left": passes, "value": value}},
        "2": {"class_type": "LoopStep", "inputs": {"value": ["1", 2], "by": 1}},
        "3": {"class_type": close, "inputs": {"flow": ["1", 0], "left": ["1", 1], "value": ["2", 0]}},
        "4": {"class_type": "LoopShow", "inputs": {"value": ["3", 0]}},
    }
    if show:
        prompt["5"] = {"class_type": "LoopShow", "inputs": {"value": ["2", 0]}}
        prompt["3"]["inputs"]["value"] = ["5", 0]
    return prompt


class Asker(threading.Thread):
    """Asks `/system_stats` until it is told to end; `times` are the milliseconds of each answer."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._end = threading.Event()
        self.times: list[float] = []
        self.failed = 0

    def run(self) -> None:
        """Ask."""
        while not self._end.is_set():
            began = time.perf_counter()
            self.failed += fetched(self._port, "/system_stats") is None
            self.times.append((time.perf_counter() - began) * 1000)
            time.sleep(0.05)

    def end(self) -> dict[str, float]:
        """Ask no more."""
        self._end.set()
        self.join()
        times = sorted(self.times)
        return {"median_ms": statistics.median(times), "max_ms": times[-1], "failed": self.failed}


class Watch(threading.Thread):
    """The most memory that the server, and its workers, have held; a process that takes far too much is ended."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._end = threading.Event()
        self.server_mib = self.worker_mib = 0.0

    def run(self) -> None:
        """Look."""
        while not self._end.wait(0.05) and self._server.process.poll() is None:
            self.server_mib = max(self.server_mib, self._server.resident_mib())
            for worker in self._server.workers():
                size = worker.memory_info().rss / 2**20
                self.worker_mib = max(self.worker_mib, size)
                if size > MOST_MIB:
                    worker.kill()
            if self.server_mib > MOST_MIB:
                self._server.process.kill()

    def end(self) -> None:
        """Look no more."""
        self._end.set()
        self.join()


async def passes_of(server: Server, count: int, salt: int) -> dict[str, Any]:
    """One loop of `count` passes, with a node that shows in each."""
    watch = Watch(server)
    watch.start()
    async with connected(server, "bench", 1) as (listener, (poster,)):
        begun = time.perf_counter()
        data = request(server.port, {"client_id": "bench", "prompt": loop(count, value=salt, show=True)})
        answer = json.loads(await poster.post(data))
        async with asyncio.timeout(5 * GIVES_UP):
            await _ended(listener)
        seconds = time.perf_counter() - begun
        body = fetched(server.port, f"/history/{answer['prompt_id']}") or b"{}"
    watch.end()
    (entry,) = json.loads(body).values()
    shown = entry["outputs"].get("4", {}).get("text")
    if shown != [str(salt + count)]:
        raise RuntimeError(f"The loop gave {shown}, not {salt + count}: {json.dumps(entry['status'])[:2000]}")
    return {
        "passes": count,
        "seconds": round(seconds, 3),
        "history_bytes": len(body),
        "websocket_bytes": listener.bytes,
        "server_mib": round(watch.server_mib, 1),
        "worker_mib": round(watch.worker_mib, 1),
    }


async def _ended(listener: Listener) -> None:
    listener.reset()
    await listener.until(1)


def endless(server: Server) -> dict[str, Any]:
    """A loop over a list that is fed a picture, whose end it does not see."""
    prompt = loop(1, "LoopForEver", ["9", 0])
    prompt["2"]["class_type"] = "LoopRest"
    prompt["9"] = {"class_type": "EmptyImage", "inputs": {"width": 512, "height": 512, "batch_size": 1, "color": 255}}
    watch, asker = Watch(server), Asker(server.port)
    watch.start()
    asker.start()
    begun = time.perf_counter()
    entry = asyncio.run(_until_error(server, prompt))
    seconds = time.perf_counter() - begun
    watch.end()
    told = [data for kind, data in entry.get("status", {}).get("messages", []) if kind == "execution_error"]
    return {
        "seconds": round(seconds, 2),
        "server_mib": round(watch.server_mib, 1),
        "worker_mib": round(watch.worker_mib, 1),
        "system_stats": asker.end(),
        "history_bytes": len(json.dumps(entry)),
        "error": told[0]["exception_message"][:400]
        if told
        else "none: it was interrupted, or a process had to be ended",
        "node": told[0]["node_id"] if told else None,
    }


async def _until_error(server: Server, prompt: dict[str, Any]) -> dict[str, Any]:
    async with connected(server, "endless", 1) as (listener, (poster,)):
        answer = json.loads(await poster.post(request(server.port, {"client_id": "endless", "prompt": prompt})))
        try:
            async with asyncio.timeout(GIVES_UP):
                await _ended(listener)
        except (TimeoutError, RuntimeError, TypeError):
            if server.process.poll() is None:
                await asyncio.to_thread(server.stop)
            return {}
    body = await asyncio.to_thread(fetched, server.port, f"/history/{answer['prompt_id']}")
    return next(iter(json.loads(body or b"{}").values()), {})


def measure(checkout: Path, counts: list[int]) -> dict[str, Any]:
    """All of it with the code in `checkout`."""
    nodes = Path(__file__).with_name("loop_nodes.py").read_text()
    with base_folder(nodes) as base, running(base, checkout=checkout) as server:
        asyncio.run(passes_of(server, 10, 1_000_000))
        loops = [asyncio.run(passes_of(server, count, 10_000_000 + count * 1000)) for count in counts]
        return {"loops": loops, "endless": endless(server)}


def report(name: str, found: dict[str, Any]) -> None:
    """What was measured, as text."""
    print(f"\n{name}")
    for one in found["loops"]:
        print(
            f"  {one['passes']:4d} passes  {one['seconds']:8.2f} s  {one['seconds'] / one['passes'] * 1000:7.2f} ms each"
            f"   history {one['history_bytes']:>11,} B   websocket {one['websocket_bytes']:>11,} B"
            f"   server {one['server_mib']:.0f} MiB, worker {one['worker_mib']:.0f} MiB"
        )
    first, last = found["loops"][0], found["loops"][-1]
    ratio = (last["seconds"] / last["passes"]) / (first["seconds"] / first["passes"])
    print(f"  linear: a pass of the longest costs {ratio:.2f} × one of the shortest: {verdict(ratio, LINEAR)}")
    print(f"  history of the longest: {verdict(last['history_bytes'], HISTORY_BYTES)}")
    print(f"  server: {verdict(last['server_mib'], SERVER_MIB)}")
    end = found["endless"]
    stats = end["system_stats"]
    print(
        f"  endless: {end['seconds']} s ({verdict(end['seconds'], ENDLESS_SECONDS)}), server {end['server_mib']:.0f} MiB, "
        f"worker {end['worker_mib']:.0f} MiB, history {end['history_bytes']:,} B; /system_stats median "
        f"{stats['median_ms']:.1f} ms, max {stats['max_ms']:.0f} ms, {stats['failed']} failed\n"
        f"  node {end['node']}: {end['error']}"
    )


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, nargs="+", default=[100, 300, 600])
    parser.add_argument("--base", type=Path)
    parser.add_argument("--base-passes", type=int, nargs="+", help="fewer for the base, if it cannot do so many")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {}
    if options.base is not None:
        found["base"] = measure(options.base.resolve(), options.base_passes or options.passes)
        report("base", found["base"])
    found["this"] = measure(ROOT, options.passes)
    report("this", found["this"])
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
