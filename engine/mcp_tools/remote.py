"""Running workflows on a server, by its routes: `/api/v1/workflows`, and server-sent events of the calls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from engine.mcp_tools.callers import caller
from engine.mcp_tools.entries import file_named, files_of
from engine.mcp_tools.records import (
    GivenOutput,
    Outcome,
    Produced,
    Progress,
    Stored,
    Tell,
    ToolError,
    ToolOutput,
    WorkflowTool,
)
from engine.mcp_tools.saved import Read, tools_of, with_names
from engine.mcp_tools.uris import uri_of

MOST_WORKFLOWS: Final = 1_000
MOST_JOBS: Final = 100
"""Of the history, in which outputs are looked for."""

_LONGEST_LINE: Final = 64 * 1024 * 1024
"""Bytes of one event."""

_SECONDS: Final = 60.0
"""For the answer to begin, and between two parts of it; a stream that has nothing to tell says so every 15 seconds."""


class NotThereError(ToolError):
    """The server has no such thing."""


class RemoteBackend:
    """A server at `url`, which is shown the token of the `caller`, else `token` if there is one. `only` are patterns of its
    workflows; none: all.
    """

    look_every = 10.0

    def __init__(self, url: str, token: str | None, only: Sequence[str] = ()) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._only = only
        self._opened: aiohttp.ClientSession | None = None
        self._ending: set[asyncio.Task[None]] = set()

    # -- Backend

    async def tools(self) -> Sequence[WorkflowTool]:
        """The server's workflows. Raises ToolError when it cannot be asked."""
        try:
            told = await self._json("GET", f"/api/v1/workflows?limit={MOST_WORKFLOWS}")
        except NotThereError as error:
            raise ToolError(f"What answers at {self._url} is no Safelight server, or an older one.") from error
        return tools_of([_read(one) for one in told["workflows"]], self._only)

    async def run(self, tool: WorkflowTool, arguments: Mapping[str, Any], tell: Tell) -> Outcome:
        """Call a workflow, and follow it to its end; a call that is cancelled is cancelled there. Raises ToolError."""
        path = f"/api/v1/workflows/{quote(tool.workflow)}/run?on_disconnect=cancel&previews=false"
        job = ""
        try:
            async with self._asked(
                "POST", path, json=with_names(tool, arguments), accept="text/event-stream"
            ) as answer:
                async for name, data in _events(answer):
                    job = data.get("job_id", job)
                    if name == "finished":
                        return _outcome(data)
                    if name == "refused":
                        raise ToolError(_problems(data))
                    _tell(name, data, tell)
        except asyncio.CancelledError:
            if job:
                self._cancel_soon(job)
            raise
        raise ToolError(f"The server at {self._url} ended the call without a result. Call again.")

    async def newest(self, most: int) -> Sequence[Stored]:
        """What the newest jobs saved, newest first."""
        entries: dict[str, Any] = await self._json("GET", f"/history?max_items={MOST_JOBS}")
        found: dict[Produced, Stored] = {}
        for entry in reversed(entries.values()):
            times = [told.get("timestamp", 0) for _, told in entry["status"]["messages"]]
            for file in files_of(list(entry["outputs"].values())):
                if file.folder == "output":
                    found.setdefault(file, Stored(file=file, size=None, changed=max(times, default=0) / 1000))
        return list(found.values())[:most]

    async def read(self, file: Produced, most: int) -> tuple[bytes, str]:
        """A file of the server. Raises ToolError."""
        try:
            async with self._asked("GET", _view(file)) as answer:
                if (answer.content_length or 0) > most:
                    raise ToolError(
                        f"{uri_of(file)} has more than {most:,} bytes: fetch it from {self._url}{_view(file)}"
                    )
                return await answer.read(), answer.content_type
        except NotThereError as error:
            raise ToolError(
                f"There is no file {uri_of(file)}. The list of resources has the newest outputs."
            ) from error

    def place(self, file: Produced) -> dict[str, str]:
        """Where the server shows it."""
        return {"url": self._url + _view(file)}

    async def close(self) -> None:
        """End what is under way."""
        for task in list(self._ending):
            with contextlib.suppress(ToolError):
                await task
        if self._opened is not None:
            await self._opened.close()

    # -- asking

    async def _json(self, method: str, path: str) -> Any:
        async with self._asked(method, path) as answer:
            return msgspec.json.decode(await answer.read())

    @contextlib.asynccontextmanager
    async def _asked(
        self, method: str, path: str, *, json: Any = None, accept: str = "application/json, */*"
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer of 200. Raises ToolError with all that the server says is wrong."""
        if self._opened is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SECONDS, sock_read=_SECONDS)
            self._opened = aiohttp.ClientSession(headers=self._headers, timeout=timeout, read_bufsize=_LONGEST_LINE)
        url = URL(self._url + path, encoded=True)
        body = msgspec.json.encode(json) if json is not None else None
        headers = {"Accept": accept} | ({"Content-Type": "application/json"} if body is not None else {})
        if (token := caller()) is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with self._opened.request(method, url, data=body, headers=headers) as answer:
                if answer.status != 200:
                    raise _refusal(answer.status, await answer.read(), self._url)
                yield answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ToolError(f"The server at {self._url} cannot be asked: {error or type(error).__name__}.") from error

    def _cancel_soon(self, job: str) -> None:
        """Cancel a job though whoever waits for it is being cancelled itself."""

        async def cancel() -> None:
            with contextlib.suppress(ToolError):
                await self._json("POST", f"/api/v1/jobs/{quote(job, safe='')}/cancel")

        task = asyncio.create_task(cancel())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _read(told: Mapping[str, Any]) -> Read:
    outputs = tuple(ToolOutput(name=one["name"], kind=one["kind"], doc=one["doc"]) for one in told["outputs"])
    return Read(told["name"], told["doc"], told["parameters"], outputs)


def _view(file: Produced) -> str:
    subfolder, _, name = file.name.rpartition("/")
    return "/api/view?" + urlencode({"filename": name, "subfolder": subfolder, "type": file.folder})


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The events of a stream (HTML standard, 9.2.6): name and JSON."""
    name, data = "message", b""
    async for raw in answer.content:
        line = raw.rstrip(b"\r\n")
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data:
                yield name, msgspec.json.decode(data)
            name, data = "message", b""
        elif field == b"event":
            name = value.decode()
        elif field == b"data":
            data += value


def _tell(name: str, data: Mapping[str, Any], tell: Tell) -> None:
    total = float(data.get("total") or 1)
    if name == "progress":
        share = data["value"] / data["max"] if data["max"] > 0 else 0.0
        message = f"{data['node']}: {data['value']:g} of {data['max']:g}"
        tell(Progress(min(data["done"] + share, total), total, message))
    elif name == "node":
        tell(Progress(float(data["done"]), total, f"{data.get('class_type') or data['node']}: {data['state']}"))
    elif name == "notice":
        tell(Progress(0.0, total, data["message"]))


def _outcome(data: Mapping[str, Any]) -> Outcome:
    """The result of a call. Raises ToolError for one that did not end well."""
    if data["state"] != "done":
        error = data.get("error") or {}
        at = f"{error['node_type']} (node {error['node_id']}) failed: " if error.get("node_id") else ""
        raise ToolError(at + str(error.get("message") or f"The call was {data['state']}."))
    outputs = tuple(
        GivenOutput(name=name, kind=one["kind"], files=tuple(map(file_named, one["files"])), texts=tuple(one["texts"]))
        for name, one in data["outputs"].items()
    )
    return Outcome(
        outputs=outputs,
        values=data["values"],
        seconds=data["seconds"] or 0.0,
        counts={"ran": len(data["ran"]), "reused": len(data["reused"])},
        notes=tuple(data["notes"]),
    )


def _refusal(status: int, body: bytes, url: str) -> ToolError:
    try:
        text = _problems(msgspec.json.decode(body))
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        text = f"The server at {url} answered with status {status}."
    return (NotThereError if status == 404 else ToolError)(text)


def _problems(told: Mapping[str, Any]) -> str:
    """All that a refusal says: the problems of arguments one by one, else its message."""
    error = told["error"]
    lines = []
    for one in error.get("extra_info", {}).get("problems", ()):
        lines.append(str(one["message"]))
        lines += [f"  {key}: {one[key]}" for key in ("expected", "received", "hint") if key in one]
    return "\n".join(lines) if lines else str(error["message"])
