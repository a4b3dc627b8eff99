"""Running workflows in this process: an engine of its own around the base directory, on a thread of its own.

Calls run one after another, as they share the device; each is cancelled by itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from engine.execute.cancel import CancelToken
from engine.execute.result import RunResult
from engine.execute.told import failure_text, shown
from engine.graph.arguments import Call, call, check_arguments
from engine.graph.problems import GraphError, Problem, render
from engine.graph.prompt import titles_of
from engine.graph.schema import Files
from engine.graph.shown import by_display_node
from engine.graph.signature import Signature, media_kind
from engine.graph.signature_schema import arguments_schema
from engine.graph.validate import check
from engine.mcp_tools.disk import found_file, newest_outputs, read_file
from engine.mcp_tools.entries import given_output
from engine.mcp_tools.records import (
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
from engine.mcp_tools.steps import Steps
from engine.media.model_files import FolderFiles
from engine.server.limits import Limits
from engine.server.refusals import Refusal
from engine.server.workflows.files import CallFiles, FileProblemError
from engine.server.workflows.library import SavedWorkflow, WorkflowLibrary

if TYPE_CHECKING:
    from engine.cache.facade import Cache
    from engine.execute.executor import Executor
    from engine.graph.schema import Catalogue
    from engine.paths import Paths
    from engine.plugins.library import Library

END_SECONDS: Final = 30.0
"""How long a call that was cancelled has to stop before the process ends without it."""


class Engine(Protocol):
    """What of the engine is needed."""

    @property
    def paths(self) -> Paths:
        """The folders."""

    @property
    def load_library(self) -> Callable[[], Library]:
        """Reads the node packs."""

    @property
    def open_cache(self) -> Callable[[bool], Cache]:
        """Opens the cache; True: the one on disk."""

    @property
    def open_executor(self) -> Callable[[Library, Cache], Executor]:
        """Makes the executor."""


class _Ready(msgspec.Struct, frozen=True):
    """A call that can run: its graph, the checked form of it, the outputs that are sound, and what the others lack."""

    call: Call
    prompt: Any
    outputs: Sequence[str]
    notes: tuple[str, ...]


class LocalBackend:
    """The engine around one base directory. `only` are patterns of the workflows that become tools; none: all."""

    look_every = 2.0

    def __init__(self, engine: Engine, only: Sequence[str] = ()) -> None:
        self._engine = engine
        self._paths = engine.paths
        self._only = only
        limits = Limits()
        self._files = CallFiles(self._paths, max_bytes=limits.max_upload_size, max_pixels=limits.max_pixels)
        self._workflows = WorkflowLibrary(
            self._paths, self._catalogue, FolderFiles(self._paths.listing, self._paths.locate)
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine", daemon=True)
        self._thread.start()
        self._parts = asyncio.run_coroutine_threadsafe(self._open(), self._loop)
        self._turn = asyncio.Lock()
        self._running: set[CancelToken] = set()

    # -- Backend

    async def tools(self) -> Sequence[WorkflowTool]:
        """Every workflow that can be read, by name of the tool."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._tools(), self._loop))

    async def run(self, tool: WorkflowTool, arguments: Mapping[str, Any], tell: Tell) -> Outcome:
        """Run a workflow on the engine's thread. Raises ToolError."""
        token = CancelToken()
        future = asyncio.run_coroutine_threadsafe(self._run(tool, arguments, tell, token), self._loop)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            token.cancel()
            raise

    async def newest(self, most: int) -> Sequence[Stored]:
        """The files of the output folder, newest first."""
        return await asyncio.to_thread(newest_outputs, self._paths, most)

    async def read(self, file: Produced, most: int) -> tuple[bytes, str]:
        """A file of ours. Raises ToolError."""
        return await asyncio.to_thread(read_file, self._paths, file, most)

    def place(self, file: Produced) -> dict[str, str]:
        """The path of the file on this machine."""
        try:
            return {"path": str(found_file(self._paths, file))}
        except ToolError:
            return {}

    async def close(self) -> None:
        """Cancel what runs, wait until it has stopped, and end the engine."""
        await asyncio.to_thread(self._close)

    # -- on the engine's thread

    async def _open(self) -> tuple[Library, Executor]:
        library = self._engine.load_library()
        return library, self._engine.open_executor(library, self._engine.open_cache(True))

    async def _opened(self) -> tuple[Library, Executor]:
        return await asyncio.shield(asyncio.wrap_future(self._parts))

    async def _catalogue(self) -> Catalogue:
        return (await self._opened())[0].catalogue

    async def _tools(self) -> Sequence[WorkflowTool]:
        return tools_of(
            [self._read(one) for one in await self._workflows.all() if isinstance(one, SavedWorkflow)], self._only
        )

    def _read(self, one: SavedWorkflow) -> Read:
        outputs = tuple(ToolOutput(name=out.name, kind=out.kind, doc=out.doc) for out in one.signature.outputs)
        return Read(one.name, one.signature.doc, arguments_schema(one.signature, self._choices), outputs)

    def _choices(self, files: Files) -> list[str]:
        return self._paths.folder_files(files.folder, files.kind)

    async def _run(self, tool: WorkflowTool, arguments: Mapping[str, Any], tell: Tell, token: CancelToken) -> Outcome:
        library, executor = await self._opened()
        try:
            workflow = await self._workflows.get(tool.workflow)
            ready = self._checked(workflow, await self._bound(workflow, with_names(tool, arguments)), library)
        except Refusal as refusal:
            raise ToolError(refusal.message) from refusal
        if self._turn.locked():
            tell(Progress(0.0, 1.0, "waits for another call"))
        self._running.add(token)
        try:
            async with self._turn:
                if token.cancelled:
                    raise ToolError("The call was cancelled.")
                result = await executor.run(
                    ready.prompt,
                    ready.outputs,
                    sink=Steps(titles_of(ready.call.prompt), tell),
                    cancel=token,
                    prompt_json=ready.call.prompt,
                    workflow=ready.call.workflow,
                )
        finally:
            self._running.discard(token)
        return _outcome(workflow.signature, ready, result)

    async def _bound(self, workflow: SavedWorkflow, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The values as the nodes get them, files that came along kept. Raises ToolError with every problem."""
        given, problems = dict(arguments), []
        for one in workflow.signature.parameters:
            if one.name in given and media_kind(one.spec) is not None:
                try:
                    given[one.name] = await self._files.take(one, given[one.name])
                except FileProblemError as error:
                    problems.append(error.problem)
                    del given[one.name]
        wrong = {one.input_name for one in problems}
        bound: dict[str, Any] = {}
        try:
            bound = check_arguments(workflow.signature, given, workflow.catalogue, self._choices)
        except GraphError as error:
            problems += [one for one in error.problems if one.input_name not in wrong]
        if problems:
            raise ToolError(f"The arguments do not fit; nothing ran.\n{render(problems)}")
        return bound

    def _checked(self, workflow: SavedWorkflow, bound: Mapping[str, Any], library: Library) -> _Ready:
        """The graph with the values in it, and the outputs that can run. Raises ToolError when none can."""
        filled = call(workflow.prompt, workflow.workflow, workflow.signature, bound, workflow.catalogue)
        wanted = [one.node for one in workflow.signature.outputs]
        checked = check(filled.prompt, workflow.catalogue, choices=self._choices, targets=wanted)
        problems = [*(one for one in workflow.problems if one.stops), *checked.problems]
        if not checked.outputs:
            raise ToolError(f"The workflow {workflow.name} cannot run here.\n{_told(problems, library)}")
        notes = (f"Not all outputs can run.\n{_told(problems, library)}",) if problems else ()
        return _Ready(filled, checked.prompt, checked.outputs, notes)

    def _close(self) -> None:
        for token in list(self._running):
            token.cancel()
        closing = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        try:
            closing.result(END_SECONDS)
        except TimeoutError:
            return  # a node that heeds no cancelling; it ends with the process
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END_SECONDS)

    async def _end(self) -> None:
        async with self._turn:
            if self._parts.done() and self._parts.exception() is None:
                executor = self._parts.result()[1]
                executor.close()
                executor.cache.close()


def _told(problems: Sequence[Problem], library: Library) -> str:
    """The problems, and which packs are broken: a missing node may be in one of them."""
    text = render(problems)
    if any(one.type == "missing_node_type" for one in problems):
        text += "".join(f"\nThe node pack {one.pack} is not whole: {one.message}" for one in library.problems)
    return text


def _outcome(signature: Signature, ready: _Ready, result: RunResult) -> Outcome:
    """What the outputs gave. Raises ToolError when none gave anything."""
    if result.status == "cancelled":
        raise ToolError("The call was cancelled.")
    titles = titles_of(ready.call.prompt)
    failed = tuple(failure_text(one, titles.get(one.display_node, one.class_type)) for one in result.failures)
    uis = by_display_node(shown(result), result.place)
    given = tuple(given_output(one.name, one.kind, uis[one.node]) for one in signature.outputs if one.node in uis)
    if failed and not given:
        raise ToolError("\n".join((*failed, *ready.notes)))
    return Outcome(
        outputs=given,
        values=dict(ready.call.values),
        seconds=result.seconds,
        counts={"ran": result.counts.ran, "reused": result.counts.reused},
        notes=(*failed, *ready.notes),
    )
