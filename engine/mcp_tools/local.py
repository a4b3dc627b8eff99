"""Running workflows in this process: an engine of its own around the base directory, on a thread of its own.

Calls run one after another, as they share the device; each is cancelled by itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from engine.execute.cancel import CancelToken
from engine.execute.result import RunResult
from engine.graph.arguments import Call, call, check_arguments
from engine.graph.problems import GraphError, Problem, render
from engine.graph.signature import Signature, media_kind
from engine.graph.validate import check
from engine.mcp_tools.disk import found_file, newest_outputs, read_file
from engine.mcp_tools.media import keep_in, named_file
from engine.mcp_tools.records import GivenOutput, Outcome, Produced, Progress, Stored, Tell, ToolError, WorkflowTool
from engine.mcp_tools.saved import SavedGraph, SavedTools
from engine.mcp_tools.steps import Steps
from engine.media.errors import MediaError

if TYPE_CHECKING:
    from engine.cache.facade import Cache
    from engine.execute.executor import Executor
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


class LocalBackend:
    """The engine around one base directory. `only` are patterns of the workflows that become tools; none: all."""

    def __init__(self, engine: Engine, only: Sequence[str] = ()) -> None:
        self._engine = engine
        self._paths = engine.paths
        self._only = only
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine", daemon=True)
        self._thread.start()
        self._parts = asyncio.run_coroutine_threadsafe(self._open(), self._loop)
        self._turn = asyncio.Lock()
        self._running: set[CancelToken] = set()

    async def _open(self) -> tuple[SavedTools, Library, Executor]:
        library = self._engine.load_library()
        executor = self._engine.open_executor(library, self._engine.open_cache(True))
        return SavedTools(self._paths, library.catalogue, self._only), library, executor

    async def _opened(self) -> tuple[SavedTools, Library, Executor]:
        return await asyncio.shield(asyncio.wrap_future(self._parts))

    # -- Backend

    async def tools(self) -> Sequence[WorkflowTool]:
        """Every workflow that can be read, by name of the tool."""
        saved, _, _ = await self._opened()
        return [one.tool for _, one in sorted((await asyncio.to_thread(saved.all)).items())]

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

    async def _run(self, tool: WorkflowTool, arguments: Mapping[str, Any], tell: Tell, token: CancelToken) -> Outcome:
        saved, library, executor = await self._opened()
        found = saved.all().get(tool.name)
        if found is None:
            raise ToolError(f"The workflow {tool.workflow} is gone. List the tools again.")
        filled, prompt, outputs, notes = self._checked(found, arguments, library, saved)
        if self._turn.locked():
            tell(Progress(0.0, 1.0, "waits for another call"))
        self._running.add(token)
        try:
            async with self._turn:
                token.check()
                result = await executor.run(
                    prompt,
                    outputs,
                    sink=Steps(_titles(filled.prompt), tell),
                    cancel=token,
                    prompt_json=filled.prompt,
                    workflow=filled.workflow,
                )
        finally:
            self._running.discard(token)
        return _outcome(found.signature, filled, result, notes)

    def _checked(
        self, found: SavedGraph, arguments: Mapping[str, Any], library: Library, saved: SavedTools
    ) -> tuple[Call, Any, Sequence[str], tuple[str, ...]]:
        """The graph with the arguments in it, and the outputs that can run. Raises ToolError with every problem."""
        catalogue, signature = library.catalogue, found.signature
        given = self._with_files(signature, arguments)
        try:
            bound = check_arguments(signature, given, catalogue, saved.choices)
            filled = call(found.prompt, found.workflow, signature, bound, catalogue)
        except GraphError as error:
            raise ToolError(f"The arguments do not fit; nothing ran.\n{error}") from error
        wanted = [one.node for one in signature.outputs]
        checked = check(filled.prompt, catalogue, choices=saved.choices, targets=wanted)
        problems = [*(one for one in found.problems if one.stops), *checked.problems]
        if not checked.outputs:
            raise ToolError(f"The workflow {found.tool.workflow} cannot run here.\n{_told(problems, library)}")
        notes = (f"Not all outputs can run.\n{_told(problems, library)}",) if problems else ()
        return filled, checked.prompt, checked.outputs, notes

    def _with_files(self, signature: Signature, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, those for files as names of files."""
        given = dict(arguments)
        for one in signature.parameters:
            value = given.get(one.name)
            if isinstance(value, str) and media_kind(one.spec) is not None:
                try:
                    given[one.name] = named_file(one.name, value, keep_in(self._paths.directory("input")))
                except (MediaError, OSError) as error:
                    raise ToolError(f"{one.name}: the file cannot be kept in the input folder: {error}") from error
        return given

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
                executor = self._parts.result()[2]
                executor.close()
                executor.cache.close()


def _told(problems: Sequence[Problem], library: Library) -> str:
    """The problems, and which packs are broken: a missing node may be in one of them."""
    text = render(problems)
    if any(one.type == "missing_node_type" for one in problems):
        text += "".join(f"\nThe node pack {one.pack} is not whole: {one.message}" for one in library.problems)
    return text


def _titles(prompt: Mapping[str, Any]) -> dict[str, str]:
    return {
        node: str((entry.get("_meta") or {}).get("title") or entry.get("class_type", node))
        for node, entry in prompt.items()
    }


def _outcome(signature: Signature, filled: Call, result: RunResult, notes: tuple[str, ...]) -> Outcome:
    """What the outputs gave. Raises ToolError when none gave anything."""
    if result.status == "cancelled":
        raise ToolError("The call was cancelled.")
    titles = _titles(filled.prompt)
    failed = tuple(
        "\n".join(
            part for part in (f"{titles.get(one.display_node, one.class_type)} failed: {one.message}", one.hint) if part
        )
        for one in result.failures
    )
    given = tuple(
        GivenOutput(
            name=one.name, kind=one.kind, files=files_of(result.ui[one.node]), texts=texts_of(result.ui[one.node])
        )
        for one in signature.outputs
        if one.node in result.ui
    )
    if failed and not given:
        raise ToolError("\n".join((*failed, *notes)))
    counts = {"ran": result.counts.ran, "reused": result.counts.reused}
    values = dict(filled.values)
    return Outcome(outputs=given, values=values, seconds=result.seconds, counts=counts, notes=(*failed, *notes))


def files_of(ui: Mapping[str, Any]) -> tuple[Produced, ...]:
    """The files that a node showed, each once, in their order."""
    found: dict[Produced, None] = {}
    for items in ui.values():
        for item in items if isinstance(items, list | tuple) else ():
            if isinstance(item, Mapping) and isinstance(item.get("filename"), str):
                below = str(item.get("subfolder") or "").replace("\\", "/").strip("/")
                name = f"{below}/{item['filename']}" if below else item["filename"]
                found[Produced(folder=str(item.get("type") or "output"), name=name)] = None
    return tuple(found)


def texts_of(ui: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts that a node showed under `text`."""
    items = ui.get("text")
    return tuple(one for one in items if isinstance(one, str)) if isinstance(items, list | tuple) else ()
