"""What `make` leaves alone, and what it tells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOLD_BY_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "VENV", "PYTHON")


@pytest.fixture
def make(tmp_path: Path):
    """Run make in a folder of its own that has our Makefile."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)

    # What the make told that runs these tests is not for this one: `make VENV=… test` would have its own environment cleaned away.
    environment = {name: value for name, value in os.environ.items() if name not in TOLD_BY_MAKE}

    def make(*arguments: str) -> str:
        told = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
        return subprocess.run(["make", *arguments], check=True, **told).stdout

    return make


def test_clean_takes_away_only_what_can_be_made_again(make, tmp_path: Path) -> None:
    kept = ("output/a.png", "input/b.png", "user/jobs.db", "models/vae/c.safetensors", ".safelight/training/d/e")
    gone = (".venv/bin/python", ".safelight/cache/cache.sqlite", "temp/f.png")
    for name in (*kept, *gone):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    make("clean")
    assert [name for name in kept if not (tmp_path / name).is_file()] == []
    assert [name for name in gone if (tmp_path / name).exists()] == []


def test_what_the_surrounding_make_was_told_is_not_cleaned_away(tmp_path: Path) -> None:
    """As CI runs the tests: from a make that was given an environment elsewhere."""
    elsewhere = tmp_path / "environment" / "bin"
    elsewhere.mkdir(parents=True)
    told = {**os.environ, "MAKEFLAGS": f" -- VENV={elsewhere.parent}"}
    code = (
        "import sys, pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', sys.argv[1], '-k', 'clean_takes']))"
    )
    subprocess.run([sys.executable, "-c", code, __file__], cwd=ROOT, env=told, capture_output=True, check=True)
    assert elsewhere.is_dir()


def test_set_up_says_what_comes_and_how_far_it_is(make) -> None:
    told = make("--dry-run", "setup")
    assert "PyTorch" in told
    installs = [line for line in told.splitlines() if "pip install" in line]
    assert len(installs) == 2
    assert all("--progress-bar on" in line and "--quiet" not in line for line in installs)


def test_without_a_registry_the_server_starts_all_the_same_and_it_is_not_asked_again(make, tmp_path: Path) -> None:
    command = tmp_path / ".venv" / "bin" / "safelight"
    for file in (command, tmp_path / ".venv" / ".safelight-set-up", tmp_path / "engine" / "models" / "pinned.py"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    command.write_text("#!/bin/sh\necho $*\nexit 4\n")
    command.chmod(0o755)
    assert make(".venv/.safelight-tokenizers").splitlines()[:2] == [
        "tokenizers fetch",
        "Going on without. To try again: .venv/bin/safelight tokenizers fetch",
    ]
    assert "fetch" not in make(".venv/.safelight-tokenizers")
    assert "The tests that read tokenizers will fail." in make("tokenizers")
    assert "fetch --into .venv/tokenizers" in make("tokenizers")
