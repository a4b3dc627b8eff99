"""The pool: starts worker processes, hears them, and starts them again when they die. Lives on the server's event loop."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from engine.jobs.frames import Frames
from engine.jobs.messages import (
    CatalogueReady,
    Device,
    DeviceState,
    FromWorker,
    Hello,
    JobFinished,
    Ready,
    Shutdown,
    ToWorker,
)
from engine.jobs.workers_process import WorkerProcess, restart_delay
from engine.jobs.workers_socket import Connection, Listener, same_secret

State: TypeAlias = Literal["starting", "connected", "ready", "lost", "stopped"]

ADDRESS: Final = "SAFELIGHT_WORKER_ADDRESS"
SECRET: Final = "SAFELIGHT_WORKER_SECRET"
INDEX: Final = "SAFELIGHT_WORKER_INDEX"
DEVICE: Final = "SAFELIGHT_WORKER_DEVICE"
SERVER: Final = "SAFELIGHT_WORKER_SERVER"
"""Environment variables that tell a worker where to connect, who it is, (unless "auto") which device to use, and the process id
of its server."""

TERMINATE_SECONDS: Final = 2.0
"""How long a worker has after SIGTERM before it is killed."""

_log = logging.getLogger("safelight.worker")


class Worker:
    """One place of the pool. The object stays when its process dies and another takes the place."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.state: State = "starting"
        self.pid: int | None = None
        self.catalogue = False
        """Whether it has read every node pack, so that the stored catalogue is true."""
        self.torch_version = ""
        self.devices: list[Device] = []
        """All devices that it sees, its own first; empty until it is ready."""
        self.device: Device | None = None
        """Its own device, as last told."""
        self.models: set[str] = set()
        """`folder/name` of the model files that it holds in memory."""
        self.restarts = 0
        self.lost_reason = ""
        """A sentence: why the latest process was lost."""
        self.lost_output: list[str] = []
        """The last lines that it wrote to stderr, for developers."""
        self.lost_pid: int | None = None
        self.ended_itself = False
        """Whether the latest process was lost by what ran in it, rather than ended by somebody."""
        self.replaced = False
        """Whether its process was told to make room for another, so that its end says nothing about its job or the next one."""
        self.job: Any = None
        """The dispatcher's; the pool never touches it."""
        self.process: WorkerProcess | None = None
        self.frames: Frames | None = None

    @property
    def usable(self) -> bool:
        """Whether a job can be sent to it."""
        return self.state in ("connected", "ready") and self.frames is not None and self.frames.open

    def send(self, message: ToWorker) -> None:
        """Send a message at once; it is dropped when the worker is not connected, and `on_change` tells of its loss."""
        if self.frames is not None:
            self.frames.send(message)
            self.frames.flush()  # the worker waits for it, and this turn of the loop may have more to do

    def send_body(self, body: bytes) -> None:
        """Send what `body_of` gave."""
        if self.frames is not None:
            self.frames.send_body(body)

    async def sent(self, seconds: float) -> None:
        """Wait until the worker has read what was sent, at most `seconds`."""
        end = asyncio.get_running_loop().time() + seconds
        while self.frames is not None and self.frames.unsent > 0 and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.01)

    def kill(self, reason: str = "was killed by the server") -> None:
        """End its process at once; it is lost and restarted. `reason` follows "Worker 0"."""
        if self.process is not None:
            self.process.kill(reason)

    def _forget(self) -> None:
        """What was true of a process that is gone."""
        self.pid = self.process = self.frames = self.device = None
        self.catalogue = False
        self.models = set()


