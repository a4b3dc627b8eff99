"""`safelight run --watch`: the workflow runs again whenever its file or a file that it reads has changed.

Files are looked at a few times a second: a stat each needs nothing installed, and works on every file system.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from engine.cli import exits
from engine.cli.exits import CliError
from engine.cli.graph_source import source_path
from engine.execute.cancel import CancelToken
from engine.graph.schema import Files

if TYPE_CHECKING:
    from engine.cli.calls import Caller
    from engine.cli.reports import Report
    from engine.paths import Paths

POLL_SECONDS: Final = 0.25
_SETTLED_SECONDS: Final = 0.05

Seen: TypeAlias = dict[Path, tuple[int, int, int] | None]
"""What a file was like: time of change, size and number; None when it is not there."""


class Pass(Protocol):
    """Runs the workflow once, as it is now. Raises CliError."""

    def __call__(self, began: Callable[[Caller], None], cancel: CancelToken) -> Awaitable[object]: ...


def check_watched(options: argparse.Namespace, paths: Paths) -> Path:
    """The file to watch. Raises CliError USAGE for what is none, UNREADABLE for one that is not there."""
    if options.workflow == "-" or "-" in [text for _, text in options.given]:
        raise CliError(exits.USAGE, "--watch: standard input comes once. Give a file.")
    if options.json:
        raise CliError(exits.USAGE, "--watch: --json is one document, and there will be several. Take --json-lines.")
    return source_path(options.workflow, paths)


async def watch(workflow: Path, run: Pass, report: Report, paths: Paths) -> None:
    """Run, and again after each change, which cancels the run that is stale. Ends only by being cancelled."""
    watched = _Watched(workflow, paths)
    while True:
        watched.look()
        cancel = CancelToken()
        running = asyncio.ensure_future(run(watched.began, cancel))
        try:
            changed = await _change_while(running, watched, cancel)
            if not running.done():
                await asyncio.wait([running])
            _tell_refusal(running, report)
            if not changed:
                report.told(
                    "waiting",
                    f"Watching {_named(watched.seen)}. Ctrl-C ends.",
                    files=[str(one) for one in watched.seen],
                )
                changed = await _change(watched)
        except asyncio.CancelledError:
            cancel.cancel()
            with contextlib.suppress(BaseException):
                await asyncio.wait([running])
            raise
        report.told("changed", f"{_named(changed)} changed.", files=[str(one) for one in changed])
        await watched.settled()


async def _change_while(running: asyncio.Future[object], watched: _Watched, cancel: CancelToken) -> list[Path]:
    """The files that changed while it ran, which cancels the run; none when it came to its end before."""
    while not running.done():
        await asyncio.wait([running], timeout=POLL_SECONDS)
        changed = watched.changed()
        if changed:
            cancel.cancel()
            return changed
    return watched.changed()


async def _change(watched: _Watched) -> list[Path]:
    while not (changed := watched.changed()):
        await asyncio.sleep(POLL_SECONDS)
    return changed


def _tell_refusal(running: asyncio.Future[object], report: Report) -> None:
    """A file that is broken for now is told, and waited for. Raises what else went wrong."""
    error = running.exception() if not running.cancelled() else None
    if isinstance(error, CliError):
        report.told("error", str(error), code=error.code, problems=error.facts.get("problems"))
    elif error is not None:
        raise error


class _Watched:
    """The workflow's file, and those that its last graph reads from the input folder or was given."""

    def __init__(self, workflow: Path, paths: Paths) -> None:
        self._workflow = workflow
        self._paths = paths
        self.seen: Seen = {workflow: None}

    def look(self) -> None:
        """Take the files as they are now for known; a change from here on counts."""
        self.seen = {path: _facts(path) for path in self.seen}

    async def settled(self) -> None:
        """Wait until nothing changes for a moment: editors write a file in several steps."""
        self.look()
        await asyncio.sleep(_SETTLED_SECONDS)
        while self.changed():
            self.look()
            await asyncio.sleep(_SETTLED_SECONDS)

    def began(self, caller: Caller) -> None:
        """The graph was read: its files are watched too."""
        files = {Path(text).expanduser() for text in caller.media if text != "-"}
        for node in caller.graph.prompt.values():
            files |= set(self._inputs(caller, node))
        before = self.seen
        self.seen = {
            path: before[path] if path in before else _facts(path) for path in (self._workflow, *sorted(files))
        }

    def changed(self) -> list[Path]:
        """The files that are not as they were."""
        return [path for path, facts in self.seen.items() if _facts(path) != facts]

    def _inputs(self, caller: Caller, node: dict[str, object]) -> Iterable[Path]:
        spec = caller.catalogue.spec(str(node.get("class_type")))
        values = node.get("inputs")
        if spec is None or not isinstance(values, dict):
            return
        for one in spec.inputs:
            value = values.get(one.name)
            if isinstance(one.choices, Files) and one.choices.folder == "input" and isinstance(value, str):
                path = self._paths.locate("input", value)
                if path is not None:
                    yield path


def _facts(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _named(files: Iterable[Path]) -> str:
    return ", ".join(path.name for path in files)
