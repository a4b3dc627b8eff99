"""`safelight run` and `safelight validate`."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from engine.cli import exits
from engine.cli.exits import CliError
from engine.cli.graph_source import check_graph, invalid, open_graph, tell_broken_packs
from engine.cli.reports import make_report
from engine.cli.terminal import aside, put, put_json, say
from engine.graph.problems import render

if TYPE_CHECKING:
    from engine.cli.app import App
    from engine.cli.run_parts import Runner


def run(app: App, options: argparse.Namespace) -> int:
    """Run a workflow; returns OK, FAILED or INTERRUPTED. Raises CliError before anything ran."""
    runner = _runner(app, options)
    try:
        if options.help_of_workflow:
            return _help(runner, options)
        return _sweep(runner, options) if options.sweep else _once(runner, options)
    finally:
        runner.close()


def validate(app: App, options: argparse.Namespace) -> int:
    """Check a workflow; returns OK. Raises CliError INVALID with every problem."""
    with aside():
        library = app.load_library()
    graph = open_graph(options.workflow, options.values, app.paths, library.catalogue)
    if graph.notes:
        say(render(graph.notes))
    checked = check_graph(graph, app.paths, library.catalogue, options.only)
    if any(one.stops for one in checked.problems):
        tell_broken_packs(library, checked.problems)
        raise invalid(graph.name, checked.problems)
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


def refusal_json(error: CliError) -> dict[str, Any]:
    """The document that `--json` prints when the command was refused."""
    facts = {key: msgspec.to_builtins(value) for key, value in error.facts.items()}
    return {"status": "error", "code": error.code, "message": str(error), **facts}


def _runner(app: App, options: argparse.Namespace) -> Runner:
    from engine.cli.local import Local

    with aside():
        library = app.load_library()
    return Local(app, library, options)


def _help(runner: Runner, options: argparse.Namespace) -> int:
    """Tell what the workflow takes and gives."""
    from engine.cli.signature_text import help_lines, signature_json

    caller = runner.caller()
    if options.json:
        put_json(signature_json(caller.graph.name, caller.signature, runner.choices))
        return exits.OK
    for line in help_lines(options.workflow, caller.signature, options.own_options, runner.choices):
        put(line)
    return exits.OK


def _once(runner: Runner, options: argparse.Namespace) -> int:
    caller = runner.caller()
    call = caller.call(caller.bind(options.given))
    report = make_report(options)
    display = report.display(call)
    with aside(), display:
        ran = asyncio.run(runner.run(call, display))
    report.ended(ran)
    return ran.code


def _sweep(runner: Runner, options: argparse.Namespace) -> int:
    from engine.cli.sweep import run_sweep, swept

    caller = runner.caller()
    sweep = swept(caller, options)
    return asyncio.run(run_sweep(runner, caller, sweep, make_report(options), options)).code
