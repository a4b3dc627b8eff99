"""Mutation tests: small bugs put into the code on purpose, and whether the tests that should notice each one do.

    python benchmarks/mutants.py                       every mutant of `tests/mutants/*.toml`
    python benchmarks/mutants.py --package cache       those of one file there
    python benchmarks/mutants.py --name "end exclusive"

A mutant is a line changed in a copy of the tree, never in the tree itself. Its own tests are run there, in a process forked
from this one, which has imported what the tests import of others' code; the code under test is imported anew each time. The
same tests must pass first without the change. The exit status is 1 when fewer than 95 in 100 of a package are caught, 2 when
the tests do not pass as it is.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}

ROOT = Path(__file__).resolve().parents[1]
GOAL = 0.95
BASELINE_LIMIT = 240.0
"""Seconds for one entry of `tests` without a mutant."""

CAUGHT, SURVIVED, HUNG, BROKEN, STALE = "caught", "survived", "hung", "broken", "stale"
"""A test failed | all passed | no end in time | the tests could not start | the line is not there (once) any more."""

OURS = ("engine", "nodes", "tests", "custom_nodes", "conftest", "__main__", "web", "benchmarks")
"""Never imported before the fork."""

_SLOW_TO_END = ("-p", "no:unraisableexception", "-p", "no:threadexception")
"""Plugins of pytest that collect garbage several times at its end, and fail no test."""


@dataclass(frozen=True)
class Mutant:
    """`old`, which occurs once in `file`, replaced by `new`; `tests` are pytest's node ids. `hangs`: no end counts as caught."""

    package: str
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    hangs: bool = False


EDITOR: Final = "engine/server/editor"


@dataclass
class Outcome:
    """How the tests of a mutant, or of none, ended: one of the words above, and the test that told."""

    kind: str
    by: str = ""
    seconds: float = 0.0
    modules: list[str] = field(default_factory=list, repr=False)
    """What the process had imported at its end."""
    output: str = field(default="", repr=False)
    """The last that it wrote."""


def load(folder: Path) -> list[Mutant]:
    """All mutants of a folder's `PACKAGE.toml` files. Raises ValueError for one that says the same name twice."""
    found = []
    for path in sorted(folder.glob("*.toml")):
        entries = tomllib.loads(path.read_text())["mutant"]
        found += [Mutant(path.stem, **{**entry, "tests": tuple(entry["tests"])}) for entry in entries]
    twice = [name for name, times in Counter((one.package, one.name) for one in found).items() if times > 1]
    if twice:
        raise ValueError(f"Two mutants have one name: {twice}. Names are what the result is told by.")
    return found


# -- trees


