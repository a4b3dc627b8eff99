"""What `safelight pack test` finds in the files of a pack."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Final

from engine.cli.findings import Finding
from engine.cli.pack_report import counted
from engine.graph.schema import NodeSpec
from engine.plugins.packs import ModuleFile
from engine.sources import Sources

EDITOR_MODULE: Final = "safelight.js"
_FEW: Final = 5


def syntax_findings(file: ModuleFile) -> list[Finding]:
    """Files that are no Python; what the pack's own file says, its import tells."""
    found = []
    for _, path in file.files:
        if path == file.path:
            continue
        try:
            ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = f" line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            text = f"{path}{line}: {type(error).__name__}: {getattr(error, 'msg', error)}"
            found.append(Finding("source", "warn", text, "Whatever imports it fails."))
        except OSError as error:
            found.append(Finding("source", "warn", f"{path} cannot be read: {error}", "Let this user read it."))
    return found


def version_findings(file: ModuleFile, specs: Iterable[NodeSpec]) -> Iterator[Finding]:
    """Whether the engine notices when the code of a node changes."""
    sources = Sources(dict(file.files), {})
    try:
        version = sources.code_digest(name for name, _ in file.files)
    except (OSError, RecursionError) as error:
        yield Finding("source", "fail", f"the source cannot be read: {error}", "Without it nobody notices a change.")
        return
    counts = counted(len(file.files), "file")
    yield Finding("source", "ok", f"a change in its {counts} makes results of its nodes void (now {version[:8]})")
    outside = [spec for spec in specs if spec.module not in dict(file.files)]
    if outside:
        listed = few(f"{spec.name} ({spec.module})" for spec in outside)
        advice = "A change there is not noticed: define the node's function or class in a file of the pack."
        yield Finding("source", "warn", f"the code of {listed} is not in the pack's files", advice)


def web_findings(file: ModuleFile, module: ModuleType, web: str) -> Iterator[Finding]:
    """Whether the folder with files for editors is there."""
    named = getattr(module, "WEB_DIRECTORY", None)
    if named is None:
        return
    if not web:
        text = f"WEB_DIRECTORY is {named!r}, and {file.path.parent} has no such folder"
        yield Finding("web", "fail", text, "Make the folder, or remove the name.")
        return
    names = sorted(path.relative_to(web).as_posix() for path in Path(web).rglob("*.js"))
    ours = f", and {EDITOR_MODULE} for our editor" if EDITOR_MODULE in names else ""
    others = len([name for name in names if name != EDITOR_MODULE])
    yield Finding("web", "ok", f"{counted(others, 'script')} for front ends of the field{ours}")


def importing_line(frame: FrameType | None, root: Path) -> str:
    """The innermost line of a file below `root` among the callers of `frame`; "" when there is none."""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(root):
            return f"{path.relative_to(root)} line {frame.f_lineno}"
        frame = frame.f_back
    return ""


def few(names: Iterable[str]) -> str:
    """Some names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - _FEW} more" if len(listed) > _FEW else ""
    return ", ".join(listed[:_FEW]) + more
