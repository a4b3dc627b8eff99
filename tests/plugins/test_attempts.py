"""A pack is left out only for what it did itself, twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from engine.plugins import attempts
from engine.plugins.attempts import Attempts, blame, forgive, withdraw

LOAD = """
import pathlib, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # who runs the tests under nohup has it ignored
from engine.plugins.opening import load_library
library = load_library((), [pathlib.Path(sys.argv[1])], pathlib.Path(sys.argv[2]) / "catalogue.msgpack")
print([spec.name for spec in library.catalogue], [problem.message for problem in library.problems])
"""

GOOD = """
from engine.api import node

@node("Good")
def good(value: int = 1) -> int:
    return value
"""


def gone() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def left(folder: Path, *, module: str = "custom_nodes.pack", raw: str = "r", for_memory: int | None = None) -> int:
    """The note of a process that died while it imported a pack, and not for want of memory unless told; its number."""
    number = gone()
    for_memory = attempts._ended_for_memory() if for_memory is None else for_memory
    folder.mkdir(exist_ok=True)
    (folder / f"importing-{number}").write_text(f"{module}\n{raw}\n{for_memory}\n")
    return number


def out(folder: Path, raw: str = "r") -> bool:
    return Attempts(folder).is_out("custom_nodes.pack", raw)


class Packs:
    """A pack, and processes that load it."""

    def __init__(self, root: Path) -> None:
        self.custom, self.cache = root / "custom_nodes", root / "cache"
        self.custom.mkdir()

    def load(self, source: str) -> subprocess.CompletedProcess[str]:
        path = self.custom / "pack.py"
        if not path.exists() or path.read_text() != source:
            path.write_text(source)
        command = [sys.executable, "-c", LOAD, str(self.custom), str(self.cache)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def packs(tmp_path: Path) -> Packs:
    return Packs(tmp_path)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("import os\nos._exit(3)", 3),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("import os\nos.abort()", -signal.SIGABRT),
    ],
)
def test_a_pack_that_ends_its_process_twice_is_left_out_and_told(packs: Packs, source: str, code: int) -> None:
    assert [packs.load(source).returncode for _ in range(2)] == [code, code]
    third = packs.load(source)
    assert third.returncode == 0, third.stderr
    assert "importing it ended the process 2 times" in third.stdout
    assert packs.load(GOOD).stdout == "['Good'] []\n", "it is another now"


def test_a_kill_from_outside_is_not_the_packs_doing_however_often(packs: Packs) -> None:
    source = "import sys, time\nprint('importing', flush=True)\ntime.sleep(60)\n" + GOOD
    command = [sys.executable, "-c", LOAD, str(packs.custom), str(packs.cache)]
    (packs.custom / "pack.py").write_text(source)
    for number in (signal.SIGKILL, signal.SIGHUP, signal.SIGTERM):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(number)
        process.communicate()
    packs.custom.joinpath("pack.py").write_text(source.replace("60", "0"))
    assert packs.load(source.replace("60", "0")).stdout.endswith("['Good'] []\n")
    assert not list(packs.cache.glob("importing-*")), "the notes of the dead are gone"


def test_a_death_without_a_sign_is_forgotten(tmp_path: Path) -> None:
    for _ in range(5):
        left(tmp_path)
        assert not out(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_saw_the_exit_status_can_blame_twice(tmp_path: Path) -> None:
    for expected in (False, True):
        blame(tmp_path, left(tmp_path), "Worker 0 ended with exit code 7.")
        assert out(tmp_path) is expected
    assert not out(tmp_path, raw="another"), "it was edited"
    assert out(tmp_path), "and is as it was"
    forgive(tmp_path)
    assert not out(tmp_path)


def test_a_process_that_was_importing_nothing_is_no_packs_end(tmp_path: Path) -> None:
    blame(tmp_path, gone(), "Worker 0 ended with exit code 7.")
    assert list(tmp_path.iterdir()) == []


def test_an_end_for_want_of_memory_is_the_packs_only_if_the_system_counted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "_ended_for_memory", lambda: 4)
    for _ in range(2):
        left(tmp_path, for_memory=4)
        assert not out(tmp_path)
    for expected in (False, True):
        left(tmp_path, for_memory=3)
        assert out(tmp_path) is expected


def test_an_import_that_a_process_survives_clears_the_pack(tmp_path: Path) -> None:
    blame(tmp_path, left(tmp_path), "crashed")
    again = Attempts(tmp_path)
    with suppress(RuntimeError), again.importing("custom_nodes.pack", "r"):
        assert (tmp_path / f"importing-{os.getpid()}").exists()
        raise RuntimeError("it fails, and the process lives")
    blame(tmp_path, left(tmp_path), "crashed")
    assert not out(tmp_path), "once, not twice in a row"


def test_a_process_that_is_told_to_end_takes_its_note_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_ending", type(attempts._ending)())
    note = tmp_path / f"importing-{os.getpid()}"
    with Attempts(tmp_path).importing("custom_nodes.pack", "r"):
        assert note.exists()
        withdraw(tmp_path)
        assert not note.exists()
    with Attempts(tmp_path).importing("custom_nodes.pack", "r"):
        assert not note.exists()


def test_the_note_of_a_process_that_lives_is_left_alone(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / f"importing-{child.pid}").write_text("custom_nodes.pack\nr\n0\nos._exit(1)\n")
        assert not out(tmp_path)
        assert (tmp_path / f"importing-{child.pid}").exists()
    finally:
        child.kill()
        child.wait()


def test_what_was_put_around_the_import_is_taken_away_again(tmp_path: Path) -> None:
    before = os._exit, os.kill
    with Attempts(tmp_path).importing("custom_nodes.pack", "r"):
        assert (os._exit, os.kill) != before
    assert (os._exit, os.kill) == before