class Tree:
    """A copy of a tree to change files in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, source: Path, folder: Path) -> Tree:
        """Copy what git knows of `source`, and what it does not ignore, compiled."""
        listed = ["git", "-C", str(source), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
        for name in filter(None, names):
            if (source / name).is_file() and not name.startswith("web/"):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, target)
        if (source / EDITOR).is_dir():  # built, so git does not know it
            shutil.copytree(source / EDITOR, folder / EDITOR)
        for package in ("engine", "nodes"):  # by hash: a change within the same second and of the same size is seen
            compiled = ["-m", "compileall", "-q", "--invalidation-mode", "checked-hash", package]
            subprocess.run([sys.executable, *compiled], cwd=folder, check=False)
        return cls(folder)

    def copied(self, folder: Path) -> Tree:
        """Another copy."""
        shutil.copytree(self.folder, folder)
        return Tree(folder)

    @contextlib.contextmanager
    def changed(self, mutant: Mutant | None) -> Iterator[bool]:
        """The tree with a mutant in it; False when its line is not there, or more than once."""
        if mutant is None:
            yield True
            return
        path = self.folder / mutant.file
        text = path.read_text() if path.is_file() else ""
        if text.count(mutant.old) != 1:
            yield False
            return
        path.write_text(text.replace(mutant.old, mutant.new))
        try:
            yield True
        finally:
            path.write_text(text)


# -- runs


class _Watch:
    """A pytest plugin that tells what failed: a test, or its collection.

    Tests of random examples are left out, unless `named` says one by its name: what they notice depends on chance.
    """

    def __init__(self, named: tuple[str, ...]) -> None:
        self._named = named
        self.failed = ""
        self.uncollected = ""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [one for one in items if not self._is_random(one) or one.nodeid.startswith(self._named)]

    @staticmethod
    def _is_random(item: Any) -> bool:
        return bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.uncollected:
            self.uncollected = report.nodeid or "collection"


def _child(tree: Path, tests: tuple[str, ...], result: Path) -> None:
    """Run tests in the forked process, and write down how they ended."""
    import pytest

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setsid()
    output = os.open(result.with_suffix(".log"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(tree)
    os.environ |= {"PYTHONPATH": str(tree), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    sys.path[0] = str(tree)
    watch = _Watch(tuple(test for test in tests if "::" in test))
    code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *_SLOW_TO_END, *tests], plugins=[watch])
    kind = {0: SURVIVED, 1: CAUGHT}.get(int(code), BROKEN)
    if watch.uncollected:
        kind = BROKEN
    outcome = {"kind": kind, "by": watch.uncollected or watch.failed, "modules": _of_others()}
    result.write_text(json.dumps(outcome))


def _of_others() -> list[str]:
    """Imported modules that lie in installed packages."""
    places = ("site-packages", "lib/python", "lib-dynload")
    found = []
    for name, module in list(sys.modules.items()):
        file = str(getattr(module, "__file__", None) or "")
        if name.split(".")[0] not in OURS and any(place in file for place in places):
            found.append(name)
    return found


@dataclass
class _Running:
    process: int
    mutant: Mutant | None
    tests: tuple[str, ...]
    tree: Tree
    result: Path
    started: float
    limit: float
    change: contextlib.ExitStack


class Runner:
    """Runs tests in forked processes, one per tree at a time."""

    def __init__(self, trees: list[Tree], scratch: Path) -> None:
        self._free = list(trees)
        self._scratch = scratch
        self._running: list[_Running] = []
        self._count = 0
        self._warm: set[str] = set()

    def run(
        self,
        work: Iterable[tuple[Mutant | None, tuple[str, ...], float]],
        told: Callable[[Mutant | None, tuple[str, ...], Outcome], None],
    ) -> None:
        """Run (mutant or none, its tests, seconds it may take), each told when it has ended."""
        waiting = list(work)[::-1]
        try:
            while waiting or self._running:
                while waiting and self._free:
                    mutant, tests, limit = waiting.pop()
                    if not self._start(mutant, tests, limit):
                        told(mutant, tests, Outcome(STALE))
                for one in [one for one in self._running if self._has_ended(one)]:
                    self._running.remove(one)
                    self._free.append(one.tree)
                    told(one.mutant, one.tests, self._end(one))
                time.sleep(0.02)
        finally:  # ended from outside
            for one in self._running:
                os.killpg(one.process, signal.SIGKILL)

    def _start(self, mutant: Mutant | None, tests: tuple[str, ...], limit: float) -> bool:
        tree = self._free.pop()
        change = contextlib.ExitStack()
        if not change.enter_context(tree.changed(mutant)):
            self._free.append(tree)
            return False
        self._count += 1
        result = self._scratch / f"{self._count}.json"
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            try:
                _child(tree.folder, tests, result)
            finally:
                os._exit(0)
        self._running.append(_Running(process, mutant, tests, tree, result, time.monotonic(), limit, change))
        return True

    def _has_ended(self, one: _Running) -> bool:
        if os.waitpid(one.process, os.WNOHANG)[0]:
            return True
        if time.monotonic() - one.started < one.limit:
            return False
        os.killpg(one.process, signal.SIGKILL)
        os.waitpid(one.process, 0)
        return True

    def _end(self, one: _Running) -> Outcome:
        one.change.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(one.process, signal.SIGKILL)  # what a test has left behind
        taken = time.monotonic() - one.started
        log = one.result.with_suffix(".log")
        output = log.read_text(errors="replace")[-2000:] if log.is_file() else ""
        log.unlink(missing_ok=True)
        if not one.result.is_file():
            return Outcome(HUNG if taken >= one.limit else BROKEN, seconds=taken, output=output)
        found = Outcome(**json.loads(one.result.read_text()), seconds=taken, output=output)
        one.result.unlink()
        self._import(found.modules)
        return found

    def _import(self, modules: list[str]) -> None:
        """Import what tests needed of others' packages, so that the next process has it from the start."""
        for name in modules:
            if name not in self._warm and name not in sys.modules:
                self._warm.add(name)
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
        gc.freeze()  # or every process collects what all of them share


