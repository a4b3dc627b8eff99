"""A worker ends with its server."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from engine.worker import parent


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process of its parent's end")
def test_the_system_ends_a_process_ten_seconds_after_its_parent_without_any_python_running() -> None:
    script = (
        "import ctypes, os, signal\n"
        "from engine.worker.parent import arrange_alarm\n"
        "arrange_alarm()\n"
        "asked = ctypes.c_int()\n"
        "ctypes.CDLL(None).prctl(2, ctypes.byref(asked), 0, 0, 0)\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"  # what the system does then
        "left = signal.getitimer(signal.ITIMER_REAL)[0]\n"
        "print(asked.value, 9 < left <= 10, signal.getsignal(signal.SIGALRM) == signal.SIG_DFL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["10", "True", "True"]


@pytest.mark.parametrize("ended_before", [False, True])
def test_once_the_parent_is_another_the_process_ends(monkeypatch: pytest.MonkeyPatch, ended_before: bool) -> None:
    told: list[Any] = []
    parents = iter([] if ended_before else [77, 77, 77])
    monkeypatch.setattr(os, "getppid", lambda: next(parents, 1))
    monkeypatch.setattr(os, "_exit", told.append)
    monkeypatch.setattr(parent, "WATCH_SECONDS", 0.001)
    parent._watch(77, lambda: told.append("gone"), 0.0)
    assert told == ["gone", 1]


@pytest.mark.parametrize(
    ("server_lives", "watched"),
    [(True, 1), (False, 77)],
    ids=["a launcher stands between", "it ended before this process asked"],
)
def test_a_parent_that_is_not_the_server_is_watched_only_while_the_server_lives(
    monkeypatch: pytest.MonkeyPatch, server_lives: bool, watched: int
) -> None:
    begun: list[Any] = []
    monkeypatch.setattr(os, "getppid", lambda: 1)
    monkeypatch.setattr(parent, "arrange_alarm", lambda: None)
    monkeypatch.setattr(parent, "_lives", lambda process: server_lives)
    monkeypatch.setattr(parent, "_watch", lambda pid, on_gone, seconds: begun.append((pid, seconds)))
    parent.end_with(77, lambda: None, 6.0)
    assert begun == [(watched, 6.0)]
