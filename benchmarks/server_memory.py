"""Memory of the server process under big bodies and outputs, and whether it answers others meanwhile.

posts    twenty prompts of 60 MB, posted at once, which all run
one      one such prompt
nodes    one prompt of 60 MB that is not one long text but small nodes
text     a job whose node shows 100 MB of text, with a websocket client that listens
chunks   a body that comes as three million chunks of one byte

For each: the most memory (RSS) that the server process held, what it holds once the queue is empty and it has rested, how long
`/system_stats` took meanwhile, and the seconds until it was posted and until all had ended. The workers, which are other
processes, are not counted.

    python benchmarks/server_memory.py [--only posts text] [--base CHECKOUT] [--json FILE]

With `--base`, the same is measured with the code in that folder too, first that, then this.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
from loops import Asker, Watch
from server_process import PATIENCE, ROOT, Server, base_folder, running, verdict

POSTS, MB = 20, 1_000_000
PEAK_MIB, AFTER_MIB, SLOWEST_MS = 512.0, 120.0, 500.0
REST: Final = 8.0
"""Seconds without work before the memory is looked at again."""

PACK: Final = '''
"""A node that shows as much text as is wanted, and one that reads as much."""

from engine.api import WithUi, node


@node("BenchText", output=True)
def text(megabytes: int, letter: str = "x") -> None:
    """Show text."""
    return WithUi(ui={"text": [letter * (megabytes * 1_000_000)]})


@node("BenchLength", output=True)
def length(text: str) -> None:
    """Show how long a text is."""
    return WithUi(ui={"text": [str(len(text))]})
'''


def post(port: int, *parts: bytes) -> int:
    """Post a prompt that comes in parts; the status of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10 * PATIENCE) as one:
        size = sum(map(len, parts))
        one.sendall(f"POST /prompt HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {size}\r\n\r\n".encode())
        for part in parts:
            one.sendall(part)
        return _status(one)


def _status(one: socket.socket) -> int:
    return int((one.recv(1 << 16) or b"HTTP/1.1 000").split()[1])


def posts(server: Server, count: int = POSTS) -> dict[str, Any]:
    """Prompts with a long text, at once."""
    text = b"y" * (60 * MB)
    statuses: list[int] = []

    def one(number: int) -> None:
        head = b'{"prompt": {"1": {"class_type": "BenchLength", "inputs": {"text": "%d' % number
        statuses.append(post(server.port, head, text, b'"}}}}'))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"accepted": statuses.count(200), "statuses": sorted(set(statuses))}


def nodes(server: Server) -> dict[str, Any]:
    """One prompt of many nodes."""
    many = (
        b'"%d": {"class_type": "BenchLength", "inputs": {"text": "a short text of node %d"}}' % (n, n)
        for n in range(10**7)
    )
    parts, size = [b'{"prompt": {'], 0
    for one in many:
        parts.append(one + b", ")
        size += len(one) + 2
        if size > 60 * MB:
            break
    body = b"".join(parts)[:-2] + b'}, "partial_execution_targets": ["1"]}'
    return {"accepted": int(post(server.port, body) == 200)}


def text(server: Server) -> dict[str, Any]:
    """A job that shows a long text."""
    prompt = {"1": {"class_type": "BenchText", "inputs": {"megabytes": 100, "letter": "x"}}}
    return asyncio.run(_listened(server, prompt))


async def _listened(server: Server, prompt: dict[str, Any]) -> dict[str, Any]:
    got = messages = 0
    async with aiohttp.ClientSession() as session:
        url = f"{server.url}/ws?clientId=memory"
        async with session.ws_connect(url, max_msg_size=0, compress=0) as websocket:
            answer = await session.post(f"{server.url}/prompt", json={"prompt": prompt, "client_id": "memory"})
            told = await answer.json()
            if "prompt_id" not in told:
                raise RuntimeError(str(told)[:1000])
            job = told["prompt_id"]
            while True:
                message = await websocket.receive(timeout=PATIENCE)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                messages, got = messages + 1, got + len(message.data)
                data = json.loads(message.data)
                if data["type"] == "executing" and data["data"]["node"] is None:
                    break
        length = 0
        for _ in range(200):
            history = await session.get(f"{server.url}/history/{job}")
            body = await history.read()
            length = len(body)
            if length > 2:
                break
            await asyncio.sleep(0.1)
    return {
        "messages": messages,
        "websocket_bytes": got,
        "history_bytes": length,
        "told_the_end": message.type.name == "TEXT",
    }


