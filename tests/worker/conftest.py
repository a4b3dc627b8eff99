"""Real worker processes on a base directory with a small node pack."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.jobs.messages import CancelJob, JobEvents, JobFinished, RunJob
from engine.jobs.workers import Worker, WorkerPool

PACK = '''
"""Nodes that do what nodes should not."""

import os
import signal
import sys
import time

from engine.api import AnyValue, Context, WithUi, node


@node("TestSlow", cache=False)
def slow(ctx: Context, steps: int = 1000) -> int:
    """Take a hundredth of a second for each step."""
    for step in range(steps):
        ctx.progress(step, steps)
        time.sleep(0.01)
    return steps


@node("TestHang", cache=False, output=True)
def hang(seconds: float = 100.0) -> WithUi[None]:
    """Sleep, whatever anybody says."""
    time.sleep(seconds)
    return WithUi(ui={"text": ["awake"]})


@node("TestHangLoop", cache=False, output=True)
async def hang_loop(seconds: float = 100.0) -> WithUi[None]:
    """Hold the event loop, which no node should."""
    time.sleep(seconds)
    return WithUi(ui={"text": ["awake"]})


@node("TestDie", cache=False, output=True)
def die(how: str = "exit") -> WithUi[None]:
    """End the process."""
    if how == "exit":
        os._exit(7)
    if how == "crash":
        import faulthandler
        faulthandler._sigsegv()
    os.kill(os.getpid(), signal.SIGKILL)
    return WithUi(ui={})


@node("TestPrint", cache=False, output=True)
def say(text: str = "", times: int = 1) -> WithUi[None]:
    """Print."""
    for _ in range(times):
        print(text)
    return WithUi(ui={})


@node("TestOdd", cache=False, output=True)
def odd() -> WithUi[None]:
    """Show what is no JSON."""
    import numpy
    ring = []
    ring.append(ring)
    return WithUi(ui={
        "text": ["lone \\ud800 surrogate", 2**70, {1, 2}, object, numpy.float32(0.5), float("nan")],
        5: ["number as key"], "bytes": [b"ab"], "ring": ring,
    })


@node("TestRaise", cache=False, output=True)
def fail(kind: str = "ValueError") -> WithUi[None]:
    """Fail."""
    if kind == "exit":
        sys.exit(3)
    if kind == "base":
        raise BaseException("base")
    raise ValueError("a \\ud800 message")


@node("TestPreview", cache=False, output=True)
def preview(ctx: Context, count: int = 1, alpha: bool = False, size: int = 64, seconds: float = 0.0) -> WithUi[None]:
    """Show pictures on the way."""
    import numpy
    for number in range(count):
        ctx.preview(numpy.full((size, size, 4 if alpha else 3), number % 256, numpy.uint8))
        time.sleep(seconds)
    time.sleep(0.3)
    return WithUi(ui={})


@node("TestThread", cache=False, output=True)
def thread() -> WithUi[None]:
    """Leave a thread behind that never ends."""
    import threading
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return WithUi(ui={})
'''


class Bench:
    """A pool of real workers, and what it told."""

    def __init__(self) -> None:
        self.pool: WorkerPool
        self.messages: list[Any] = []
        self.reasons: list[str] = []
        self.lines: list[str] = []
        self._ends: dict[str, asyncio.Future[JobFinished]] = {}

    @property
    def worker(self) -> Worker:
        return self.pool.workers[0]

    def on_message(self, worker: Worker, message: Any) -> None:
        self.messages.append(message)
        if isinstance(message, JobFinished):
            self._ends[message.job].set_result(message)

    def on_change(self, worker: Worker) -> None:
        if worker.state == "lost":
            self.reasons.append(worker.lost_reason)

    def on_output(self, index: int, line: str) -> None:
        self.lines.append(line)

    def begin(self, job: str, graph: dict[str, Any], *outputs: str, **fields: Any) -> asyncio.Future[JobFinished]:
        """Send a job; the future is its end."""
        self._ends[job] = asyncio.get_running_loop().create_future()
        prompt = msgspec.json.encode(
            {node: {"class_type": kind, "inputs": given} for node, (kind, given) in graph.items()}
        )
        self.worker.send(RunJob(job, prompt, outputs or (next(reversed(graph)),), prompt, **fields))
        return self._ends[job]

    async def run(self, job: str, graph: dict[str, Any], *outputs: str, **fields: Any) -> JobFinished:
        """Send a job and wait for its end."""
        return await asyncio.wait_for(self.begin(job, graph, *outputs, **fields), 30)

    def cancel(self, job: str) -> None:
        self.worker.send(CancelJob(job))

    def events(self, job: str) -> list[Any]:
        told = [message.events for message in self.messages if isinstance(message, JobEvents) and message.job == job]
        return [event for events in told for event in events]

    async def until(self, condition: Callable[[], Any], seconds: float = 30.0) -> None:
        """Wait for `condition`; fail when it does not come about."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)


Start = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture(scope="session")
def worker_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory; what the node packs declare is stored there by the first worker."""
    base = tmp_path_factory.mktemp("worker")
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "odd_pack.py").write_text(PACK, encoding="utf-8")
    return base


@pytest.fixture
def workers(worker_base: Path) -> Start:
    """`async with workers() as bench`: a pool with a worker that has read its node packs."""

    @asynccontextmanager
    async def start(count: int = 1, **options: Any) -> AsyncIterator[Bench]:
        bench = Bench()
        command = [sys.executable, "-m", "engine", "worker", "--base-directory", str(worker_base)]
        bench.pool = WorkerPool(
            command,
            count=count,
            on_message=bench.on_message,
            on_change=bench.on_change,
            on_output=bench.on_output,
            device="cpu",
            **options,
        )
        await bench.pool.start()
        try:
            await bench.until(lambda: all(worker.catalogue for worker in bench.pool.workers))
            yield bench
        finally:
            await bench.pool.stop(5.0)

    return start
