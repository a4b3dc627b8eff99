"""How a run is told: to people, as one JSON document, or as JSON lines."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from engine.cli.calls import Call
from engine.cli.display import Display, Quiet, make_display
from engine.cli.outcome import as_json, failure_lines, summary
from engine.cli.run_parts import Ran
from engine.cli.terminal import put, put_json, say


class Report(Protocol):
    """Tells of runs."""

    def display(self, call: Call, cell: int | None = None) -> Display:
        """What takes the events of a run."""
        ...

    def ended(self, ran: Ran, cell: int | None = None) -> None:
        """Tell how a run ended and what it gave."""
        ...

    def told(self, event: str, text: str, **facts: Any) -> None:
        """Tell something else that happened: an event with facts for programs, a text for people."""
        ...

    def begins(self, text: str) -> None:
        """Tell people which cell of a sweep begins."""
        ...

    def cell(self, facts: Mapping[str, Any]) -> None:
        """Tell programs how a cell of a sweep ended."""
        ...

    def swept(self, cells: Sequence[Mapping[str, Any]], sheet: Path | None) -> None:
        """Tell how a sweep ended."""
        ...


def make_report(options: argparse.Namespace) -> Report:
    """The report that the options ask for."""
    if options.json_lines:
        return LinesReport(options)
    return JsonReport(options) if options.json else PlainReport(options)


class PlainReport:
    """For people: what happens on stderr, results on stdout."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options

    def display(self, call: Call, cell: int | None = None) -> Display:
        """Bars or lines."""
        return make_display(call.titles, quiet=self._options.quiet)

    def ended(self, ran: Ran, cell: int | None = None) -> None:
        """Failures and the summary, then outputs."""
        tell_failures(ran, self._options.debug)
        say(summary(ran.result.counts))
        for output in ran.outputs:
            put(output.path or output.text)

    def told(self, event: str, text: str, **facts: Any) -> None:
        """The text."""
        say(text)

    def begins(self, text: str) -> None:
        """The text."""
        if not self._options.quiet:
            say(text)

    def cell(self, facts: Mapping[str, Any]) -> None:
        """Nothing more: its outputs are told."""

    def swept(self, cells: Sequence[Mapping[str, Any]], sheet: Path | None) -> None:
        """How many cells failed, and the sheet."""
        failed = sum(cell["status"] != "done" for cell in cells)
        say(f"{len(cells)} cells, {failed} failed" if failed else f"{len(cells)} cells")
        if sheet is not None:
            put(str(sheet))


class JsonReport:
    """One document on stdout."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options

    def display(self, call: Call, cell: int | None = None) -> Display:
        """Only warnings."""
        return Quiet()

    def ended(self, ran: Ran, cell: int | None = None) -> None:
        """The document; failures also in words."""
        if cell is None:
            put_json(document(ran))
        tell_failures(ran, self._options.debug)

    def told(self, event: str, text: str, **facts: Any) -> None:
        """The text."""
        say(text)

    def begins(self, text: str) -> None:
        """Nothing."""

    def cell(self, facts: Mapping[str, Any]) -> None:
        """Nothing: it is in the document."""

    def swept(self, cells: Sequence[Mapping[str, Any]], sheet: Path | None) -> None:
        """The document."""
        put_json(swept_document(cells, sheet))


class LinesReport:
    """JSON lines on stdout."""

    def __init__(self, options: argparse.Namespace) -> None:
        from engine.cli.json_lines import LineWriter

        self._options = options
        self.writer = LineWriter()

    def display(self, call: Call, cell: int | None = None) -> Display:
        """Every event as a line."""
        from engine.cli.json_lines import LineDisplay

        return LineDisplay(self.writer, call.graph.name, call.values, call.titles, cell)

    def ended(self, ran: Ran, cell: int | None = None) -> None:
        """A line for each output, and the last one."""
        from engine.cli.json_lines import write_end

        write_end(self.writer, ran, cell)

    def told(self, event: str, text: str, **facts: Any) -> None:
        """A line."""
        self.writer.write(event, message=text, **facts)

    def begins(self, text: str) -> None:
        """Nothing: the first line of the cell tells it."""

    def cell(self, facts: Mapping[str, Any]) -> None:
        """A line for the cell."""
        self.writer.write("cell", **facts)

    def swept(self, cells: Sequence[Mapping[str, Any]], sheet: Path | None) -> None:
        """A line for the sheet, and the last one."""
        if sheet is not None:
            self.writer.write("sheet", path=str(sheet))
        failed = sum(cell["status"] != "done" for cell in cells)
        self.writer.write("finished", status="failed" if failed else "done", cells=len(cells), failed=failed)


def document(ran: Ran) -> dict[str, Any]:
    """What `--json` prints of a run."""
    told = as_json(ran.result, ran.outputs, ran.problems, ran.call.graph.prompt)
    return told | {"values": ran.call.values, "notes": ran.call.graph.notes}


def swept_document(cells: Sequence[Mapping[str, Any]], sheet: Path | None) -> dict[str, Any]:
    """What `--json` prints of a sweep."""
    failed = sum(cell["status"] != "done" for cell in cells)
    return {
        "status": "failed" if failed else "done",
        "cells": msgspec.to_builtins(cells),
        "failed": failed,
        "sheet": str(sheet) if sheet else None,
    }


def tell_failures(ran: Ran, debug: bool) -> None:
    """Say which nodes failed, and why."""
    named = ran.call.titles
    for failure in ran.result.failures:
        say("\n".join(failure_lines(failure, named.get(failure.display_node, failure.class_type), debug)))