def chunks(server: Server) -> dict[str, Any]:
    """A body of one-byte chunks. Its JSON is not sound: it is the reading that is measured."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10 * PATIENCE) as one:
        head = f"POST /prompt HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nTransfer-Encoding: chunked\r\n\r\n"
        one.sendall(head.encode())
        part = b"1\r\nx\r\n" * 10_000
        began = time.perf_counter()
        for _ in range(300):
            one.sendall(part)
        one.sendall(b"0\r\n\r\n")
        status = _status(one)
    return {"status": status, "seconds": round(time.perf_counter() - began, 2)}


LOADS: Final[dict[str, Callable[[Server], dict[str, Any]]]] = {
    "posts": posts,
    "one": lambda server: posts(server, 1),
    "nodes": nodes,
    "text": text,
    "chunks": chunks,
}


def measured(server: Server, load: Callable[[Server], dict[str, Any]]) -> dict[str, Any]:
    """One load, and what it does to the server."""
    before = server.resident_mib()
    watch, asker = Watch(server), Asker(server.port)
    watch.start()
    asker.start()
    began = time.perf_counter()
    found: dict[str, Any] = {"before_mib": round(before, 1)} | load(server)
    found["seconds"] = round(time.perf_counter() - began, 2)
    while server.get("/prompt")["exec_info"]["queue_remaining"] and time.perf_counter() - began < 10 * PATIENCE:
        time.sleep(0.2)
    found["all_ended_seconds"] = round(time.perf_counter() - began, 2)
    stats = asker.end()
    time.sleep(REST)
    watch.end()
    return found | {
        "peak_mib": round(watch.server_mib, 1),
        "after_mib": round(server.resident_mib(), 1),
        "system_stats": stats,
    }


def measure(checkout: Path, loads: list[str]) -> dict[str, Any]:
    """Every load on a server of its own, from the code in `checkout`."""
    found = {}
    for name in loads:
        with base_folder(PACK) as base, running(base, checkout=checkout) as server:
            try:
                found[name] = measured(server, LOADS[name])
            except (OSError, RuntimeError, ValueError, aiohttp.ClientError) as error:
                found[name] = {"failed": f"{type(error).__name__}: {error}"}
    return found


def report(name: str, found: dict[str, Any]) -> None:
    """What was measured, as text."""
    print(f"\n{name}")
    for load, one in found.items():
        if "failed" in one:
            print(f"  {load:7} failed: {one['failed']}")
            continue
        stats = one["system_stats"]
        facts = {
            key: value
            for key, value in one.items()
            if key not in ("system_stats", "peak_mib", "after_mib", "before_mib")
        }
        print(
            f"  {load:7} {one['before_mib']:.0f} MiB, peak {one['peak_mib']:.0f} MiB ({verdict(one['peak_mib'], PEAK_MIB)}), "
            f"after {one['after_mib']:.0f} MiB ({verdict(one['after_mib'], AFTER_MIB)}); /system_stats median "
            f"{stats['median_ms']:.1f} ms, max {stats['max_ms']:.0f} ms ({verdict(stats['max_ms'], SLOWEST_MS)}), "
            f"{stats['failed']} failed; {facts}",
            flush=True,
        )


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(LOADS), default=list(LOADS))
    parser.add_argument("--base", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {}
    for name, checkout in (("base", options.base), ("this", ROOT)):
        if checkout is not None:
            found[name] = measure(checkout.resolve(), options.only)
            report(name, found[name])
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
