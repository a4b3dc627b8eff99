"""`safelight doctor`: looks at everything a run needs, and says what to do about what is not right."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from engine.cli import exits
from engine.cli.doctor_engine import examine_cache, examine_folders, examine_packs
from engine.cli.doctor_machine import examine_database, examine_devices, examine_port, examine_versions
from engine.cli.findings import Finding, State
from engine.cli.terminal import put_json

if TYPE_CHECKING:
    from engine.cli.app import App

STYLES: Final[dict[State, str]] = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_SEVERITY: Final[tuple[State, ...]] = ("ok", "warn", "fail")


def doctor(app: App, options: argparse.Namespace) -> int:
    """Show the findings. The exit code is 1 if something will not work, and 0 for warnings."""
    findings: list[Finding] = []
    show = _keep if options.json else _print
    show(findings, _examine(app, options.port))
    worst = max((one.state for one in findings), key=_SEVERITY.index)
    if options.json:
        put_json({"status": worst, "findings": findings})
    return exits.FAILED if worst == "fail" else exits.OK


def _examine(app: App, port: int) -> Iterator[Finding]:
    yield from examine_versions()
    yield from examine_devices()
    yield from examine_folders(app.paths)
    yield from examine_packs(app.paths)
    yield from examine_cache(app)
    yield from examine_database()
    yield from examine_port(port)


def _keep(findings: list[Finding], found: Iterable[Finding]) -> None:
    findings.extend(found)


def _print(findings: list[Finding], found: Iterable[Finding]) -> None:
    """Each finding as soon as it is there; in colour on a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
    for one in found:
        findings.append(one)
        mark = Text(f"{one.state:5}", style=STYLES[one.state])
        console.print(mark + Text(f" {one.area:12} {one.text}"))
        if one.advice:
            console.print(Text(f"{'':18} → {one.advice}"))
