"""Which modules import each other: none while they are loaded, and beyond that only the circles that are told of.

docs/architecture.md says why each of these is there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).parent.parent
TOLD = {
    "engine.plugins.compat": {
        "clip_vision",
        "controlnet",
        "guiders",
        "model_patcher",
        "sd",
        "steps",
        "upscale_models",
        "values",
    },
    "engine.plugins.adapters": {"", "v1", "v3"},
    "engine.authoring": {"context", "subgraph"},
    "engine.media": {"video", "video_methods", "video_writing"},
}
"""Package → modules of it that refer to each other within functions or for the type checker."""


def modules() -> dict[str, Path]:
    files = [file for package in ("engine", "nodes") for file in (ROOT / package).rglob("*.py")]
    return {dotted(file): file for file in files if "pack_template" not in file.parts}


def dotted(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(node: ast.AST, known: dict[str, Path], at_once: bool = True) -> Iterator[tuple[str, bool]]:
    """(module of ours, whether it is imported when the importing one is loaded) of everything below `node`."""
    for child in ast.iter_child_nodes(node):
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        later |= isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if isinstance(child, ast.Import):
            yield from ((one.name, at_once) for one in child.names if one.name in known)
        elif isinstance(child, ast.ImportFrom) and child.module is not None:
            for one in child.names:
                whole = f"{child.module}.{one.name}"
                yield (whole if whole in known else child.module), at_once
        else:
            yield from imports(child, known, at_once and not later)


def circles(*, at_once: bool) -> list[set[str]]:
    """Sets of modules that import each other; `at_once`: while they are loaded."""
    known = modules()
    graph = nx.DiGraph()
    for name, file in known.items():
        for other, loaded in imports(ast.parse(file.read_text(encoding="utf-8")), known):
            if other in known and other != name and (loaded or not at_once):
                graph.add_edge(name, other)
    return [found for found in nx.strongly_connected_components(graph) if len(found) > 1]


def test_no_two_modules_import_each_other_while_they_are_loaded() -> None:
    assert circles(at_once=True) == []


def test_other_circles_are_those_that_are_told_of() -> None:
    told = [{f"{package}.{name}".rstrip(".") for name in names} for package, names in TOLD.items()]
    found = circles(at_once=False)
    assert sorted(map(sorted, found)) == sorted(map(sorted, told))
