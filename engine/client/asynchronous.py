"""A server's workflows as functions of an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

from engine.calls.errors import RunTimeoutError
from engine.calls.progress import Progress
from engine.calls.result import File, Result
from engine.calls.run import late
from engine.client.arguments import Arguments
from engine.client.errors import (
    ConnectionLostError,
    KnownJobError,
    ServerError,
    TooManyRequestsError,
    graph_error,
    refusal_of,
)
from engine.client.events import events_of
from engine.client.results import Follower, ended, result_of

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

_SHORTEST, _LONGEST = 0.1, 2.0
"""Seconds between two tries to reach the server."""
_CANCEL_SECONDS: Final = 5.0
_AGAIN: Final = frozenset({502, 503, 504})
"""Statuses of a server that comes back, or of a proxy before it."""


class AsyncClient:
    """A server at `url` (with the path, if it is behind one), which may want a `token`.

    A connection on which nothing is heard for `silence` seconds is taken for broken (the server gives signs of life), and a
    server that is gone, as while it restarts, is waited for `patience` seconds: its jobs are on its disk and go on.
    Use it as a context (`async with AsyncClient(…) as client`), or `await close()`.
    """

    def __init__(self, url: str, *, token: str | None = None, silence: float = 60.0, patience: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._silence = silence
        self._patience = patience
        self._opened: ClientSession | None = None

    async def workflows(self) -> list[str]:
        """The names of the saved workflows."""
        names: list[str] = []
        while True:
            page = await self.json("GET", f"/api/v1/workflows?offset={len(names)}")
            names += [str(one["name"]) for one in page["workflows"]]
            if not page["workflows"] or len(names) >= page["total"]:
                return names

    async def workflow(self, name: str) -> AsyncWorkflow:
        """A saved workflow. Raises UnknownWorkflowError."""
        return AsyncWorkflow(self, await self.json("GET", f"/api/v1/workflows/{quote(name)}"))

    async def run_graph(
        self,
        graph: Any,
        *,
        progress: Callable[[Progress], object] | None = None,
        previews: bool = False,
        timeout: float | None = None,
        download: bool = True,
    ) -> Result:
        """Run a graph that is not saved there: a `Graph` of `engine.build`, or JSON in any form that the server reads.

        The outputs of the result are named by their nodes: `node_9`. Raises as `AsyncWorkflow.run` does. A graph of which only
        some outputs are sound is refused, though a server would run these.
        """
        call = Call(self, None, graph=graph, progress=progress, previews=previews, download=download)
        return await within(call, timeout)

    async def result(self, job: str, *, download: bool = True) -> Result:
        """The result of a job that was begun earlier, once it is there. Raises UnknownJobError, and as `run` does."""
        return await Call(self, None, job=job, download=download).result()

    async def cancel(self, job: str) -> bool:
        """End a job; whether it waited or ran. Raises UnknownJobError."""
        return bool((await self.json("POST", f"/api/v1/jobs/{quote(job, safe='')}/cancel"))["cancelled"])

    async def fetch(self, file: File) -> bytes:
        """The bytes of a file of a result."""
        async with self.request("GET", file.url.removeprefix(self.url)) as answer:
            return await answer.read()

    async def close(self) -> None:
        """Close the connections. Jobs that run go on."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # ---- requests

    async def json(self, method: str, path: str) -> Any:
        """What the server answers, as JSON. A server that is gone is waited for. Raises WorkflowError of some kind."""
        tries = Tries(self._patience)
        while True:
            try:
                async with self.request(method, path) as answer:
                    return await answer.json()
            except ConnectionLostError as error:
                await tries.wait(error)

    @asynccontextmanager
    async def request(
        self, method: str, path: str, *, data: Any = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[ClientResponse]:
        """One request; `path` begins with `/`. Raises ConnectionLostError where it may help to try again, and what is refused."""
        from aiohttp import ClientError

        try:
            sent = self._session().request(
                method, self.url + path, data=data, headers={**self._headers, **(headers or {})}
            )
            async with sent as answer:
                if answer.status >= 400:
                    raise await _refused(answer)
                yield answer
        except (ClientError, TimeoutError, ConnectionError) as error:
            if isinstance(error, ConnectionLostError | ServerError | RunTimeoutError):
                raise
            reason = str(error) or type(error).__name__
            raise ConnectionLostError(f"The server at {self.url} cannot be reached, or is gone: {reason}.") from error

    @property
    def patience(self) -> float:
        """For how many seconds a server that is gone is waited for."""
        return self._patience

    def _session(self) -> ClientSession:
        from aiohttp import ClientSession, ClientTimeout

        if self._opened is None:
            waits = ClientTimeout(total=None, sock_connect=self._silence, sock_read=self._silence)
            self._opened = ClientSession(timeout=waits)
        return self._opened


async def _refused(answer: ClientResponse) -> Exception:
    body = await answer.read()
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    error = refusal_of(answer.status, told, answer.headers.get("Retry-After"))
    if answer.status in _AGAIN:
        return ConnectionLostError(str(error))
    return error


class Tries:
    """How long to wait for a server that is gone, and when to try again."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: float | None = None
        self._pause = _SHORTEST

    def reached(self) -> None:
        """The server is there."""
        self._since, self._pause = None, _SHORTEST

    async def wait(self, error: ConnectionLostError, job: str | None = None) -> None:
        """Wait a moment. Raises `error` when the patience has ended."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since + self._pause > self._patience:
            error.job = job
            raise error
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, _LONGEST)


