"""What `make` leaves alone, and what it tells."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def make(tmp_path: Path):
    """Run make in a folder of its own that has our Makefile."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)

    def make(*arguments: str) -> str:
        done = subprocess.run(["make", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout

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


def test_set_up_says_what_comes_and_how_far_it_is(make) -> None:
    told = make("--dry-run", "setup")
    assert "PyTorch" in told
    installs = [line for line in told.splitlines() if "pip install" in line]
    assert len(installs) == 2
    assert all("--progress-bar on" in line and "--quiet" not in line for line in installs)
