"""`safelight run` and `safelight validate`."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from engine.cli import exits
from engine.cli.exits import CliError
from engine.cli.graph_source import check_graph, invalid, open_graph, tell_broken_packs
from engine.cli.reports import make_report
from engine.cli.terminal import aside, put, put_json, say
from engine.graph.problems import render

if TYPE_CHECKING:
    from engine.cli.app import App
    from engine.cli.calls import Caller
    from engine.cli.reports import Report
    from engine.cli.run_parts import Runner
    from engine.execute.cancel import CancelToken
    from engine.plugins.library import Library

T = TypeVar("T")


def run(app: App, options: argparse.Namespace) -> int:
    """Run a workflow; returns OK, FAILED or INTERRUPTED. Raises CliError before anything ran."""
    runner = _runner(app, options)
    with asyncio.Runner() as loop:
        try:
            _waited(loop, runner.open())
            if options.help_of_workflow:
                return _help(runner, options)
            report = make_report(options)
            if options.watch:
                return _watch(app, runner, loop, options, report)
            caller = runner.caller()  # outside of the loop, so that Ctrl-C ends reading from standard input
            return _waited(loop, _pass(runner, options, report, caller=caller))
        finally:
            loop.run(runner.close())


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
    def load_library() -> Library:
        with aside():
            return app.load_library()

    if options.server is not None:
        from engine.cli.remote import Remote

        return Remote(app, options, lambda: load_library().catalogue)
    from engine.cli.local import Local

    return Local(app, load_library(), options)


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


async def _pass(
    runner: Runner,
    options: argparse.Namespace,
    report: Report,
    began: Callable[[Caller], None] = lambda caller: None,
    cancel: CancelToken | None = None,
    caller: Caller | None = None,
) -> int:
    """Run the workflow, or its sweep, as it is now; returns the exit code. Raises CliError before anything ran."""
    caller = caller or runner.caller()
    if options.sweep:
        from engine.cli.sweep import run_sweep, swept

        try:
            sweep = swept(caller, options)
        finally:
            began(caller)
        return (await run_sweep(runner, caller, sweep, report, options, cancel)).code
    try:
        call = caller.call(caller.bind(options.given))
    finally:
        began(caller)
    display = report.display(call)
    with aside(), display:
        ran = await runner.run(call, display, cancel)
    report.ended(ran)
    return ran.code


def _watch(app: App, runner: Runner, loop: asyncio.Runner, options: argparse.Namespace, report: Report) -> int:
    from engine.cli.watch import check_watched, watch

    workflow = check_watched(options, app.paths)

    def run(began: Callable[[Caller], None], cancel: CancelToken) -> Coroutine[Any, Any, int]:
        return _pass(runner, options, report, began, cancel)

    _waited(loop, watch(workflow, run, report, app.paths))
    return exits.OK


def _waited(loop: asyncio.Runner, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives. A signal that ends the program lets everything that waits come to its end first."""
    try:
        return loop.run(work)
    except KeyboardInterrupt:
        loop.run(_end_of_others())
        raise


async def _end_of_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
