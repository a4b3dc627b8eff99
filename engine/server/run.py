"""A server from its start to its end: listen first, then open the store, start the workers, and end in good order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from aiohttp import web

from engine.config import Settings
from engine.jobs import heap
from engine.jobs.dispatch import Dispatcher
from engine.jobs.inspections import Inspections
from engine.jobs.lock import FolderInUseError, FolderLock
from engine.jobs.messages import (
    CatalogueReady,
    Device,
    DeviceState,
    FromWorker,
    JobEvents,
    JobFinished,
    JobPreview,
    JobRefused,
    JobStarted,
    PacksOpened,
)
from engine.jobs.pack_calls import PackCalls
from engine.jobs.records import Job
from engine.jobs.store import JobStore
from engine.jobs.store_errors import StoreError
from engine.jobs.turns import LARGE
from engine.jobs.workers import Worker, WorkerPool
from engine.paths import Paths
from engine.plugins.attempts import blame
from engine.plugins.library import Library
from engine.plugins.store import FILE_NAME
from engine.processes import ServerFacts, python_environment, told_environment
from engine.server import audit, token_file
from engine.server.app import Parts, make_application
from engine.server.binding import bind, port_of, url_of
from engine.server.catalogues import Catalogues
from engine.server.follow import JobFollower
from engine.server.guards import RUNNER, Policy
from engine.server.hub import Hub
from engine.server.limits import Limits
from engine.server.log_ring import LogRing
from engine.server.logs import configure_logging
from engine.server.options import OptionsError, ServeOptions
from engine.server.packs import Packs
from engine.server.refusals import Refusal
from engine.server.reloading import Reloading
from engine.server.routes.object_info import ObjectInfo
from engine.server.routes.system import SystemInfo
from engine.server.temp_files import remove_old
from engine.server.tokens import ensure_token

log = logging.getLogger("safelight.server")


class Engine(Protocol):
    """What of the engine a server needs, in its own process."""

    @property
    def paths(self) -> Paths:
        """The folders."""

    @property
    def settings(self) -> Settings:
        """What the base directory's `safelight.toml` says."""

    @property
    def stored_library(self) -> Callable[[bool], Library | None]:
        """See `engine.server.catalogues.Catalogues`."""


DRAIN_SECONDS: Final = 30.0
"""How long jobs that run have to end after SIGTERM; what does not end waits on disk for the next start."""

STARTS: Final = 6
"""So many times a worker is started again before nobody waits for the catalogue any longer: packs may end its process."""

_OF_JOBS: Final = frozenset({JobStarted, JobEvents, JobPreview, JobFinished, JobRefused, DeviceState})

WORKER_GRACE: Final = 5.0
WRITE_GRACE: Final = 5.0
"""How long ended jobs are waited for whose end does not fit on a full disk."""


def serve(app: Engine, options: ServeOptions, worker_command: list[str]) -> int:
    """Serve until SIGTERM or Ctrl-C. Raises OptionsError for what cannot be served, FolderInUseError for a second server."""
    heap.large_apart(LARGE)
    ring = LogRing()
    configure_logging(options.log_format, options.log_level)
    logging.getLogger().addHandler(ring)
    user = app.paths.directory("user")
    lock = FolderLock(user, f"The folder {user}")
    try:
        lock.acquire()
    except FolderInUseError as error:
        raise OptionsError(str(error)) from error
    try:
        sockets = bind(options.listen, options.port)
        url = url_of(sockets, options.listen)
        lock.describe(url)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(Server(app, options, ring, worker_command).run(sockets, url))
    finally:
        lock.release()


