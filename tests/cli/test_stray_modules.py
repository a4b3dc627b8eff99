"""Files that lie about in the current folder, named like modules of the standard library, are no part of any program of ours."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.processes import python_command, python_environment

ROOT = Path(__file__).resolve().parents[2]
STRAYS = ("timeit", "signal", "threading", "queue", "wave", "colorsys", "msgspec", "torch", "numpy")


@pytest.fixture
def littered(base: Any) -> Any:
    """A base directory, and current folder, with modules that tell when they are imported."""
    for name in STRAYS:
        base.write(f"{name}.py", f"open({str(base.folder / 'stray.txt')!r}, 'a').write({name!r})\nraise ImportError\n")
    base.write("custom_nodes/asks.py", "import colorsys, timeit, wave\nNODE_CLASS_MAPPINGS = {}\n")
    return base


@pytest.mark.parametrize("command", [("nodes",), ("doctor", "--port", "0"), ("pack", "test", "custom_nodes/asks.py")])
def test_a_command_does_not_run_them(littered: Any, command: tuple[str, ...]) -> None:
    done = littered.json(*command, code=1 if command[0] == "pack" else 0)
    assert not (littered.folder / "stray.txt").exists()
    problems = [
        one for one in done.get("findings", done.get("problems")) if "asks" in str(one) and "import" in str(one)
    ]
    assert not [one for one in problems if "cannot" in str(one) or "ImportError" in str(one)]


def test_a_program_that_the_engine_starts_does_not_run_them(littered: Any) -> None:
    """The worker is started so; an empty entry in PYTHONPATH stands for the current folder."""
    done = subprocess.run(
        python_command("-c", "import signal, timeit, wave, nodes, engine.processes; print(nodes.__file__)"),
        cwd=littered.folder,
        env=python_environment(littered.environment(PYTHONPATH=f"{os.pathsep}{ROOT}")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(ROOT / "nodes" / "__init__.py")
    assert not (littered.folder / "stray.txt").exists()


def test_what_a_pack_prints_is_no_part_of_a_json_answer(base: Any) -> None:
    base.write("custom_nodes/loud.py", "print('hello from a pack')\nNODE_CLASS_MAPPINGS = {}\n")
    asked = base.run("nodes", "--json")
    assert asked.out.startswith("{")
    assert "hello from a pack" in asked.said
