"""The worker's side of the connection: says who it is, runs jobs one after the other, and ends when the server does."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
from collections import deque
from typing import Any, Final, NoReturn

from engine.execute.cancel import CancelToken
from engine.jobs.frames import Frames, frame
from engine.jobs.messages import (
    CancelJob,
    CatalogueReady,
    CheckPrompt,
    DeviceState,
    FreeMemory,
    Hello,
    Inspect,
    JobPreview,
    JobRefused,
    Ready,
    RefreshNodes,
    RunJob,
    Shutdown,
    ToWorker,
)
from engine.jobs.workers_socket import clear, connect
from engine.plugins.attempts import withdraw
from engine.plugins.compat.host import serve_on
from engine.worker.checks import checked_prompt, refreshed_nodes
from engine.worker.events import JobSink
from engine.worker.inspection import Inspector
from engine.worker.jobs import crashed, finished, never_ran, run_job
from engine.worker.memory import Holdings
from engine.worker.missing import missing
from engine.worker.packs import OpenPacks
from engine.worker.parts import Engine, Parts, open_engine
from engine.worker.pictures import Previews
from engine.worker.prompts import Prompts
from engine.worker.recent import Recent
from engine.worker.warmup import tell_torch, warm_up

END_SECONDS: Final = 6.0
"""How long ending may take: then the process ends whatever hangs."""

JOB_SECONDS: Final = 3.0
"""How long a cancelled job is waited for when the worker ends."""

COLLECT_SECONDS: Final = 1.0
"""After this long without a job, garbage is collected."""

BUSY_SECONDS: Final = 2.0
"""How long torch is not loaded ahead of time while there is always a job."""

HANGING: Final = 75
"""Exit status of a worker that leaves because a pack hangs in it (`EX_TEMPFAIL` of sysexits.h: try again)."""

IDLE_SECONDS: Final = 15.0
"""How often an idle worker tells of its device."""

_log = logging.getLogger("safelight.worker")


class Session:
    """One worker from its connection to its end. Everything but what says so belongs to the event loop."""

    def __init__(self, parts: Parts, address: str, index: int, secret: str) -> None:
        self._parts = parts
        self._address = address
        self._server = os.getppid()
        self._hello = Hello(index, secret, os.getpid())
        self._loop = asyncio.get_running_loop()
        self._work: deque[RunJob | FreeMemory] = deque()
        self._has_work = asyncio.Event()
        self._ending = asyncio.Event()
        self._current: str | None = None
        self._token = CancelToken()
        self._warming = False
        self._refreshing = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._previews = Previews(self._preview_made)
        self._prompts = Prompts()
        self._recent = Recent()
        self._frames: Frames
        self._engine: Engine
        self._holdings: Holdings
        self._packs: OpenPacks
        self._sink: JobSink

    async def run(self) -> NoReturn:
        """Serve until the server asks to end or is gone; then end the process. Raises OSError when it cannot be reached."""
        self._frames = await connect(self._address, lambda: Frames(ToWorker, self._take, self._closed))
        self._frames.send(self._hello)
        serve_on(self._loop)
        self._engine = await asyncio.to_thread(open_engine, self._parts)
        if self._engine.library.hangs:
            _start_anew()
        self._holdings = Holdings(self._engine)
        self._frames.send(CatalogueReady())
        self._packs = OpenPacks(self._engine, self._frames.send, self._loop)
        self._spawn(self._packs.open())
        self._loop.call_later(BUSY_SECONDS, self._warm_up)
        jobs = asyncio.create_task(self._run_jobs())
        idle = asyncio.create_task(self._tell_while_idle())
        await asyncio.wait([jobs, asyncio.create_task(self._ending.wait())], return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        await self._end(jobs)

    def end(self) -> None:
        """Begin to end: cancel what runs."""
        if not self._ending.is_set():
            self._ending.set()
            withdraw(self._parts.paths.cache)
            self._has_work.set()
            self._token.cancel()
            timer = threading.Timer(END_SECONDS, os._exit, (1,))  # whatever hangs, the event loop included
            timer.daemon = True
            timer.start()

    async def _end(self, jobs: asyncio.Task[None]) -> NoReturn:
        """Let the job stop, write the cache, and leave without waiting for threads that nodes may have started."""
        code = 0
        if jobs.done() and not jobs.cancelled() and (error := jobs.exception()) is not None:
            _log.error("The worker failed.", exc_info=error)
            code = 1
        self.end()
        await asyncio.wait([jobs], timeout=JOB_SECONDS)
        await asyncio.to_thread(self._engine.cache.flush)
        self._frames.close()
        await asyncio.sleep(0)  # the last frames go out
        if os.getppid() != self._server:
            clear(self._address)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    # -- messages

    def _take(self, message: ToWorker) -> None:
        if isinstance(message, RunJob | FreeMemory):
            self._work.append(message)
            self._has_work.set()
        elif isinstance(message, CancelJob):
            self._cancel(message.job)
        elif isinstance(message, CheckPrompt):
            self._spawn(self._check(message))
        elif isinstance(message, RefreshNodes):
            self._spawn(self._refresh(message))
        elif isinstance(message, Inspect):
            self._spawn(self._inspect(message))
        elif isinstance(message, Shutdown):
            self.end()

    def _closed(self, error: Exception | None) -> None:
        if error is not None:
            _log.error("The connection to the server broke: %s", error)
        self.end()

    def _cancel(self, job: str) -> None:
        if job == self._current:
            self._token.cancel()
            return
        for message in self._work:
            if isinstance(message, RunJob) and message.job == job:
                self._work.remove(message)
                self._frames.send(never_ran(job))
                return

    async def _inspect(self, message: Inspect) -> None:
        await self._opened()
        inspector = Inspector(self._engine, self._recent)
        self._frames.send(await inspector.answer(message, running=message.job == self._current))

    async def _opened(self) -> None:
        while not hasattr(self, "_packs"):
            await asyncio.sleep(0.01)

    async def _refresh(self, message: RefreshNodes) -> None:
        await self._opened()
        await self._packs.opened.wait()
        async with self._refreshing:  # a pack may hang in it: then others wait here, and take no threads from jobs
            self._frames.send(await asyncio.to_thread(refreshed_nodes, self._engine, message))

    async def _check(self, message: CheckPrompt) -> None:
        await self._opened()
        await self._packs.opened.wait()
        self._frames.send(await asyncio.to_thread(checked_prompt, self._engine, message))

    # -- jobs

    async def _run_jobs(self) -> None:
        while not self._ending.is_set():
            if not self._work:
                self._warm_up()
                self._has_work.clear()
                await self._wait_for_work()
                continue
            message = self._work.popleft()
            if isinstance(message, RunJob):
                await self._run(message)
            else:
                await self._free(message)

    async def _wait_for_work(self) -> None:
        """Until there is some; after a while of quiet, look for garbage, which is seldom done while jobs run."""
        timer = self._loop.call_later(COLLECT_SECONDS, gc.collect)
        await self._has_work.wait()
        timer.cancel()

    async def _run(self, message: RunJob) -> None:
        self._current, self._token = message.job, CancelToken()
        await self._packs.opened.wait()
        if reason := self._why_not(message):
            self._current = None
            self._frames.send(JobRefused(message.job, reason))
            return
        self._sink = sink = JobSink(message.job, self._frames, self._previews, self._engine.shortener.shorten)
        self._packs.job_begins(message, sink)
        try:
            result = await run_job(self._engine, message, self._token, self._frames, sink, self._prompts, self._recent)
            end = frame(finished(message.job, result, self._holdings.models(), self._holdings.device()))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # of the executor, or what nodes showed is too long for a message
            _log.exception("Job %s ended by an error of the executor.", message.job)
            end = frame(crashed(self._engine, message.job, error))
        self._current = None
        self._frames.send_frame(end)
        self._frames.flush()
        self._packs.job_ended()

    def _why_not(self, message: RunJob) -> str:
        """Why a job cannot run in this process; empty when it can be tried."""
        try:
            prompt = self._prompts.read(message.checked)
        except Exception:  # running it tells what is wrong
            return ""
        return missing(prompt, message.outputs, self._engine.library)

    async def _free(self, message: FreeMemory) -> None:
        try:
            await asyncio.to_thread(
                self._holdings.free, unload_models=message.unload_models, free_memory=message.free_memory
            )
        except Exception:
            _log.exception("Memory could not be freed.")
        self._tell_device()

    def _warm_up(self) -> None:
        """Load torch on a thread, unless that has begun. It stops everything else for moments: jobs that wait go first.

        Where nothing is to be loaded ahead of time, only tell of torch once a job has loaded it.
        """
        if self._warming:
            return
        if self._parts.settings.warm_up:
            self._warming = True
            arguments = (self._engine, self._warmed, lambda: self._current is not None)
            threading.Thread(target=warm_up, args=arguments, name="warm-up", daemon=True).start()
        elif "torch" in sys.modules:
            self._warming = True
            threading.Thread(target=tell_torch, args=(self._warmed,), name="tell-torch", daemon=True).start()

    # -- told from other threads

    def _preview_made(self, preview: JobPreview) -> None:
        """On the thread that encodes."""
        self._loop.call_soon_threadsafe(self._send_preview, preview)

    def _send_preview(self, preview: JobPreview) -> None:
        if preview.job == self._current and not self._frames.congested:
            self._sink.tell()  # clients go by the node that they know to run
            self._frames.send(preview)

    def _warmed(self, ready: Ready) -> None:
        """On the thread that loaded torch."""
        self._loop.call_soon_threadsafe(self._ready, ready)

    def _ready(self, ready: Ready) -> None:
        self._holdings.torch_loaded()
        self._frames.send(ready)

    # -- the device

    async def _tell_while_idle(self) -> None:
        while True:
            await asyncio.sleep(IDLE_SECONDS)
            if self._current is None:
                self._tell_device()

    def _tell_device(self) -> None:
        device = self._holdings.device(now=True)
        if device is not None:
            self._frames.send(DeviceState(device, self._holdings.models()))

    def _spawn(self, coroutine: Any) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _start_anew() -> NoReturn:
    """End the process, which its server starts again: what is known of the packs is on disk by now, and no pack hangs then."""
    _log.warning("A pack is still being imported, which nothing but the end of the process can stop.")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(HANGING)
