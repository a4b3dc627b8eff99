"""A server's workflows as plain functions: the asynchronous client on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from engine.calls.errors import RunCancelledError
from engine.calls.progress import Progress
from engine.calls.result import Result
from engine.calls.run import Run, Told
from engine.client.asynchronous import AsyncClient, AsyncWorkflow, Call

T = TypeVar("T")


class Client:
    """A server at `url`, which may want a `token`. As `AsyncClient`, for programs without an event loop. Safe among threads.

    Use it as a context (`with Client(…) as client`), or `close()` it.
    """

    def __init__(self, url: str, *, token: str | None = None, silence: float = 60.0, patience: float = 60.0) -> None:
        self._async = AsyncClient(url, token=token, silence=silence, patience=patience)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._async.url

    def workflows(self) -> list[str]:
        """The names of the saved workflows."""
        return self._call(self._async.workflows())

    def workflow(self, name: str) -> RemoteWorkflow:
        """A saved workflow. Raises UnknownWorkflowError."""
        return RemoteWorkflow(self, self._call(self._async.workflow(name)))

    def run_graph(
        self,
        graph: Any,
        *,
        progress: Callable[[Progress], object] | None = None,
        previews: bool = False,
        timeout: float | None = None,
        download: bool = True,
    ) -> Result:
        """Run a graph that is not saved there; see `AsyncClient.run_graph`. `progress` is called on this thread."""
        told = Told()
        call = Call(self._async, None, graph=graph, progress=told, previews=previews, download=download)
        return self.start(call, told).wait(progress, timeout)

    def result(self, job: str, *, download: bool = True) -> Result:
        """The result of a job that was begun earlier, once it is there. Raises UnknownJobError, and as `run` does."""
        return self._call(self._async.result(job, download=download))

    def cancel(self, job: str) -> bool:
        """End a job; whether it waited or ran. Raises UnknownJobError."""
        return self._call(self._async.cancel(job))

    def close(self) -> None:
        """Close the connections. Jobs that nobody waits for here go on."""
        with self._lock:
            loop, self._loop, self._closed = self._loop, None, True
        if loop is not None:
            asyncio.run_coroutine_threadsafe(_end(self._async), loop).result()
            loop.call_soon_threadsafe(loop.stop)

    def start(self, call: Call, told: Told) -> RemoteRun:
        """Begin a call; see `RemoteWorkflow.start`."""
        return RemoteRun(call, told, self._running())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            loop = self._running()
        except RuntimeError:
            work.close()
            raise
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise RuntimeError(f"The client of {self.url} is closed. Make another.")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), name="safelight-client", daemon=True).start()
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


async def _end(client: AsyncClient) -> None:
    """Cancel what is waited for, and close the connections."""
    others = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
    for one in others:
        one.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await client.close()


class RemoteRun(Run):
    """A call on a server that has begun."""

    def __init__(self, call: Call, told: Told, loop: asyncio.AbstractEventLoop) -> None:
        self._made = call
        self._loop = loop
        self._ending = asyncio.Event()
        super().__init__(self._begun(), told, self._ask_to_end)

    @property
    def job(self) -> str | None:
        """The id of its job, once the server has told it."""
        return self._made.job

    def _begun(self) -> Future[Result]:
        return asyncio.run_coroutine_threadsafe(self._work(), self._loop)

    async def _work(self) -> Result:
        working = asyncio.ensure_future(self._made.result())
        asked = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                working.cancel()  # which cancels the job
                await asyncio.wait({working})
                if working.cancelled():
                    raise RunCancelledError("The run was cancelled.")
            return working.result()
        finally:
            asked.cancel()
            working.cancel()

    def _ask_to_end(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ending.set)


class RemoteWorkflow:
    """A saved workflow of a server, as it was when it was asked for."""

    def __init__(self, client: Client, told: AsyncWorkflow) -> None:
        self.client = client
        self._told = told
        self.name = told.name
        self.doc = told.doc
        self.schema = told.schema
        """The JSON Schema of what it takes: each parameter's type, range, choices, default and meaning."""
        self.outputs = told.outputs
        """What it gives: `name`, `kind` and `doc` of each."""
        self.runnable = told.runnable
        self.problems = told.problems
        """What keeps it from running there, in words."""

    def run(
        self,
        parameters: Mapping[str, Any] | None = None,
        /,
        *,
        progress: Callable[[Progress], object] | None = None,
        previews: bool = False,
        timeout: float | None = None,
        download: bool = True,
        **named: Any,
    ) -> Result:
        """As `engine.Workflow.run`, on the server; see `AsyncWorkflow.run` for what it raises.

        `progress` is called on this thread. What ends the waiting early (Ctrl-C too) cancels the job.
        """
        run = self.start(parameters, previews=previews, download=download, **named)
        return run.wait(progress, timeout)

    def start(
        self,
        parameters: Mapping[str, Any] | None = None,
        /,
        *,
        previews: bool = False,
        download: bool = True,
        **named: Any,
    ) -> RemoteRun:
        """Begin a run and return at once; `wait()` of what it gives is the result, `cancel()` ends it."""
        told = Told()
        call = self._told.call({**(parameters or {}), **named}, progress=told, previews=previews, download=download)
        return self.client.start(call, told)

    def __repr__(self) -> str:
        return repr(self._told)