class Server:
    """All parts of a server, put together."""

    def __init__(self, app: Engine, options: ServeOptions, ring: LogRing, worker_command: list[str]) -> None:
        self._app = app
        self._options = options
        self._limits = Limits(max_upload_size=options.max_upload_size)
        self._ring = ring
        self._token = ensure_token(options.listen, options.token)
        self.store = JobStore(app.paths.user / "jobs.db")
        self.hub = Hub(self._features, self._status, ring, self._limits)
        self.hub.on_connect = self._resume
        self.catalogues = Catalogues(app.stored_library)
        self.dispatcher = Dispatcher(
            self.store, self._follow, self.hub.tell_status, preview_method=options.preview_method
        )
        device = "cpu" if options.cpu else "auto"
        self.pool = WorkerPool(
            worker_command,
            count=options.workers,
            on_message=self._on_message,
            on_change=self._on_worker,
            device=device,
        )
        self.inspections = Inspections(lambda: self.pool.workers)
        self.packs = Packs(PackCalls(lambda: self.pool.workers), self.catalogues, self.hub, app.paths)
        self.object_info = ObjectInfo(self.packs.catalogue, app.paths)
        self.reloading = Reloading(self.pool, self.catalogues, app.paths.cache / FILE_NAME)
        self._opened = asyncio.Event()
        self._end = asyncio.Event()
        self._hurry = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, sockets: list[socket.socket], url: str) -> int:
        """Serve on `sockets` until told to end."""
        self._listen_to_signals()
        runner = web.AppRunner(self._application(port_of(sockets)), **RUNNER)
        await runner.setup()
        for one in sockets:
            await web.SockSite(runner, one).start()
        log.info("listening", extra={"url": url})
        if self._token is not None and self._options.token is None:
            sys.stderr.write(f"Open {url}/?token={self._token}\n")
        try:
            return await self._serve(url, port_of(sockets))
        finally:
            await self._stop(runner)

    async def _serve(self, url: str, port: int) -> int:
        # One after the other: both are work of the processor under one lock, and side by side each would wait for the other.
        await self.catalogues.read()
        try:
            await self.dispatcher.load(await self.store.open())
        except StoreError as error:
            log.error("the store cannot be opened", extra={"problem": str(error)})
            return 1
        self._opened.set()
        self.dispatcher.pool = self.pool
        await self.pool.start(self._for_workers(port))
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        self._spawn(asyncio.to_thread(remove_old, self._app.paths.temp))
        if self._options.open_browser:
            self._spawn(asyncio.to_thread(_open_browser, url, self._token))
        await self._end.wait()
        return 0

    def _for_workers(self, port: int) -> dict[str, str]:
        """What workers find in their environment: where our modules are, whatever folder they run in, and whom they serve."""
        facts = ServerFacts(self._options.listen[0], port, self._options.max_upload_size)
        return {"PYTHONPATH": python_environment().get("PYTHONPATH", ""), **told_environment(facts)}

    async def _stop(self, runner: web.AppRunner) -> None:
        self.catalogues.give_up("The server is ending.")
        await self.dispatcher.drain(0.0 if self._hurry else DRAIN_SECONDS)
        await self.pool.stop(WORKER_GRACE)
        await self.dispatcher.settled(WRITE_GRACE)
        await self.hub.close()
        await runner.cleanup()
        await self.store.close()
        log.info("ended", extra={"waiting_jobs": len(self.dispatcher.queue)})

    # -- parts

    def parts(self) -> Parts:
        """What its routes stand on."""
        return Parts(
            paths=self._app.paths,
            store=self.store,
            dispatcher=self.dispatcher,
            inspections=self.inspections,
            hub=self.hub,
            catalogues=self.catalogues,
            system=SystemInfo(
                argv=_argv(self._options), devices=self._devices, torch_version=self._torch, features=self._features()
            ),
            ring=self._ring,
            version=version(),
            opened=self._opened,
            packs=self.packs,
            object_info=self.object_info,
            reload=self.reloading.reload,
            limits=self._limits,
            openai=self._app.settings.openai,
            webhook_settings=self._app.settings.webhooks,
        )

    def _application(self, port: int) -> web.Application:
        policy = Policy(
            listen=self._options.listen,
            port=port,
            token=self._token,
            tokens_file=self._app.paths.user / token_file.FILE_NAME,
            audit_file=self._app.paths.user / audit.FILE_NAME,
            allow_hosts=self._options.allowed_hosts,
            cors_origins=self._options.cors_origins,
        )
        return make_application(self.parts(), self._options, policy, self._limits)

    def _features(self) -> Mapping[str, Any]:
        return {
            "supports_preview_metadata": True,
            "supports_progress_text_metadata": True,
            "max_upload_size": self._limits.max_upload_size,
        }

    def _status(self, only: str | None) -> Mapping[str, Any]:
        return {"exec_info": {"queue_remaining": self.dispatcher.remaining_of(only)}}

    def _follow(self, job: Job) -> JobFollower:
        return JobFollower(job, self.hub)

    def _resume(self, client_id: str, owner: str | None) -> None:
        for running in self.dispatcher.running.values():
            job = running.job
            if (job.client_id, job.owner) == (client_id, owner) and isinstance(running.follower, JobFollower):
                running.follower.resume()

    def _devices(self) -> list[Device]:
        found = next((worker.devices for worker in self.pool.workers if worker.devices), [])
        own = [worker.device for worker in self.pool.workers if worker.device is not None]
        told = {(one.type, one.index) for one in own}
        return [*own, *(one for one in found if (one.type, one.index) not in told)] if own else list(found)

    def _torch(self) -> str:
        return next((worker.torch_version for worker in self.pool.workers if worker.torch_version), "")

    def _on_worker(self, worker: Worker) -> None:
        if worker.state == "lost" and worker.restarts >= STARTS and not self.catalogues.known:
            self.catalogues.give_up(f"{worker.lost_reason} It is started again; its log tells more.")
        if worker.state == "lost" and worker.ended_itself and worker.lost_pid is not None:
            blame(self._app.paths.cache, worker.lost_pid, worker.lost_reason)
        self.packs.on_worker(worker)
        self.dispatcher.on_worker(worker)

    def _on_message(self, worker: Worker, message: FromWorker) -> None:
        kind = type(message)
        if kind in _OF_JOBS:
            self.dispatcher.on_message(worker, message)
        elif kind is CatalogueReady:
            self._spawn(self.reloading.catalogue_ready(worker))
        else:
            self.packs.on_message(worker, message)
            self.inspections.on_message(worker, message)
            if kind is PacksOpened:
                self._spawn(self._make_object_info())
            self.dispatcher.on_message(worker, message)

    async def _make_object_info(self) -> None:
        """Ask packs for their choices, and encode all nodes, before a client wants them: the first time takes longest."""
        await self.packs.ask_anew()
        with contextlib.suppress(Refusal):
            await self.object_info.body()

    # -- the end

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # not on Windows: KeyboardInterrupt ends the server there
                loop.add_signal_handler(number, self._told_to_end, number)

    def _told_to_end(self, number: signal.Signals) -> None:
        self._hurry = self._hurry or number == signal.SIGINT or self._end.is_set()
        log.info("ending", extra={"signal": signal.Signals(number).name})
        self.dispatcher.draining = True
        self._end.set()

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def version() -> str:
    """The version of the installed distribution."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("safelight")
    except PackageNotFoundError:
        return "0"


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return None
    return uvloop.new_event_loop


def _argv(options: ServeOptions) -> list[str]:
    """The command line as editors show it: without the token."""
    return [word for word in sys.argv if options.token is None or options.token not in word]


def _open_browser(url: str, token: str | None) -> None:
    import webbrowser

    webbrowser.open(f"{url}/?token={token}" if token else url)
