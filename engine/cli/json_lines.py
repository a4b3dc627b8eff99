"""`--json-lines`: every event of a run as one JSON object on a line of stdout, stable, as docs/command_line.md describes them.

Each line has `event`; in a sweep also `cell`, the number of the cell, from 1.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Any, TextIO

import msgspec

from engine.cli.display import Quiet
from engine.cli.outcome import FAILURE_FACTS, summary
from engine.cli.run_parts import Ran
from engine.execute import events


class LineWriter:
    """Writes lines to what stdout is when it is made. Safe among threads."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()

    def write(self, event: str, **facts: Any) -> None:
        """Write one line at once; facts that are None are left out."""
        told = {"event": event, **{name: value for name, value in facts.items() if value is not None}}
        data = msgspec.json.encode(told, enc_hook=str).decode()
        with self._lock:
            self._stream.write(f"{data}\n")
            self._stream.flush()


class LineDisplay(Quiet):
    """Writes the events of one run as lines, and says nothing."""

    def __init__(
        self,
        writer: LineWriter,
        workflow: str,
        values: Mapping[str, Any],
        titles: Mapping[str, str],
        cell: int | None = None,
    ) -> None:
        self._writer = writer
        self._begin = {"workflow": workflow, "values": dict(values)}
        self._titles = titles
        self._cell = cell

    def __call__(self, event: events.Event) -> None:
        """Take one event."""
        match event:
            case events.RunStarted():
                self._write("started", **self._begin, nodes=event.nodes_total)
            case events.NodesCached() if event.nodes:
                self._write("reused", nodes=event.nodes)
            case events.NodeReused():
                self._write("reused", nodes=[event.node])
            case events.NodeStarted():
                self._node(event, "started", class_type=event.class_type)
            case events.NodeProgress():
                self._write("progress", node=event.node, value=event.value, total=event.total)
            case events.NodeFinished():
                self._node(event, "finished", class_type=event.class_type, seconds=round(event.seconds, 4))
            case events.NodeSkipped():
                self._node(event, "skipped", reason=event.reason, because=event.because)
            case events.NodeFailed():
                facts = {name: getattr(event, name) or None for name in FAILURE_FACTS if name != "node"}
                self._node(event, "failed", **facts)
            case events.Warned():
                self._write("warning", message=event.message, node=event.node)

    def _node(self, event: events.NodeEvent, status: str, **facts: Any) -> None:
        title = self._titles.get(event.display_node, event.display_node)
        inside = event.display_node if event.display_node != event.node else None
        self._write("node", node=event.node, status=status, title=title, inside=inside, **facts)

    def _write(self, event: str, **facts: Any) -> None:
        self._writer.write(event, cell=self._cell, **facts)


def write_end(writer: LineWriter, ran: Ran, cell: int | None = None) -> None:
    """The lines at the end of a run: one for each output, and `finished`."""
    names = {one.node: one.name for one in ran.call.signature.outputs}
    for output in ran.outputs:
        facts = {"name": names.get(output.node), **msgspec.to_builtins(output)}
        writer.write("output", cell=cell, **facts)
    result = ran.result
    writer.write(
        "finished",
        cell=cell,
        status=result.status,
        summary=summary(result.counts),
        seconds=round(result.seconds, 4),
        counts=msgspec.to_builtins(result.counts),
    )
