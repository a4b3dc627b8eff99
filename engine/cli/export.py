"""`safelight export`: a graph in another of its forms, and the nodes for type checkers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.cli.exits import CliError
from engine.cli.graph_source import Graph, open_graph
from engine.cli.terminal import aside, put, say
from engine.graph.problems import render

if TYPE_CHECKING:
    from engine.cli.app import App
    from engine.graph.schema import Catalogue

FORMS = ("python", "prompt", "workflow")


def export(app: App, options: argparse.Namespace) -> int:
    """Write a graph as Python, prompt or workflow; returns OK. Raises CliError: USAGE, UNREADABLE, INVALID."""
    if (options.workflow is None) != options.stubs:
        raise CliError(exits.USAGE, "export takes a workflow, or --stubs for the nodes: one of the two.")
    with aside():
        library = app.stored_library(False) or app.load_library()
    if options.stubs:
        from engine.graph.stubs import stubs

        return _written(stubs(library.catalogue), options.out)
    graph = open_graph(options.workflow, options.values, app.paths, library.catalogue)
    if told := [*graph.problems, *graph.notes]:
        say(render(told))
    return _written(_text(graph, options.to, library.catalogue), options.out)


def _text(graph: Graph, form: str, catalogue: Catalogue) -> str:
    if form == "prompt":
        return json.dumps(graph.prompt, indent=2, ensure_ascii=False) + "\n"
    if form == "workflow":
        from engine.graph.layout import prompt_to_workflow

        workflow = graph.workflow if graph.workflow is not None else prompt_to_workflow(graph.prompt, catalogue)
        return json.dumps(workflow, indent=2, ensure_ascii=False) + "\n"
    from engine.graph.script_write import script

    return script(graph.prompt, catalogue, graph.workflow, graph.name)


def _written(text: str, out: str | None) -> int:
    if out is None:
        put(text.rstrip("\n"))
        return exits.OK
    path = Path(out).expanduser()
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise CliError(exits.UNREADABLE, f"Cannot write {path}: {error.strerror or error}.") from error
    say(f"Wrote {path}.")
    return exits.OK
