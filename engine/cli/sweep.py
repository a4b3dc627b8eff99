"""`safelight run --sweep`: every combination of values in one process, and one contact sheet of what came out."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.cli import exits
from engine.cli.call_options import values_by_name
from engine.cli.exits import CliError
from engine.cli.sweep_values import Axis, Sweep, read_sweep
from engine.cli.terminal import aside
from engine.media.errors import MediaError

if TYPE_CHECKING:
    from engine.cli.calls import Caller
    from engine.cli.reports import Report
    from engine.cli.run_parts import Ran, Runner
    from engine.execute.cancel import CancelToken
    from engine.media.sheets import Cell, Section

SHEETS: Final = (".png", ".webp")


@dataclass
class SweptCell:
    """One combination: its number from 1, its values by parameter, and how it ended."""

    number: int
    values: dict[str, Any]
    labels: tuple[str, ...]
    ran: Ran | None = None
    refused: CliError | None = None

    @property
    def status(self) -> str:
        """done, failed, cancelled, or invalid when nothing of it could run."""
        return self.ran.result.status if self.ran is not None else "invalid"

    @property
    def message(self) -> str:
        """Why it failed."""
        if self.refused is not None:
            return str(self.refused)
        failures = self.ran.result.failures if self.ran is not None else []
        return failures[0].message if failures else ""

    def files(self) -> list[str]:
        """The files that it gave: those that are kept, else the previews."""
        outputs = self.ran.outputs if self.ran is not None else []
        kept = [one.path for one in outputs if one.path and one.folder != "temp"]
        return kept or [one.path for one in outputs if one.path]

    def facts(self) -> dict[str, Any]:
        """What programs are told of it."""
        message = {"message": self.message} if self.message else {}
        return {"cell": self.number, "values": self.values, "status": self.status, "files": self.files(), **message}


@dataclass
class Swept:
    """All cells, and the sheet."""

    cells: list[SweptCell] = field(default_factory=list)
    sheet: Path | None = None

    @property
    def code(self) -> int:
        """The exit code: FAILED when any cell failed."""
        if any(cell.status == "cancelled" for cell in self.cells):
            return exits.INTERRUPTED
        return exits.OK if all(cell.status == "done" for cell in self.cells) else exits.FAILED


def swept(caller: Caller, options: argparse.Namespace) -> Sweep:
    """The sweep of the options. Raises CliError."""
    if options.sheet is not None and Path(options.sheet).suffix.lower() not in SHEETS:
        raise CliError(exits.USAGE, f"--sheet {options.sheet}: expected a name that ends in {' or '.join(SHEETS)}.")
    return read_sweep(caller, options.sweep, values_by_name(options.given, caller.signature), options.most_cells)


async def run_sweep(
    runner: Runner,
    caller: Caller,
    sweep: Sweep,
    report: Report,
    options: argparse.Namespace,
    cancel: CancelToken | None = None,
) -> Swept:
    """Run every cell; one that fails is told, and the others go on. Raises CliError when none could run at all."""
    result = Swept()
    for number, (values, labels) in enumerate(_combinations(sweep.axes), 1):
        cell = SweptCell(number, values, labels)
        result.cells.append(cell)
        call = caller.call({**sweep.fixed, **values}, sweep.signature)
        named = " ".join(f"{name}={label}" for name, label in zip(values, labels, strict=True))
        report.begins(f"[{number}/{sweep.cells}] {named}")
        display = report.display(call, number)
        try:
            with aside(), display:
                cell.ran = await runner.run(call, display, cancel)
        except CliError as error:
            if error.code != exits.INVALID:
                raise
            cell.refused = error
            report.told("error", str(error), code=error.code, cell=number, problems=error.facts.get("problems"))
        else:
            report.ended(cell.ran, number)
        report.cell(cell.facts())
        if cancel is not None and cancel.cancelled:
            return result
    refusals = [cell.refused for cell in result.cells if cell.refused is not None]
    if len(refusals) == len(result.cells):
        raise refusals[0]
    result.sheet = _sheet(runner, caller, sweep, result.cells, options)
    report.swept([cell.facts() for cell in result.cells], result.sheet)
    return result


def _combinations(axes: Sequence[Axis]) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
    """Values by name, and what they are called; the first axis goes through its values fastest, as the columns do."""
    found = []
    for picked in itertools.product(*(range(len(axis.values)) for axis in reversed(axes))):
        at = picked[::-1]
        values = {axis.parameter.name: axis.values[index] for axis, index in zip(axes, at, strict=True)}
        found.append((values, tuple(axis.labels[index] for axis, index in zip(axes, at, strict=True))))
    return found


def _sheet(
    runner: Runner, caller: Caller, sweep: Sweep, cells: Sequence[SweptCell], options: argparse.Namespace
) -> Path | None:
    """Draw the sheet and write it, with the workflow of the first cell and the swept values inside; None without pictures.

    Raises CliError UNREADABLE when it cannot be written.
    """
    from engine.media.atomic import write_numbered, write_whole
    from engine.media.png import encode_png, encode_webp
    from engine.media.sheets import draw_sheet

    shown = [_shown(cell) for cell in cells]
    if not any(cell.pictures for cell in shown):
        return None
    first = caller.call({**sweep.fixed, **cells[0].values}, sweep.signature).graph
    title = Path(caller.graph.name).stem
    picture = draw_sheet(title, _sections(sweep.axes, shown))
    target = Path(options.sheet).expanduser() if options.sheet is not None else None
    facts = {axis.parameter.name: axis.values for axis in sweep.axes}
    if target is not None and target.suffix.lower() == ".webp":
        data = encode_webp(picture, first.prompt, first.workflow)
    else:
        data = encode_png(picture, first.prompt, first.workflow, {"sweep": facts})
    try:
        if target is None:
            return write_numbered(runner.output_folder, f"{title}_sweep", ".png", data)
        write_whole(target, lambda part: _write(part, data))
        return target
    except (MediaError, OSError) as error:
        raise CliError(exits.UNREADABLE, f"The contact sheet could not be written: {error}") from error


def _write(part: Path, data: bytes) -> None:
    part.write_bytes(data)


def _shown(cell: SweptCell) -> Cell:
    from engine.media.sheets import Cell
    from engine.paths import PICTURES

    files = [Path(name) for name in cell.files()]
    pictures = [path for path in files if path.suffix.lower() in PICTURES]
    texts = [one.text for one in cell.ran.outputs if one.text] if cell.ran is not None else []
    failed = cell.status != "done"
    text = f"failed: {cell.message}" if failed else " ".join([*texts, *(path.name for path in files)])
    return Cell(() if failed else pictures, text, failed)


def _sections(axes: Sequence[Axis], cells: Sequence[Cell]) -> list[Section]:
    """The cells in the order of `_combinations`: columns, rows, and a section for each combination of further axes."""
    from engine.media.sheets import Row, Section

    headers = _labels(axes[0])
    if len(axes) == 1:
        across = _across(len(cells))
        starts = range(0, len(cells), across)
        return [Section("", [Row("", headers[at : at + across], cells[at : at + across]) for at in starts])]
    labels = _labels(axes[1])
    wide, high = len(headers), len(labels)
    headings = [", ".join(reversed(picked)) for picked in itertools.product(*map(_labels, reversed(axes[2:])))]
    found = []
    for number, heading in enumerate(headings):
        begin = number * wide * high
        rows = [
            Row(label, headers if at == 0 else (), cells[begin + at * wide : begin + (at + 1) * wide])
            for at, label in enumerate(labels)
        ]
        found.append(Section(heading, rows))
    return found


def _across(count: int) -> int:
    """How many cells of one sweep stand in a row."""
    return count if count <= 6 else max(4, round((count * 1.6) ** 0.5))


def _labels(axis: Axis) -> list[str]:
    return [f"{axis.parameter.name} = {label}" for label in axis.labels]