# -- the whole


def judge(
    mutants: list[Mutant], root: Path, jobs: int, scratch: Path, say: Callable[[str], None]
) -> dict[Mutant, Outcome]:
    """How each mutant ended. Raises ValueError when tests fail without a mutant."""
    first = Tree.of(root, scratch / "tree0")
    trees = [first, *(first.copied(scratch / f"tree{number}") for number in range(1, jobs))]
    runner = Runner(trees, scratch)
    baseline: dict[str, Outcome] = {}
    entries = list(dict.fromkeys(test for one in mutants for test in one.tests))
    say(f"{len(mutants)} mutants, {len(entries)} files of tests; first these without a mutant")
    runner.run(
        [(None, (entry,), BASELINE_LIMIT) for entry in entries], lambda _, tests, end: baseline.update({tests[0]: end})
    )
    failed = {entry: end for entry, end in baseline.items() if end.kind != SURVIVED}
    if failed:
        told_of = [f"{entry}: {end.kind} {end.by}\n{end.output}" for entry, end in failed.items()]
        raise ValueError("Without a mutant these tests do not pass.\n" + "\n".join(told_of))
    ends: dict[Mutant, Outcome] = {}

    def told(mutant: Mutant | None, tests: tuple[str, ...], end: Outcome) -> None:
        assert mutant is not None
        ends[mutant] = end
        say(f"  {end.kind:9}{end.seconds:5.1f} s  {mutant.package}: {mutant.name}{f'  ({end.by})' if end.by else ''}")

    limits = {one: 20.0 + 5 * sum(baseline[test].seconds for test in one.tests) for one in mutants}
    runner.run([(one, one.tests, limits[one]) for one in mutants], told)
    return {one: ends[one] for one in mutants}


def is_caught(mutant: Mutant, end: Outcome) -> bool:
    """Whether the tests noticed; hanging counts where that is what the mutant does."""
    return end.kind == CAUGHT or (end.kind == HUNG and mutant.hangs)


def table(ends: dict[Mutant, Outcome]) -> str:
    """A row per package, and the names of what was not caught."""
    lines = ["| package | mutants | caught | share |", "| --- | --- | --- | --- |"]
    packages = sorted({one.package for one in ends})
    for package in [*packages, "all"]:
        chosen = [one for one in ends if package in (one.package, "all")]
        caught = sum(is_caught(one, ends[one]) for one in chosen)
        lines.append(f"| {package} | {len(chosen)} | {caught} | {caught / len(chosen):.1%} |")
    missed = [
        f"  {ends[one].kind}: {one.package}: {one.name} ({one.file})" for one in ends if not is_caught(one, ends[one])
    ]
    return "\n".join([*lines, *(["not caught:", *missed] if missed else [])])


def least_share(ends: dict[Mutant, Outcome]) -> float:
    """The share that is caught in the package where it is least."""
    packages = {one.package for one in ends}
    shares = [[is_caught(one, end) for one, end in ends.items() if one.package == package] for package in packages]
    return min(sum(share) / len(share) for share in shares)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Put small bugs into the code, and see whether the tests notice.")
    parser.add_argument("--package", action="append", help="only those of tests/mutants/PACKAGE.toml; may be repeated")
    parser.add_argument("--name", help="only those with this in their name")
    parser.add_argument("--jobs", type=int, default=2, help="how many at the same time (2)")
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree to test")
    chosen = parser.parse_args(arguments)
    mutants = [
        one
        for one in load(chosen.root / "tests" / "mutants")
        if (not chosen.package or one.package in chosen.package) and (chosen.name or "") in one.name
    ]
    if not mutants:
        print("There are no such mutants.")
        return 2
    started = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        try:
            ends = judge(mutants, chosen.root, min(chosen.jobs, len(mutants)), Path(scratch), print)
        except ValueError as error:
            print(error)
            return 2
    print(f"\n{table(ends)}\n{time.monotonic() - started:.0f} s")
    return 0 if least_share(ends) >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
