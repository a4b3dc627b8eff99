"""The process in which `safelight pack test` has a pack: imports it, and tells what is wrong with it."""

from __future__ import annotations

import faulthandler
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from engine.authoring.definition import read_result
from engine.cli import pack_checks, pack_sources
from engine.cli.findings import Finding, State
from engine.cli.pack_report import Report, Request, counted, types_of, write_report
from engine.plugins.adapters import ADAPTERS
from engine.plugins.before_packs import is_of_the_field
from engine.plugins.loader import Loaded, NodeLoadError, load_module
from engine.plugins.packs import ModuleFile, pack_at, package_modules
from engine.plugins.preparation import preparation

SLOW_SECONDS: Final = 5.0

_TELL_AT: Final = 0.9
"""The part of the time that is left, after which the process prints where it stands."""

_NO_PACK: Final = "A pack is a folder with an __init__.py, or a .py file."


def main(request_file: str) -> None:
    """Examine the pack that the file asks for, and end the process whatever threads the pack has started."""
    request = msgspec.json.decode(Path(request_file).read_bytes(), type=Request)
    faulthandler.dump_traceback_later(max(0.05, (request.deadline - time.time()) * _TELL_AT))
    report, written = Report(), Path(request.report)
    for doing, found in _examination(request, report):
        report.doing = doing
        report.findings += found
        write_report(written, report)
    report.complete = True
    write_report(written, report)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _examination(request: Request, report: Report) -> Iterator[tuple[str, list[Finding]]]:
    """(What is done next, what was found until now), so that it is known where a process ended."""
    file = pack_at(Path(request.path))
    if file is None:
        yield "looking for its files", [Finding("import", "fail", f"{request.path} is no pack", _NO_PACK)]
        return
    yield "importing it", pack_sources.syntax_findings(file)
    watch = _TorchWatch(file.path.parent)
    sys.meta_path.insert(0, watch)
    loaded, found = _imported(file, request)
    yield "looking at its nodes", found
    if loaded is None:
        return
    report.nodes = sorted(loaded.definitions)
    module = sys.modules[file.module]
    specs = [one.spec for one in loaded.definitions.values()]
    yield "looking at its declarations", [*_torch_finding(loaded, file, watch.place), *_of_loading(loaded, module)]
    names, types = (set(request.core_nodes), set(request.core_types)) if request.core_nodes else _core()
    yield "encoding its values", [*pack_checks.schema_findings(specs, names, types)]
    yield "looking at its files", [*pack_checks.value_findings(_own_modules(file))]
    yield "ending", [*pack_sources.version_findings(file, specs), *pack_sources.web_findings(file, module, loaded.web)]


def _imported(file: ModuleFile, request: Request) -> tuple[Loaded | None, list[Finding]]:
    """Import it as the engine does, alone, in a base directory with nothing in it."""
    from engine.paths import Paths

    base = Path(request.base)
    base.mkdir(parents=True, exist_ok=True)
    problems = preparation(Paths(base))([file])
    found = [Finding("import", "fail", text, "Mend the script, or remove it.") for text in problems.values()]
    began = time.perf_counter()
    try:
        loaded = load_module(file, ADAPTERS)
    except NodeLoadError as error:
        return None, [*found, Finding("import", "fail", str(error), _advice(request, str(error)))]
    seconds = time.perf_counter() - began
    state: State = "ok"
    advice = ""
    if seconds > SLOW_SECONDS:
        state, advice = "warn", "Every start waits for it. Import what is slow inside the functions that use it."
    found.append(Finding("import", state, f"imports alone, in {seconds:.2f} s", advice))
    found += [Finding("import", "warn", note, "") for note in loaded.notes]
    return loaded, found


def _advice(request: Request, problem: str) -> str:
    """What to do about an import that fails."""
    if "ModuleNotFoundError: " not in problem:
        return "What it printed last has the whole traceback."
    wanted = Path(request.path) / "requirements.txt"
    return f"pip install -r {wanted}" if wanted.is_file() else "Look too at how the name is spelt."


def _of_loading(loaded: Loaded, module: ModuleType) -> Iterator[Finding]:
    for problem in loaded.problems:
        yield Finding("nodes", "fail", problem, "The other nodes of the pack work.")
    routes = len(loaded.routes) + len(_field_routes())
    if not loaded.definitions and not loaded.web and not routes and not loaded.problems:
        advice = (
            "Decorate a function with @node and import it in the pack's own file, or fill NODE_CLASS_MAPPINGS there."
        )
        yield Finding("nodes", "fail", f"{module.__name__} has no nodes, files for the editor, or routes", advice)
    if loaded.definitions:
        yield Finding("nodes", "ok", counted(len(loaded.definitions), "node"))
    if routes:
        yield Finding("routes", "ok", counted(routes, "route"))


def _field_routes() -> list[Any]:
    server = sys.modules.get("server")
    instance = getattr(getattr(server, "PromptServer", None), "instance", None)
    return list(instance.routes) if instance is not None else []


def _own_modules(file: ModuleFile) -> list[ModuleType]:
    return [one for name, one in list(sys.modules.items()) if f"{name}.".startswith(f"{file.module}.")]


def _torch_finding(loaded: Loaded, file: ModuleFile, place: str) -> list[Finding]:
    """Our own packs can do without torch until a node runs; packs of the field find it imported, as they do there."""
    if is_of_the_field(file):
        return [Finding("torch", "ok", "imported before the pack is, as for all packs of the field")]
    if "torch" not in sys.modules:
        return [Finding("torch", "ok", "not imported until a node runs")]
    where = f" ({place})" if place else ""
    if _is_native(loaded):
        advice = "Import it inside the functions that use it; for types write it under `if TYPE_CHECKING:`."
        return [Finding("torch", "fail", f"importing the pack imports torch{where}, which takes seconds", advice)]
    return [Finding("torch", "ok", f"importing the pack imports torch{where}, as a pack without nodes of ours may")]


def _is_native(loaded: Loaded) -> bool:
    """Whether it has nodes of our own style."""
    return any(one.read is read_result for one in loaded.definitions.values())


def _core() -> tuple[set[str], set[str]]:
    """Names and types of the built-in nodes, by importing them."""
    names: set[str] = set()
    types: set[str] = set()
    for file in package_modules("nodes"):
        loaded = load_module(file)
        names |= {*loaded.definitions, *loaded.aliases}
        for one in loaded.definitions.values():
            types |= types_of(one.spec)
    return names, types


class _TorchWatch:
    """Notes which line of the pack had torch imported first. Finds nothing itself."""

    def __init__(self, root: Path) -> None:
        self.place = ""
        self._root = root

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == "torch" and not self.place:
            self.place = pack_sources.importing_line(sys._getframe(1), self._root)


if __name__ == "__main__":
    main(sys.argv[1])
