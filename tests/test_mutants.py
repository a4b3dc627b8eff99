"""The command that puts bugs into the code, on a tree of one function."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

COMMAND = Path(__file__).parents[1] / "benchmarks" / "mutants.py"
EMPTY = (("engine/__init__.py", ""), ("nodes/__init__.py", ""))
CODE = (
    "def largest(numbers):\n    return max(numbers, default=0)\n\n\ndef smallest(numbers):\n    return min(numbers)\n"
)
TESTS = """
from engine.numbers import largest

def test_largest():
    assert largest([1, 3, 2]) == 3
    assert largest([]) == 0
"""
MUTANTS = {
    "the wrong end": ("return max(numbers", "return min(numbers"),
    "another default": ("default=0", "default=1"),
    "what no test asks for": ("return min(numbers)", "return max(numbers)"),
    "no Python": ("def largest", "def !largest"),
    "a line that has gone": ("return sum(numbers)", "return 0"),
    "a line that is there twice": ("(numbers", "([]"),
}


def tree(folder: Path, tests: str = TESTS) -> Path:
    for name, text in (*EMPTY, ("engine/numbers.py", CODE), ("tests/test_numbers.py", tests)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    entries = [
        f'[[mutant]]\nname = "{name}"\nfile = "engine/numbers.py"\nold = "{old}"\nnew = "{new}"\n'
        'tests = ["tests/test_numbers.py"]\n'
        for name, (old, new) in MUTANTS.items()
    ]
    (folder / "tests" / "mutants").mkdir()
    (folder / "tests" / "mutants" / "numbers.toml").write_text("\n".join(entries))
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


def run(folder: Path, *options: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, COMMAND, "--root", folder, *options], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_bug_is_caught_where_a_test_fails_and_not_where_none_could_run(tmp_path: Path) -> None:
    status, told = run(tree(tmp_path))
    assert status == 1
    assert "| numbers | 6 | 2 | 33.3% |" in told
    assert told.partition("not caught:\n")[2].splitlines()[:-1] == [
        "  survived: numbers: what no test asks for (engine/numbers.py)",
        "  broken: numbers: no Python (engine/numbers.py)",
        "  stale: numbers: a line that has gone (engine/numbers.py)",
        "  stale: numbers: a line that is there twice (engine/numbers.py)",
    ]
    assert (tmp_path / "engine" / "numbers.py").read_text() == CODE


def test_it_ends_well_when_enough_are_caught_and_badly_when_the_tests_fail_anyway(tmp_path: Path) -> None:
    folder = tree(tmp_path)
    assert run(folder, "--name", "wrong end")[0] == 0
    (folder / "tests" / "test_numbers.py").write_text(TESTS.replace("== 3", "== 4"))
    status, told = run(folder, "--name", "wrong end")
    assert status == 2
    assert "tests/test_numbers.py: caught tests/test_numbers.py::test_largest" in told


def test_every_line_that_is_to_be_changed_is_in_the_code_once_and_its_tests_are_there():
    """A bug that cannot be put in is never noticed to be missed."""
    root, stale = COMMAND.parents[1], []
    for page in sorted((root / "tests" / "mutants").glob("*.toml")):
        for entry in tomllib.loads(page.read_text())["mutant"]:
            file = root / entry["file"]
            there = file.is_file() and file.read_text().count(entry["old"]) == 1
            tests = all((root / test.partition("::")[0]).exists() for test in entry["tests"])
            if not (there and tests):
                stale.append(f"{page.name}: {entry['name']}")
    assert stale == []
