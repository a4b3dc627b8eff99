"""Calls of workflows on a server: `safelight run --server URL`.

A name that the server has is called there. A file of this machine, or a workflow that only this machine has, is read here
and sent whole. Files that are given go into the server's input folder, and what it made comes into `--out`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from engine.calls.errors import (
    ArgumentError,
    InvalidWorkflowError,
    RunCancelledError,
    RunFailedError,
    UnknownWorkflowError,
    WorkflowError,
)
from engine.cli import exits
from engine.cli.calls import Call, Caller, signature_with_set
from engine.cli.exits import CliError
from engine.cli.graph_source import Graph, open_graph
from engine.cli.media_inputs import Found, find_file
from engine.cli.outcome import Output
from engine.cli.remote_events import Heard, result_of
from engine.cli.remote_signature import signature_from, without_lists_of_files
from engine.cli.run_parts import Ran
from engine.cli.terminal import say
from engine.client.arguments import Arguments
from engine.client.asynchronous import AsyncClient
from engine.client.asynchronous import Call as ClientCall
from engine.client.errors import ConnectionLostError, ServerError, TooManyRequestsError
from engine.graph.arguments import defaults_of
from engine.graph.problems import render
from engine.graph.schema import Catalogue, Files
from engine.graph.signature import Kind, Signature
from engine.media.atomic import write_new
from engine.media.errors import MediaError
from engine.media.given import FOLDER
from engine.saved_workflows import workflow_files

if TYPE_CHECKING:
    from engine.cli.app import App
    from engine.cli.display import Display
    from engine.execute.cancel import CancelToken
    from engine.execute.events import Status

_KINDS: Final = {"image": "images", "mask": "images"}
"""Kind of an output → the word that local runs have for it."""


class Remote:
    """Runs calls on a server."""

    def __init__(self, app: App, options: argparse.Namespace, load_catalogue: Callable[[], Catalogue]) -> None:
        self._app = app
        self._options = options
        self._load_catalogue = load_catalogue
        self._client = AsyncClient(server_url(options.server), token=options.token or os.environ.get("SAFELIGHT_TOKEN"))
        self._told: dict[str, Any] | None = None
        self._uploads: dict[str, Found] = {}
        self._uploaded: set[str] = set()
        refused = [name for name, given in (("--no-cache", options.no_cache),) if given]
        if refused:
            raise CliError(exits.USAGE, f"{refused[0]} is for runs on this machine; a server has a cache of its own.")

    @property
    def output_folder(self) -> Path:
        """`--out`, else the output folder of the base directory."""
        out = self._options.out
        return Path(out).expanduser().absolute() if out is not None else self._app.paths.output

    def choices(self, files: Files) -> list[str]:
        """The files that were given: what others there are is known to the server."""
        return [f"{FOLDER}/{name}" for name in self._uploads]

    async def open(self) -> None:
        """Ask the server whether it has the workflow, unless it is a file here. Raises CliError."""
        name = self._options.workflow
        if name == "-" or Path(name).expanduser().is_file():
            return
        async with self._explained():
            try:
                async with self._client.request("GET", f"/api/v1/workflows/{quote(name)}") as answer:
                    self._told = await answer.json()
                    if self._options.watch:
                        raise CliError(
                            exits.USAGE, f"--watch: {name} is a workflow of the server. Give a file to watch."
                        )
            except UnknownWorkflowError as error:
                if name not in workflow_files(self._app.paths):
                    raise CliError(exits.UNREADABLE, f"{error} There is no such file here either.") from error

    def caller(self) -> Caller:
        """The workflow: by the signature that the server told, or as it is here."""
        options = self._options
        if self._told is not None:
            return _NamedCaller(self._told, options, self.choices, self._place)
        catalogue = self._load_catalogue()
        graph = open_graph(options.workflow, options.values, self._app.paths, catalogue)
        if graph.notes:
            say(render(graph.notes))
        signature = without_lists_of_files(signature_with_set(graph, catalogue))
        return Caller(graph, catalogue, options.own_options, self.choices, self._place, signature)

    async def run(self, call: Call, display: Display, cancel: CancelToken | None = None) -> Ran:
        """Call the workflow there, and fetch what it gives. Raises CliError: INVALID, USAGE, UNREACHABLE."""
        async with self._explained():
            await self._upload()
            classes = {id: str(node.get("class_type")) for id, node in call.graph.prompt.items()}
            heard = Heard(display, call.titles, classes)
            made = await self._made(call, heard)
            status = await self._followed(made, cancel)
            told = heard.told
            outputs = [] if status == "cancelled" else await self._fetched(told, call.signature)
        values = told.get("values") or {}
        return Ran(replace(call, values={**call.values, **values}), result_of(told, status), outputs)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _made(self, call: Call, heard: Heard) -> ClientCall:
        """The call of a workflow of the server, or the job that a graph became there."""
        if self._told is not None:
            arguments = Arguments(call.given, {})
            return ClientCall(self._client, self._options.workflow, arguments, heard=heard, download=False)
        graph, known = call.graph, self._load_catalogue()
        is_foreign = any(node.get("class_type") not in known for node in graph.prompt.values())
        as_saved = graph.workflow is not None and is_foreign  # the server, which may know its nodes, reads it
        body: dict[str, Any] = {"prompt": graph.workflow if as_saved else graph.prompt, "prompt_id": str(uuid.uuid4())}
        if graph.workflow is not None:
            body["extra_data"] = {"extra_pnginfo": {"workflow": call.graph.workflow}}
        if self._options.credentials:
            body["extra_data"] = {**body.get("extra_data", {}), "credentials": True}
        if self._options.only:
            body["partial_execution_targets"] = self._options.only
        job = await self._posted(body)
        return ClientCall(self._client, None, job=job, own=True, heard=heard, download=False)

    async def _posted(self, body: Mapping[str, Any]) -> str:
        """Have a graph be a job; its id. Stopped meanwhile, it ends the job, which may run before the answer is here."""
        import json

        async def post() -> str:
            headers = {"Content-Type": "application/json"}
            async with self._client.request("POST", "/prompt", data=json.dumps(body), headers=headers) as answer:
                return str((await answer.json())["prompt_id"])

        posting = asyncio.ensure_future(post())
        try:
            return await asyncio.shield(posting)
        except asyncio.CancelledError:
            with suppress(WorkflowError):
                await self._client.cancel(await posting)
            raise

    async def _followed(self, made: ClientCall, cancel: CancelToken | None) -> Status:
        """How the job ended. It is cancelled when this task or `cancel` is."""
        loop, waiting = asyncio.get_running_loop(), asyncio.ensure_future(made.result())

        def stop() -> None:
            loop.call_soon_threadsafe(waiting.cancel)

        if cancel is not None:
            cancel.on_cancel(stop)
        try:
            await waiting
        except RunFailedError:
            return "failed"
        except RunCancelledError:
            return "cancelled"
        except asyncio.CancelledError:
            if cancel is None or not cancel.cancelled:
                if not waiting.done():
                    waiting.cancel()
                    await asyncio.wait([waiting])
                raise
            return "cancelled"
        finally:
            if cancel is not None:
                cancel.forget(stop)
        return "done"

    def _place(self, name: str, kind: Kind, text: str, listed: Any) -> str:
        """Read a file to be sent; what is none here is the name of one there."""
        if text != "-" and not Path(text).expanduser().is_file() and not _looks_like_path(text):
            self._uploads.setdefault(text, Found(b"", text))
            return text
        found = find_file(name, kind, text)
        self._uploads[found.name] = found
        return f"{FOLDER}/{found.name}"

    async def _upload(self) -> None:
        """Send the files that were not sent yet."""
        from aiohttp import FormData

        for name, found in self._uploads.items():
            if name in self._uploaded or not found.data:
                continue
            form = FormData({"subfolder": FOLDER, "type": "input"})
            form.add_field("image", found.data, filename=name, content_type="application/octet-stream")
            async with self._client.request("POST", "/upload/image", data=form):
                self._uploaded.add(name)

    async def _fetched(self, told: Mapping[str, Any], signature: Signature) -> list[Output]:
        """What the job gave, with its files here. Of a graph that was sent, outputs are told as `node_ID`."""
        names = {f"node_{one.node}": one for one in signature.outputs if one.node}
        found = []
        for name, output in (told.get("outputs") or {}).items():
            kind = str(output.get("kind") or "file")
            own = names.get(name)
            place = (own.node, own.name) if own is not None else (name.removeprefix("node_") if names else "", name)
            facts = {"node": place[0], "name": place[1], "kind": _KINDS.get(kind, kind)}
            for file in output.get("files") or ():
                path = await self._file(file)
                found.append(Output(**facts, path=str(path), folder=str(file.get("type") or "output")))
            found += [Output(**facts, text=text) for text in output.get("texts") or ()]
        return found

    async def _file(self, file: dict[str, Any]) -> Path:
        """Fetch one file. Raises CliError UNREADABLE when it cannot be written."""
        place = {name: str(file.get(name) or "") for name in ("filename", "subfolder", "type")}
        async with self._client.request("GET", f"/api/view?{urlencode(place)}") as answer:
            data = await answer.read()
        try:
            return write_new(self.output_folder, PurePosixPath(place["filename"]).name or "file", data)
        except MediaError as error:
            raise CliError(exits.UNREADABLE, f"--out: {error}") from error

    @asynccontextmanager
    async def _explained(self) -> AsyncIterator[None]:
        """Turn what the server refuses into the exit codes of the command."""
        try:
            yield
        except ConnectionLostError as error:
            hint = f" Its job {error.job} goes on there." if error.job else " Is it running, and is the address right?"
            raise CliError(exits.UNREACHABLE, f"{error}{hint}") from error
        except ArgumentError as error:
            raise CliError(exits.USAGE, str(error)) from error
        except InvalidWorkflowError as error:
            raise CliError(exits.INVALID, str(error)) from error
        except ServerError as error:
            raise _refused(error) from error
        except WorkflowError as error:
            raise CliError(exits.UNREACHABLE, str(error)) from error


class _NamedCaller(Caller):
    """Calls a workflow of the server by its name; where its inputs are, the server knows."""

    def __init__(self, told: dict[str, Any], options: argparse.Namespace, choices: Any, place: Any) -> None:
        graph = Graph(str(told["name"]), {}, None, [], [])
        super().__init__(graph, Catalogue(), options.own_options, choices, place, signature_from(told))
        if options.only:
            raise CliError(exits.USAGE, "--only is for graphs of this machine, not for a workflow that the server has.")
        self._set = self._named_values(options.values)

    def check(self, texts: Any, signature: Signature | None = None) -> dict[str, Any]:
        """With `--set`, which here sets parameters."""
        known = {name: text for name, text in self._set.items() if signature is None or signature.parameter(name)}
        return super().check({**known, **texts}, signature)

    def call(self, bound: Any, signature: Signature | None = None) -> Call:
        """The values alone."""
        signature = signature or self.signature
        return Call(self.graph, signature, {**defaults_of(signature), **bound}, {}, dict(bound))

    def _named_values(self, entries: list[str]) -> dict[str, str]:
        found = {}
        for entry in entries:
            name, sign, text = entry.partition("=")
            if not sign or self.signature.parameter(name) is None:
                names = ", ".join(one.name for one in self.signature.parameters)
                message = f"--set {entry}: a workflow of the server takes NAME=VALUE of its parameters: {names}."
                raise CliError(exits.USAGE, message)
            found[name] = text
        return found


def server_url(text: str) -> str:
    """The address of a server; `http://` may be left out. Raises CliError USAGE."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        raise CliError(exits.USAGE, f"--server {text}: expected an address such as http://127.0.0.1:8188.")
    return url.rstrip("/")


def _looks_like_path(text: str) -> bool:
    return text.startswith(("/", "./", "../", "~"))


def _refused(error: ServerError) -> CliError:
    """A refusal of the server in its own words, with the problems of nodes where it tells them."""
    lines = [str(error)]
    for node, told in (error.facts.get("node_errors") or {}).items():
        for one in told.get("errors") or ():
            info = one.get("extra_info") or {}
            place = f"node {node} ({told.get('class_type')})" + (
                f', input "{info["input_name"]}"' if info.get("input_name") else ""
            )
            lines.append(f"{place}: {one.get('message')}")
            lines += [f"  {word}: {info[word]}" for word in ("expected", "hint") if info.get(word)]
    if error.status in (401, 403):
        lines.append("Give a token by --token, or in $SAFELIGHT_TOKEN.")
    if isinstance(error, TooManyRequestsError) and error.retry_after is not None:
        lines.append(f"Try again in {error.retry_after:g} s.")
    code = exits.INVALID if error.status in (400, 409, 422) else exits.UNREACHABLE
    return CliError(code, "\n".join(lines), status="refused", http_status=error.status)
