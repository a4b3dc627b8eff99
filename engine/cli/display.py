"""Progress of a run: lines for logs, bars on a terminal. Both are sinks of the executor's events and speak on stderr."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol

from engine.cli.terminal import say
from engine.execute import events

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


SKIPPED: Final = {"blocked": "a blocked input", "upstream_failed": "a node it needs failed"}

LISTED: Final = 12
"""How many names a line has at most."""


class Display(Protocol):
    """Takes events while it is entered."""

    def __call__(self, event: events.Event) -> None: ...
    def importing(self, module: str) -> None: ...
    def __enter__(self) -> Display: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def make_display(titles: Mapping[str, str], *, quiet: bool) -> Display:
    """Bars if stderr is a terminal, else lines; with `quiet` only warnings. `titles` names the nodes by id."""
    if quiet:
        return Quiet()
    return Bars(titles) if sys.stderr.isatty() else Lines(titles)


class Quiet:
    """Says warnings, nothing else; the base of the others."""

    def __call__(self, event: events.Event) -> None:
        """Take one event."""
        if isinstance(event, events.Warned):
            self.line(f"warning: {event.message}")

    def importing(self, module: str) -> None:
        """Take note that a module of nodes is about to be imported."""

    def __enter__(self) -> Quiet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def line(self, text: str) -> None:
        """Write one line that stays."""
        say(text)


class Lines(Quiet):
    """A line for each node when it is done."""

    def __init__(self, titles: Mapping[str, str]) -> None:
        self._titles = titles

    def __call__(self, event: events.Event) -> None:
        """Take one event."""
        super().__call__(event)
        text = self._text(event)
        if text:
            self.line(text)

    def _text(self, event: events.Event) -> str:
        match event:
            case events.NodesCached():
                return self._reused(event.nodes)
            case events.NodeReused():
                return f"{self.title(event)}: reused"
            case events.NodeFinished():
                again = " (made again)" if event.remade else ""
                return f"{self.title(event)}: {duration(event.seconds)}{again}"
            case events.NodeSkipped():
                return f"{self.title(event)}: skipped, {SKIPPED[event.reason]}"
            case events.NodeFailed():
                return f"{self.title(event)}: failed"
        return ""

    def _reused(self, nodes: Sequence[str]) -> str:
        shown = [self._titles.get(node, node) for node in nodes[:LISTED]]
        more = f" and {len(nodes) - LISTED} more" if len(nodes) > LISTED else ""
        return f"reused: {', '.join(shown)}{more}" if shown else ""

    def title(self, event: events.NodeEvent) -> str:
        """What to call the node of an event; a node of an expansion is named after the node drawn in the graph."""
        title = self._titles.get(event.display_node, event.display_node)
        return title if event.node == event.display_node else f"{title} › {event.node}"


class Bars(Lines):
    """A bar for each node that runs, with its steps; lines for those that are done stay above."""

    def __init__(self, titles: Mapping[str, str]) -> None:
        super().__init__(titles)
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def importing(self, module: str) -> None:
        """Show that a module of nodes is being imported, until the next event."""
        with self._lock:
            self._end_task("")
            self._tasks[""] = self._live().add_task(f"importing {module}", total=None)

    def __call__(self, event: events.Event) -> None:
        """Take one event."""
        with self._lock:
            self._end_task("")
            match event:
                case events.NodeStarted():
                    self._tasks[event.node] = self._live().add_task(self.title(event), total=None)
                case events.NodeProgress() if event.node in self._tasks:
                    self._live().update(self._tasks[event.node], completed=event.value, total=event.total)
                case events.NodeFinished() | events.NodeFailed() | events.NodeSkipped():
                    self._end_task(event.node)
            super().__call__(event)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def line(self, text: str) -> None:
        """Write one line that stays, above the bars."""
        if self._progress is None:
            say(text)
        else:
            self._progress.console.print(text, markup=False, highlight=False)

    def _end_task(self, name: str) -> None:
        if name in self._tasks:
            self._live().remove_task(self._tasks.pop(name))

    def _live(self) -> Progress:
        """The bars, made when the first node runs: importing them would be half the time of a run that reuses everything."""
        if self._progress is None:
            from engine.cli.bars import make_progress

            self._progress = make_progress()
            self._progress.start()
        return self._progress


def duration(seconds: float) -> str:
    """Seconds for people: `0.4 ms`, `12 ms`, `3.2 s`, `2 min 5 s`."""
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