class WorkerPool:
    """`command` starts a worker, which gets what it needs to connect in its environment.

    `count` None: one worker for each CUDA device, or one. `device` other than "auto" is every worker's, and None is then one.
    `on_message` gets every message but Hello, after the worker's own fields were set from it. `on_change` is called when a
    worker became connected, ready, lost or stopped. `on_output` gets the lines that workers print.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        count: int | None,
        on_message: Callable[[Worker, FromWorker], None],
        on_change: Callable[[Worker], None],
        on_output: Callable[[int, str], None] | None = None,
        env: Mapping[str, str] | None = None,
        device: str = "auto",
    ) -> None:
        self.workers: list[Worker] = []
        self._command = list(command)
        self._count = count
        self._device = device
        self._env = dict(env or {})
        self._on_message = on_message
        self._on_change = on_change
        self._on_output = on_output
        self._listener = Listener(self._accept)
        self._supervisors: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    async def start(self, env: Mapping[str, str] | None = None) -> None:
        """Open the socket and start the workers, with `env` in their environment too; returns before they are there.

        Raises OSError.
        """
        self._env.update(env or {})
        await self._listener.start()
        self._grow_to(self._count or 1)

    async def stop(self, grace: float = 5.0) -> None:
        """Ask every worker to end, and make those end that have not after `grace` seconds."""
        self._stopping.set()
        for worker in self.workers:
            if worker.frames is not None:
                worker.send(Shutdown())
            elif worker.process is not None:
                worker.process.terminate()
        await self._ended(grace)
        for worker in self.workers:
            if worker.process is not None:
                worker.process.terminate()
        await self._ended(TERMINATE_SECONDS)
        for worker in self.workers:
            worker.kill()
        if self._supervisors:
            await asyncio.wait(self._supervisors)
        await self._listener.stop()

    async def _ended(self, seconds: float) -> None:
        left = [task for task in self._supervisors if not task.done()]
        if left:
            await asyncio.wait(left, timeout=seconds)

    def _grow_to(self, count: int) -> None:
        while len(self.workers) < count and not self._stopping.is_set():
            worker = Worker(len(self.workers))
            self.workers.append(worker)
            self._supervisors.append(asyncio.create_task(self._supervise(worker)))

    # -- one worker's life

    async def _supervise(self, worker: Worker) -> None:
        """Start the worker's process, again and again, until the pool stops."""
        loop = asyncio.get_running_loop()
        short_lives = 0
        while not self._stopping.is_set():
            began = loop.time()
            worker.state = "starting"
            await self._live(worker)
            worker._forget()
            if self._stopping.is_set():
                worker.lost_reason = f"Worker {worker.index} was ended with the server."
                break
            worker.state = "lost"
            if worker.replaced:
                worker.lost_reason = f"Worker {worker.index} makes room for another."
                _log.info("%s", worker.lost_reason)
            else:
                _log.warning("%s", worker.lost_reason)
            self._tell_change(worker)
            short_lives, delay = (0, 0.0) if worker.replaced else restart_delay(short_lives, loop.time() - began)
            worker.replaced = False
            await _wait(self._stopping, delay)
            worker.restarts += 1
        worker.state = "stopped"
        self._tell_change(worker)

    async def _live(self, worker: Worker) -> None:
        """One process of the worker, from its start to its end; leaves `lost_reason`."""

        def on_line(line: str) -> None:
            _log.info("worker %d: %s", worker.index, line)
            if self._on_output is not None:
                self._on_output(worker.index, line)

        process = worker.process = WorkerProcess(on_line)
        settings = {ADDRESS: self._listener.address, SECRET: process.secret, INDEX: str(worker.index)}
        settings[SERVER] = str(os.getpid())
        if self._device != "auto":
            settings[DEVICE] = self._device
        try:
            await process.start(self._command, self._env | settings)
        except (OSError, ValueError) as error:
            worker.lost_reason = f"Worker {worker.index} could not be started: {error}."
            return
        worker.pid = process.pid
        if self._stopping.is_set():
            process.terminate()
        await process.ended()
        worker.lost_reason = f"Worker {worker.index} {process.reason()}."
        worker.lost_output = list(process.output.last)
        worker.lost_pid, worker.ended_itself = worker.pid, process.ended_itself() and not worker.replaced

    def _accept(self, hello: Hello, connection: Connection) -> bool:
        """Whether a worker that was started is at the other end; if so, hear it from now on."""
        if not 0 <= hello.worker < len(self.workers):
            return False
        worker = self.workers[hello.worker]
        process = worker.process
        if process is None or worker.frames is not None or not same_secret(hello.secret, process.secret):
            return False
        connection.on_message = lambda message: self._hear(worker, process, message)
        connection.on_closed = process.disconnected
        process.connected(connection.frames)
        worker.pid = hello.pid
        worker.frames = connection.frames
        worker.state = "connected"
        self._tell_change(worker)
        return True

    def _hear(self, worker: Worker, process: WorkerProcess, message: FromWorker) -> None:
        if worker.process is not process:
            return
        kind = type(message)
        if isinstance(message, JobFinished | DeviceState):
            worker.models = set(message.models)
            worker.device = message.device or worker.device
        elif kind is CatalogueReady:
            worker.catalogue = True
        elif isinstance(message, Ready):
            self._ready(worker, message)
        elif kind is Hello:
            return
        try:
            self._on_message(worker, message)
        except Exception:
            _log.exception("A message of worker %d could not be handled: %s", worker.index, kind.__name__)
        if kind is Ready:
            self._tell_change(worker)

    def _ready(self, worker: Worker, message: Ready) -> None:
        worker.torch_version = message.torch_version
        worker.devices = message.devices
        worker.device = message.devices[0] if message.devices else None
        worker.state = "ready"
        if self._count is None and self._device == "auto":
            self._grow_to(sum(device.type == "cuda" for device in message.devices))

    def _tell_change(self, worker: Worker) -> None:
        try:
            self._on_change(worker)
        except Exception:
            _log.exception("A change of worker %d could not be handled: %s", worker.index, worker.state)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait until `event` is set, at most `seconds`."""
    if seconds > 0:
        waiting = asyncio.ensure_future(event.wait())
        await asyncio.wait([waiting], timeout=seconds)
        waiting.cancel()
