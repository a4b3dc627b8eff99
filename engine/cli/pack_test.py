"""`safelight pack test`: one pack, looked at in a process of its own, whatever it does there."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from engine.cli import exits
from engine.cli.exits import CliError
from engine.cli.findings import Finding, shown, worst_of
from engine.cli.pack_report import Request, read_report, types_of
from engine.cli.supervised import Ended, run_supervised
from engine.cli.terminal import put_json, say
from engine.processes import python_command, python_environment

if TYPE_CHECKING:
    from engine.cli.app import App

NO_TESTS_FOUND: Final = 5
"""What pytest ends with when there are none."""

_NATIVE: Final = "nodes"
"""The package of built-in nodes."""


def test_pack(app: App, options: argparse.Namespace) -> int:
    """Show all findings; the exit code is 1 if something is wrong. Raises CliError UNREADABLE when there is no such pack."""
    path = Path(options.pack).expanduser().absolute()
    if not path.exists():
        raise CliError(exits.UNREADABLE, f"There is no {path}. Name the folder of a pack, or its .py file.")
    examined = _Examined(app, path, options.seconds, with_tests=not options.no_tests)
    found = examined.findings()
    findings = list(found) if options.json else list(shown(found))
    worst = worst_of(findings)
    if options.json:
        put_json(
            {
                "status": worst,
                "pack": path.stem if path.is_file() else path.name,
                "path": path,
                "nodes": examined.nodes,
                "findings": findings,
                "printed": examined.printed,
            }
        )
    elif examined.printed:
        sys.stdout.flush()
        say(f"What it printed last:\n{examined.printed.rstrip()}")
    return exits.FAILED if worst == "fail" else exits.OK


class _Examined:
    """A pack under examination. `nodes` and `printed` are there once the findings are read."""

    def __init__(self, app: App, path: Path, seconds: float, *, with_tests: bool) -> None:
        self.nodes: list[str] = []
        self.printed = ""
        self._app = app
        self._path = path
        self._seconds = seconds
        self._with_tests = with_tests

    def findings(self) -> Iterator[Finding]:
        """Everything that is found, in order."""
        sound = True
        for one in self._of_the_pack():
            sound = sound and one.state != "fail"
            yield one
        if self._with_tests and (where := _tests_of(self._path)) is not None:
            yield self._of_its_tests(where)
        self.printed = self.printed if not sound or self.printed.startswith("tests") else ""

    def _of_the_pack(self) -> Iterator[Finding]:
        with tempfile.TemporaryDirectory(prefix="safelight-pack-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            report_file, asked = folder / "report.json", folder / "request.json"
            request = Request(str(self._path), str(folder / "base"), str(report_file), 0.0, *_core(self._app))
            request.deadline = time.time() + self._seconds
            asked.write_bytes(msgspec.json.encode(request))
            command = python_command("-m", "engine.cli.pack_child", str(asked))
            ended = run_supervised(command, folder, self._seconds, _environment())
            report = read_report(report_file)
        self.nodes = report.nodes
        self.printed = ended.printed
        yield from report.findings
        if not report.complete:
            yield Finding("process", "fail", *_told(ended, report.doing, self._seconds))

    def _of_its_tests(self, where: Path) -> Finding:
        if importlib.util.find_spec("pytest") is None:
            return Finding("tests", "warn", f"{where} was not run: there is no pytest", "pip install pytest")
        command = python_command("-m", "pytest", "-q", "-p", "no:cacheprovider", str(where))
        ended = run_supervised(
            command, self._path if self._path.is_dir() else self._path.parent, self._seconds, _environment()
        )
        lines = [line for line in ended.printed.splitlines() if line.strip()]
        last = lines[-1].strip("= ") if lines else "nothing was printed"
        if ended.code == 0:
            return Finding("tests", "ok", last)
        if ended.code == NO_TESTS_FOUND:
            return Finding("tests", "warn", f"there are none in {where}", "Write functions that begin with test_.")
        self.printed = f"tests of the pack:\n{ended.printed}"
        if ended.code is None:
            return Finding(
                "tests", "fail", f"they took longer than {self._seconds:g} s", "Give them longer with --seconds."
            )
        return Finding("tests", "fail", last, f"`python -m pytest` in {self._path} shows all of it.")


def _core(app: App) -> tuple[list[str], list[str]] | tuple[()]:
    """Names of the built-in nodes, and of the types that they know, if they are known without importing anything."""
    library = app.stored_library(True)
    specs = [spec for spec in library.catalogue if spec.pack == _NATIVE] if library is not None else []
    if library is None or not specs:
        return ()
    names = [spec.name for spec in specs]
    names += [alias for alias, name in library.catalogue.aliases.items() if name in names]
    return names, sorted({kind for spec in specs for kind in types_of(spec)})


def _tests_of(path: Path) -> Path | None:
    """Where the tests of a pack are, if it has any."""
    if path.is_file():
        return None
    folders = [path / name for name in ("tests", "test") if (path / name).is_dir()]
    if folders:
        return folders[0]
    return path if next(path.glob("test_*.py"), None) is not None else None


def _environment() -> dict[str, str]:
    """Ours, with the engine importable from any folder, and nothing left behind in the pack's."""
    return python_environment() | {"PYTHONDONTWRITEBYTECODE": "1"}


def _told(ended: Ended, doing: str, seconds: float) -> tuple[str, str]:
    """How a process that did not come to its end came to end, and what to do."""
    if ended.code is None:
        return (
            f"{doing} took longer than {seconds:g} s",
            "Do what takes long when a node runs. --seconds gives it longer.",
        )
    how = f"signal {-ended.code} ended it" if ended.code < 0 else f"it ended with code {ended.code}"
    return f"while {doing}, the process was ended: {how}", "Look for os._exit, os.kill, and for libraries that crash."
