"""Real worker processes on a base directory with a small node pack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.jobs.messages import CancelJob, JobEvents, JobFinished, RunJob
from engine.jobs.workers import Worker, WorkerPool
from tests.harness import PATIENCE, command, environ, new_base

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
    """What a pool of real workers told one test."""

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
            self._ends.pop(message.job).set_result(message)

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
        return await asyncio.wait_for(self.begin(job, graph, *outputs, **fields), PATIENCE)

    def cancel(self, job: str) -> None:
        self.worker.send(CancelJob(job))

    def events(self, job: str) -> list[Any]:
        told = [message.events for message in self.messages if isinstance(message, JobEvents) and message.job == job]
        return [event for events in told for event in events]

    @property
    def busy(self) -> bool:
        """Whether a job has not ended."""
        return bool(self._ends)

    async def hear(self, kind: type[Any]) -> Any:
        """The first message of a kind, once it is there."""
        await self.until(lambda: any(isinstance(message, kind) for message in self.messages))
        return next(message for message in self.messages if isinstance(message, kind))

    async def until(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> None:
        """Wait for `condition`; fail when it does not come about."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)


Start = Callable[..., AbstractAsyncContextManager[Bench]]


class Stage:
    """The pool that the tests of a module share, one after the other, on one event loop."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._pool: WorkerPool | None = None
        self._bench = Bench()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[Bench]:
        """The worker of the module. A test that leaves a job behind costs the next one a new worker."""
        if self._pool is None:
            self._pool = self._make(count=1)
            await self._pool.start()
        bench = self._bench = Bench()
        bench.pool = self._pool
        await bench.until(lambda: bench.worker.usable and bench.worker.catalogue)
        try:
            yield bench
        finally:
            if bench.busy:
                await self.close()

    @asynccontextmanager
    async def own(self, **options: Any) -> AsyncIterator[Bench]:
        """Workers for one test."""
        before, self._bench = self._bench, Bench()
        bench = self._bench
        bench.pool = self._make(**options)
        await bench.pool.start()
        try:
            await bench.until(lambda: all(worker.catalogue for worker in bench.pool.workers))
            yield bench
        finally:
            self._bench = before
            await bench.pool.stop(5.0)

    async def close(self) -> None:
        """End the shared worker."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.stop(5.0)

    def _make(self, **options: Any) -> WorkerPool:
        return WorkerPool(
            command("worker", "--base-directory", str(self._base)),
            on_message=self._message,
            on_change=self._change,
            on_output=self._output,
            env=environ(),
            device="cpu",
            **options,
        )

    # What workers tell goes to the bench of the test that runs.

    def _message(self, worker: Worker, message: Any) -> None:
        self._bench.on_message(worker, message)

    def _change(self, worker: Worker) -> None:
        self._bench.on_change(worker)

    def _output(self, index: int, line: str) -> None:
        self._bench.on_output(index, line)


@pytest.fixture(scope="session")
def worker_base(tmp_path_factory: pytest.TempPathFactory, core_catalogue: Path) -> Path:
    """A base directory; what its node pack declares is stored there by the first worker."""
    base = new_base(tmp_path_factory.mktemp("worker"), core_catalogue)
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "odd_pack.py").write_text(PACK, encoding="utf-8")
    return base


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """The event loop on which the pool of the module lives."""
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def stage(worker_base: Path, runner: asyncio.Runner) -> Iterator[Stage]:
    made = Stage(worker_base)
    yield made
    runner.run(made.close())


@pytest.fixture
def run(runner: asyncio.Runner) -> Callable[[Callable[[], Any]], None]:
    """Runs the coroutine of a test to its end."""
    return lambda scene: runner.run(scene())


@pytest.fixture
def workers(stage: Stage) -> Start:
    """`async with workers() as bench`: the module's worker, which has read its node packs; with `count` workers of the
    test's own, which may be ended.
    """

    def start(count: int | None = None, **options: Any) -> AbstractAsyncContextManager[Bench]:
        return stage.shared() if count is None else stage.own(count=count, **options)

    return start
