"""Running workflows on a server, by its routes: `/api/v1/workflows`, and server-sent events of the calls."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import ClientResponse

from engine.calls.errors import WorkflowError
from engine.client.arguments import Arguments
from engine.client.asynchronous import AsyncClient, Call
from engine.client.errors import ServerError
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

_PATIENCE: Final = 20.0
"""Seconds for which a server that is gone, as while it restarts, is waited for by a call."""


class RemoteBackend:
    """A server at `url`, which is shown the token of the `caller`, else `token` if there is one. `only` are patterns of its
    workflows; none: all.
    """

    look_every = 10.0

    def __init__(self, url: str, token: str | None, only: Sequence[str] = ()) -> None:
        self._client = _Client(url, token=token, patience=_PATIENCE)
        self._only = only

    # -- Backend

    async def tools(self) -> Sequence[WorkflowTool]:
        """The server's workflows. Raises ToolError when it cannot be asked."""
        told = await self._json(f"/api/v1/workflows?limit={MOST_WORKFLOWS}")
        if not isinstance(told, dict) or "workflows" not in told:
            raise ToolError(f"What answers at {self._client.url} is no Safelight server, or an older one.")
        return tools_of([_read(one) for one in told["workflows"]], self._only)

    async def run(self, tool: WorkflowTool, arguments: Mapping[str, Any], tell: Tell) -> Outcome:
        """Call a workflow, and follow it to its end; a call that is cancelled is cancelled there. Raises ToolError."""
        finished: dict[str, Any] = {}

        def hear(name: str, data: Mapping[str, Any]) -> None:
            if name == "finished":
                finished.update(data)
            else:
                _tell(name, data, tell)

        given = Arguments(with_names(tool, arguments), {})
        with _explained():
            await Call(self._client, tool.workflow, given, heard=hear, download=False).result()
        return _outcome(finished)

    async def newest(self, most: int) -> Sequence[Stored]:
        """What the newest jobs saved, newest first."""
        entries: dict[str, Any] = await self._json(f"/history?max_items={MOST_JOBS}")
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
            with _explained():
                async with self._client.request("GET", _view(file)) as answer:
                    if (answer.content_length or 0) > most:
                        url = self.place(file)["url"]
                        raise ToolError(f"{uri_of(file)} has more than {most:,} bytes: fetch it from {url}")
                    return await answer.read(), answer.content_type
        except NotThereError as error:
            raise ToolError(
                f"There is no file {uri_of(file)}. The list of resources has the newest outputs."
            ) from error

    def place(self, file: Produced) -> dict[str, str]:
        """Where the server shows it."""
        return {"url": self._client.url + _view(file)}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _json(self, path: str) -> Any:
        try:
            with _explained():
                async with self._client.request("GET", path) as answer:
                    return msgspec.json.decode(await answer.read())
        except (NotThereError, msgspec.DecodeError):
            return None


class _Client(AsyncClient):
    """Shows the token of whoever calls in place of its own."""

    @contextlib.asynccontextmanager
    async def request(
        self, method: str, path: str, *, data: Any = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[ClientResponse]:
        """As the base."""
        token = caller()
        shown = {"Authorization": f"Bearer {token}"} if token is not None else {}
        async with super().request(method, path, data=data, headers={**(headers or {}), **shown}) as answer:
            yield answer


class NotThereError(ToolError):
    """The server has no such thing."""


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turns what a server refuses, and what became of a job, into what the caller is told."""
    try:
        yield
    except ServerError as error:
        raise (NotThereError if error.status == 404 else ToolError)(str(error)) from error
    except WorkflowError as error:
        raise ToolError(str(error)) from error


def _read(told: Mapping[str, Any]) -> Read:
    outputs = tuple(ToolOutput(name=one["name"], kind=one["kind"], doc=one["doc"]) for one in told["outputs"])
    return Read(told["name"], told["doc"], told["parameters"], outputs)


def _view(file: Produced) -> str:
    subfolder, _, name = file.name.rpartition("/")
    return "/api/view?" + urlencode({"filename": name, "subfolder": subfolder, "type": file.folder})


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
    """What a call gave that ended well."""
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
