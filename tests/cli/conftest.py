"""The command line as a process of its own, in a base directory with a small pack of nodes that need no torch."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.harness import command, environ, new_base

PACK = '''
"""Small nodes for tests. Each run of one is a line in `ran.txt` of the base directory."""

import time
from typing import Annotated

from engine.api import Context, In, WithUi, node
from engine.media.atomic import write_numbered

Number = Annotated[int, In(ge=0, le=100, tip="A small number.")]


def note(ctx: Context, name: str) -> None:
    with open(ctx.paths.base / "ran.txt", "a") as file:
        file.write(name + "\\n")


@node("TestNumber", category="test/numbers")
def number(ctx: Context, value: Number = 1) -> int:
    """Give a number."""
    note(ctx, "TestNumber")
    return value


@node("TestAdd", category="test/numbers")
def add(ctx: Context, a: int, b: int) -> int:
    """Add two numbers.

    The second line is only shown for the node itself.
    """
    note(ctx, "TestAdd")
    return a + b


@node("TestShow", category="test", output=True)
def show(ctx: Context, value: int, label: str | None = "sum") -> None:
    """Show a number."""
    note(ctx, "TestShow")
    return WithUi(ui={"text": [f"{label}: {value}"]})


@node("TestSave", category="test", output=True)
def save(ctx: Context, length: int | None = 10) -> None:
    """Write a file of some bytes."""
    note(ctx, "TestSave")
    path = write_numbered(ctx.paths.directory("output") / "sub", "file", ".bin", bytes(length))
    return WithUi(ui={"files": [{"filename": path.name, "subfolder": "sub", "type": "output"}]})


@node("TestFail", category="test", output=True)
def fail(ctx: Context, value: int) -> None:
    """Fail."""
    raise RuntimeError(f"cannot show {value}")


@node("TestWait", category="test")
def wait(ctx: Context, value: int, seconds: float | None = 60.0) -> int:
    """Wait, step by step."""
    note(ctx, "TestWait")
    for step in range(int(seconds * 100)):
        ctx.progress(step, int(seconds * 100))
        time.sleep(0.01)
    return value
'''

SUM = {
    "1": {"class_type": "TestNumber", "inputs": {"value": 2}, "_meta": {"title": "First"}},
    "2": {"class_type": "TestNumber", "inputs": {"value": 3}},
    "3": {"class_type": "TestAdd", "inputs": {"a": ["1", 0], "b": ["2", 0]}},
    "4": {"class_type": "TestShow", "inputs": {"value": ["3", 0], "label": "sum"}},
}


class Base:
    """A base directory and the command in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, content: Any) -> str:
        """Write a file (anything but text and bytes as JSON) and return its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    def command(self, *arguments: str) -> list[str]:
        return command(*arguments)

    def environment(self, **more: str) -> dict[str, str]:
        return environ(SAFELIGHT_BASE=str(self.folder), **more)

    def run(
        self, *arguments: str, code: int = 0, stdin: bytes | None = None, apart: bool = True, **options: Any
    ) -> Done:
        """Run a command to its end and expect an exit code. Not `apart`: in this process, which saves half a second, for a
        command that imports no pack.
        """
        if not apart:
            return self._run_here(arguments, code, stdin or b"")
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            env=self.environment(),
            cwd=self.folder,
            check=False,
            timeout=120,
            **options,
        )
        out, said = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == code, f"exit code {done.returncode}, stdout:\n{out}\nstderr:\n{said}"
        assert "Traceback" not in said or "--debug" in arguments
        return Done(out, said)

    def _run_here(self, arguments: tuple[str, ...], code: int, stdin: bytes) -> Done:
        from engine.__main__ import main

        out, said = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with (
            mock.patch.dict(os.environ, {"SAFELIGHT_BASE": str(self.folder)}),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(said),
            mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        ):
            ended = main(arguments)
        done = Done(*(stream.buffer.getvalue().decode() for stream in (out, said)))  # type: ignore[attr-defined]
        assert ended == code, f"exit code {ended}, stdout:\n{done.out}\nstderr:\n{done.said}"
        assert "Traceback" not in done.said
        return done

    def json(self, *arguments: str, code: int = 0, **options: Any) -> Any:
        """Run a command with `--json`; what it printed."""
        return json.loads(self.run(*arguments, "--json", code=code, **options).out)

    def interrupted(self, *arguments: str, when: Path, by: signal.Signals = signal.SIGINT) -> Done:
        """Run a command, press Ctrl-C once the file `when` is there, and expect to be told."""
        process = subprocess.Popen(
            self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment()
        )
        deadline = time.monotonic() + 60
        while not when.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(by)
        out, said = process.communicate(timeout=60)
        assert process.returncode == 130, said.decode()
        return Done(out.decode(), said.decode())

    @property
    def ran(self) -> list[str]:
        """The nodes that ran since the last time this was asked, in order of name."""
        path = self.folder / "ran.txt"
        lines = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return sorted(lines)

    def half_files(self) -> list[Path]:
        """Files that a writer did not finish."""
        return [path for path in self.folder.rglob("*") if path.suffix in (".part", ".tmp")]


class Done:
    """What a command printed."""

    def __init__(self, out: str, said: str) -> None:
        self.out = out
        self.said = said


@pytest.fixture
def base(tmp_path: Path, core_catalogue: Path) -> Base:
    """A new base directory with the pack."""
    made = Base(new_base(tmp_path / "base", core_catalogue))
    made.write("custom_nodes/tiny_pack.py", PACK)
    return made


class Here(Base):
    """A base directory without packs, whose commands run in this process."""

    def run(self, *arguments: str, **options: Any) -> Done:
        return super().run(*arguments, **{"apart": False, **options})

    def lines(self, *arguments: str, **options: Any) -> list[dict[str, Any]]:
        """Run a command with `--json-lines`; what it printed."""
        return [json.loads(line) for line in self.run(*arguments, "--json-lines", **options).out.splitlines()]


@pytest.fixture
def here(tmp_path: Path, core_catalogue: Path) -> Here:
    """A new base directory without packs."""
    return Here(new_base(tmp_path / "base", core_catalogue))


@pytest.fixture
def sum_file(base: Base) -> str:
    return base.write("sum.json", SUM)
