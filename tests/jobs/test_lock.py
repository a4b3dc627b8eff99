from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from engine.jobs.lock import FolderInUseError, FolderLock

HOLD = """
import sys
from pathlib import Path
from engine.jobs.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]), "It")
lock.acquire()
lock.describe("http://127.0.0.1:8188")
print("held", flush=True)
sys.stdin.read()
"""


def hold_elsewhere(folder):
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "held\n"
    return child


def test_a_second_server_is_told_about_the_first_and_comes_in_when_it_is_killed(tmp_path):
    child = hold_elsewhere(tmp_path)
    lock = FolderLock(tmp_path, f"The user directory {tmp_path}")
    try:
        with pytest.raises(FolderInUseError) as caught:
            lock.acquire()
        holder = lock.held()
        assert holder is not None
        assert (holder.pid, holder.url) == (child.pid, "http://127.0.0.1:8188")
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdin.close()
        child.stdout.close()
    assert lock.held() is None, "what a dead server wrote says nothing"
    message = str(caught.value)
    assert message.startswith(
        f"The user directory {tmp_path} is in use by the server at http://127.0.0.1:8188 (process {child.pid}, since "
    )
    assert "Stop it, or use another --base-directory / --user-directory." in message
    with lock:
        assert lock.holder().pid == os.getpid()


def test_two_locks_of_one_process_exclude_each_other_too(tmp_path):
    first, second = FolderLock(tmp_path / "new", "It"), FolderLock(tmp_path / "new", "It")
    with first:
        first.acquire()  # held already
        first.describe("http://[::1]:1")
        first.describe("http://a")
        with pytest.raises(FolderInUseError, match=r"at http://a \(process"):
            second.acquire()
    with second:
        second.describe("http://b")
        assert second.holder().url == "http://b"
    second.release()
    assert second.holder().pid == 0


def test_a_lock_file_with_unknown_content_does_not_hinder(tmp_path):
    (tmp_path / "server.lock").write_bytes(b"\x00garbage")
    lock = FolderLock(tmp_path, "It")
    assert lock.holder().pid == 0
    with lock:
        assert lock.holder().pid == os.getpid()


def test_a_lock_that_is_not_held_describes_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="acquire"):
        FolderLock(tmp_path, "It").describe("http://a")
