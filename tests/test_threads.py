"""What the libraries of tensor maths are told before they are loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import threads
from engine.threads import tell_libraries, usable_cores


def told(count: int | None = None, **before: str) -> dict[str, str]:
    environment = dict(before)
    tell_libraries(environment, count)
    return environment


def test_threads_sleep_while_they_wait_and_there_is_one_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: 6)
    counts = {"OMP_NUM_THREADS": "6", "OPENBLAS_NUM_THREADS": "6"}
    assert told() == {"OMP_WAIT_POLICY": "PASSIVE", **counts, threads.OWN_CHOICE: "1"}


def test_a_setting_wins_over_the_number_of_cores() -> None:
    assert told(3)["OMP_NUM_THREADS"] == told(3)["OPENBLAS_NUM_THREADS"] == "3"


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_who_says_how_threads_wait_is_heard(name: str) -> None:
    found = told(2, **{name: "1"})
    assert found == {name: "1", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}


def test_the_environment_wins_over_a_setting() -> None:
    assert told(3, OMP_NUM_THREADS="5") == {"OMP_NUM_THREADS": "5", "OMP_WAIT_POLICY": "PASSIVE"}
    assert told(3, OPENBLAS_NUM_THREADS="1")["OPENBLAS_NUM_THREADS"] == "1"
    assert told(3, OPENBLAS_NUM_THREADS="1")["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000\n", 8), ("200000 100000\n", 2), ("150000 100000\n", 2), ("5000 100000\n", 1)]
)
def test_a_container_that_gets_the_time_of_few_cores_has_few_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(threads, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(threads, "_physical_cores", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    assert usable_cores() == cores


def test_a_process_that_may_use_few_cores_has_few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_physical_cores", lambda: 8)
    monkeypatch.setattr(threads, "_quota", lambda: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    assert usable_cores() == 1


def test_the_engine_tells_them_before_torch_is_there_and_a_setting_counts(tmp_path: Path) -> None:
    (tmp_path / "safelight.toml").write_text("threads = 1\n")
    script = (
        "import os, pathlib, sys\n"
        "from engine.__main__ import make_app\n"
        f"make_app(pathlib.Path({str(tmp_path)!r}))\n"
        "assert 'torch' not in sys.modules\n"
        "import torch\n"
        "print(torch.get_num_threads(), os.environ['OMP_WAIT_POLICY'])"
    )
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "OPENBLAS_", "GOMP_"))}
    done = subprocess.run([sys.executable, "-c", script], env=bare, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "PASSIVE"]
