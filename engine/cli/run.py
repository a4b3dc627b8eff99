"""`safelight run` and `safelight validate`."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.cli import exits
from engine.cli.display import make_display
from engine.cli.exits import CliError
from engine.cli.graph_source import Graph, check_graph, invalid, open_graph
from engine.cli.outcome import as_json, copied, failure_lines, outputs_of, summary
from engine.cli.terminal import aside, put, put_json, say
from engine.graph.problems import render

if TYPE_CHECKING:
    from engine.cli.app import App
    from engine.execute.result import RunResult
    from engine.graph.problems import Problem
    from engine.graph.validate import Checked
    from engine.plugins.library import Library


def run(app: App, options: argparse.Namespace) -> int:
    """Run a workflow; returns OK, FAILED or INTERRUPTED. Raises CliError before anything ran."""
    with aside():
        library = app.load_library()
    graph, checked = _sound_graph(app, library, options, partial=options.partial)
    if checked.problems:
        say(render(checked.problems))
    result = _execute(app, library, graph, checked, options)
    outputs = outputs_of(result, app.paths)
    if options.out is not None:
        outputs = copied(outputs, Path(options.out).expanduser().absolute())
    if options.json:
        put_json(as_json(result, outputs, checked.problems, graph.prompt) | {"notes": graph.notes})
    for failure in result.failures:
        title = titles(graph.prompt).get(failure.display_node, failure.class_type)
        say("\n".join(failure_lines(failure, title, options.debug)))
    if not options.json:
        say(summary(result.counts))
        for output in outputs:
            put(output.path or output.text)
    return {"done": exits.OK, "failed": exits.FAILED}.get(result.status, exits.INTERRUPTED)


def validate(app: App, options: argparse.Namespace) -> int:
    """Check a workflow; returns OK. Raises CliError INVALID with every problem."""
    with aside():
        library = app.load_library()
    graph, checked = _sound_graph(app, library, options, partial=False)
    if options.json:
        told = msgspec.to_builtins(checked.problems)
        facts = {"nodes": len(checked.prompt), "outputs": checked.outputs, "problems": told, "notes": graph.notes}
        put_json({"status": "sound", **facts})
    else:
        if checked.problems:
            say(render(checked.problems))
        nodes, outputs = len(checked.prompt), len(checked.outputs)
        put(f"{graph.name} is sound: {nodes} node{'s' * (nodes != 1)}, {outputs} output{'s' * (outputs != 1)}.")
    return exits.OK


def titles(prompt: dict[str, Any]) -> dict[str, str]:
    """What to call each node: its title, else its type."""
    return {
        node: str((entry.get("_meta") or {}).get("title") or entry.get("class_type", node))
        for node, entry in prompt.items()
    }


def _sound_graph(app: App, library: Library, options: argparse.Namespace, *, partial: bool) -> tuple[Graph, Checked]:
    """The graph that the options mean, checked. Raises CliError INVALID when it has a problem (`partial`: no sound output)."""
    graph = open_graph(options.workflow, options.values, app.paths, library.catalogue)
    if graph.notes:
        say(render(graph.notes))
    checked = check_graph(graph, app.paths, library.catalogue, options.only)
    if any(one.stops for one in checked.problems) and not (partial and checked.outputs):
        _tell_broken_packs(library, checked.problems)
        raise invalid(graph.name, checked.problems)
    return graph, checked


def _tell_broken_packs(library: Library, problems: Sequence[Problem]) -> None:
    """A missing node may be in a pack that failed to load."""
    if any(problem.type == "missing_node_type" for problem in problems):
        for broken in library.problems:
            say(f"Node pack {broken.pack} is not whole: {broken.message}")


def _execute(app: App, library: Library, graph: Graph, checked: Checked, options: argparse.Namespace) -> RunResult:
    logging.getLogger("engine.cache").addHandler(logging.NullHandler())  # its warnings come as events of the run
    cache = app.open_cache(not options.no_cache)
    executor = app.open_executor(library, cache)
    display = make_display(titles(graph.prompt), quiet=options.quiet or options.json)
    library.on_import = display.importing
    try:
        with aside(), display:
            return executor.run_sync(
                checked.prompt, checked.outputs, sink=display, prompt_json=graph.prompt, workflow=graph.workflow
            )
    finally:
        executor.close()
        cache.close()


def refusal_json(error: CliError) -> dict[str, Any]:
    """The document that `--json` prints when the command was refused."""
    facts = {key: msgspec.to_builtins(value) for key, value in error.facts.items()}
    return {"status": "error", "code": error.code, "message": str(error), **facts}