class AsyncWorkflow:
    """A saved workflow of a server, as it was when it was asked for."""

    def __init__(self, client: AsyncClient, told: Mapping[str, Any]) -> None:
        self.client = client
        self.name = str(told["name"])
        self.doc = str(told.get("doc") or "")
        self.schema: dict[str, Any] = dict(told["parameters"])
        """The JSON Schema of what it takes: each parameter's type, range, choices, default and meaning."""
        self.outputs: list[dict[str, Any]] = list(told["outputs"])
        """What it gives: `name`, `kind` and `doc` of each."""
        self.runnable = bool(told.get("runnable", True))
        self.problems: list[str] = list(told.get("problems") or ())
        """What keeps it from running there, in words."""

    async def run(
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
        """Run it with these parameters, by name, and wait for the result; the others have their defaults.

        As `engine.Workflow.arun`, on the server. With `download` the files come with the result; without, they have only
        their addresses. Cancelling the task, and an error of `progress`, cancel the job. A request that must be repeated makes
        no second job.

        Raises ArgumentError, InvalidWorkflowError, RunFailedError, RunCancelledError, RunTimeoutError, and ServerError:
        NotAllowedError, TooManyRequestsError; ConnectionLostError when the server stays away.
        """
        call = self.call({**(parameters or {}), **named}, progress=progress, previews=previews, download=download)
        return await within(call, timeout)

    def call(self, given: Mapping[str, Any], **options: Any) -> Call:
        """A call that has not begun."""
        return Call(self.client, self.name, Arguments(given, self.schema), **options)

    def __repr__(self) -> str:
        names = ", ".join(self.schema.get("properties") or ())
        return f"<workflow {self.name}({names}) at {self.client.url}>"


async def within(call: Call, timeout: float | None) -> Result:
    """The result of a call, which is cancelled after `timeout` seconds. Raises RunTimeoutError."""
    try:
        async with asyncio.timeout(timeout) as limit:
            return await call.result()
    except TimeoutError:
        if limit.expired():
            raise late(timeout) from None
        raise


class Call:
    """One call of a workflow (`name`), the run of a `graph`, or the waiting for a job (`job`) that was begun before.

    `heard` is called with the name and data of every event of the stream. `own`: the job ends when the waiting does, as that of a
    call.
    """

    def __init__(
        self,
        client: AsyncClient,
        name: str | None,
        arguments: Arguments | None = None,
        *,
        job: str | None = None,
        graph: Any = None,
        progress: Callable[[Progress], object] | None = None,
        heard: Callable[[str, Mapping[str, Any]], object] | None = None,
        previews: bool = False,
        download: bool = True,
        own: bool = False,
    ) -> None:
        self._client = client
        self._name = name
        self._arguments = arguments
        self._graph = graph
        self._own = job is None or own
        self._heard = heard
        self.job = job
        """The id of the job, once the server has told it."""
        self._progress = progress
        self._follower = Follower()
        self._query = f"?previews={'true' if previews else 'false'}"
        self._download = download
        self._key = str(uuid.uuid4())
        self._accepted = asyncio.Event()
        if job is not None:
            self._accepted.set()

    async def result(self) -> Result:
        """Make the call and follow it to its end, over broken connections and restarts of the server.

        An end that comes from here (the task is cancelled, `progress` raises) cancels the job, if it was made here.
        """
        following = asyncio.ensure_future(self._told())
        try:
            told = await asyncio.shield(following)
        except ConnectionLostError:
            raise
        except BaseException:
            await asyncio.shield(self._abandoned(following))
            raise
        result = result_of(told, self._client.url)
        if self._download:
            await asyncio.gather(*(self._fetched(file) for file in result.files))
        return ended(told, result)

    async def _told(self) -> Mapping[str, Any]:
        """What the server tells at the job's end, whenever that is."""
        tries = Tries(self._client.patience)
        while True:
            try:
                if self._graph is not None and self.job is None:
                    await self._post()
                return await self._followed(tries)
            except ConnectionLostError as error:
                await tries.wait(error, self.job)
            except TooManyRequestsError as error:
                if error.type != "too_many_streams":
                    raise
                await asyncio.sleep(error.retry_after or _LONGEST)

    async def _abandoned(self, following: asyncio.Future[Any]) -> None:
        """Cancel the job, as nobody waits for it any longer; a server that does not answer is left alone."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CANCEL_SECONDS):
                if not following.done():  # it may be on its way, and have no id yet
                    await self._accepted.wait()
                if self._own and self.job is not None:
                    await self._client.cancel(self.job)
        following.cancel()

    async def _post(self) -> None:
        """Have the graph be a job. Its id is ours: sent again, as the answer got lost, it makes no second one."""
        body = json.dumps({**_as_posted(self._graph), "prompt_id": self._key}).encode()
        told: dict[str, Any] = {}
        headers = {"Content-Type": "application/json"}
        with contextlib.suppress(KnownJobError):
            async with self._client.request("POST", "/api/prompt", data=body, headers=headers) as answer:
                told = await answer.json()
        self.job = self._key
        self._accepted.set()
        if told.get("node_errors"):
            raise graph_error("Some of its outputs cannot run, so the job is cancelled.", told["node_errors"])

    async def _fetched(self, file: File) -> None:
        """Fetch a file that did not come with the result: events bring none, as a stream holds no large ones."""
        if not file.is_here:
            file.keep(await self._client.fetch(file))

    async def _followed(self, tries: Tries) -> Mapping[str, Any]:
        """What the server tells at the end. Raises ConnectionLostError when the stream ends before."""
        async with self._request() as answer:
            async for event in events_of(answer.content.iter_any()):
                tries.reached()
                if self._heard is not None:
                    self._heard(event.name, event.data)
                if event.name == "accepted":
                    self.job = str(event.data["job_id"])
                    self._accepted.set()
                elif event.name == "finished":
                    finished: Mapping[str, Any] = event.data
                    return finished
                elif event.name == "refused":
                    status = int(event.data.get("status") or 500)
                    error = refusal_of(status, event.data)
                    raise ConnectionLostError(str(error)) if status in _AGAIN else error
                elif self._progress is not None:
                    progress = self._follower.progress(event.name, event.data)
                    if progress is not None:
                        self._progress(progress)
        raise ConnectionLostError(f"The server at {self._client.url} ended the connection before the job's end.")

    def _request(self) -> contextlib.AbstractAsyncContextManager[ClientResponse]:
        """The stream of the job: of a new one, or of the one that is there already."""
        headers = {"Accept": "text/event-stream"}
        if self.job is not None or self._arguments is None:
            return self._client.request(
                "GET", f"/api/v1/jobs/{quote(self.job or '', safe='')}{self._query}", headers=headers
            )
        data, more = self._arguments.body()
        path = f"/api/v1/workflows/{quote(self._name or '')}/run{self._query}"
        headers |= {"Idempotency-Key": self._key, **more}
        return self._client.request("POST", path, data=data, headers=headers)


def _as_posted(graph: Any) -> dict[str, Any]:
    """The fields of a `POST /prompt` that bring a graph."""
    if callable(getattr(graph, "prompt", None)):
        return {"prompt": graph.prompt(), "extra_data": {"extra_pnginfo": {"workflow": graph.workflow()}}}
    return {"prompt": graph}
