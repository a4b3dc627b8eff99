"""From arguments to an exit code."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.cli import exits
from engine.cli.app import App
from engine.cli.exits import CliError
from engine.cli.folders import folders_of
from engine.cli.parser import make_parser, run_options
from engine.cli.terminal import put, put_json, say
from engine.config import Folders


def run_command(arguments: Sequence[str] | None, make_app: Callable[[Path, Folders], App]) -> int:
    """Parse `arguments` (None: those of the process), run the command, and return its exit code.

    `make_app` builds the engine around a base directory, of which some folders may be elsewhere. Every failure is told on
    stderr, with a traceback only under `--debug`; with `--json` it is also told on stdout, as JSON.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a terminal of few letters is no reason to fail
    parser = make_parser()
    try:
        options = _parsed(parser, sys.argv[1:] if arguments is None else arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else exits.USAGE
    if not getattr(options, "debug", False):  # tracebacks of packs are for logs; commands tell the problem in a line
        logging.getLogger("safelight.packs").addHandler(logging.NullHandler())
    if options.version:
        return _version()
    if options.command is None:
        parser.print_help(sys.stderr)
        return exits.USAGE
    try:
        code = _command(options.command)(make_app(base_directory(options.base_directory), folders_of(options)), options)
        sys.stdout.flush()
        return code
    except CliError as error:
        return _refused(error, options)
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    except KeyboardInterrupt:
        return _refused(CliError(exits.INTERRUPTED, "Interrupted. What was finished is kept."), options)
    except Exception as error:
        return _failed(error, options)


def _parsed(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """The options; those of `run` that its parser does not know are parameters of the workflow. Raises SystemExit."""
    if not words or words[0] != "run":
        return parser.parse_args(words)
    from engine.cli.call_options import sorted_words

    written = sorted_words(words[1:], run_options(parser))
    options = parser.parse_args(["run", *written.own])
    options.given, options.help_of_workflow = written.values, written.help_of_workflow
    return options


def base_directory(given: str | None) -> Path:
    """The base directory: the option, else $SAFELIGHT_BASE, else the current directory. Raises CliError when it is none."""
    named = given or os.environ.get("SAFELIGHT_BASE")
    if named and not Path(named).expanduser().is_dir():
        origin = "--base-directory" if given else "SAFELIGHT_BASE"
        raise CliError(exits.UNREADABLE, f"{origin}: there is no folder {named}. Make it first.")
    return Path(named).expanduser() if named else Path.cwd()


def _command(name: str) -> Callable[[App, argparse.Namespace], int]:
    """The function of a command; what another one needs is not imported."""
    if name in ("run", "validate"):
        from engine.cli.run import run, validate

        return run if name == "run" else validate
    if name == "export":
        from engine.cli.export import export

        return export
    if name in ("nodes", "workflows"):
        from engine.cli.listing import nodes, workflows

        return nodes if name == "nodes" else workflows
    if name == "serve":
        from engine.cli.serve import serve

        return serve
    if name == "mcp":
        from engine.cli.mcp import mcp

        return mcp
    if name == "worker":
        from engine.cli.worker import worker

        return worker
    if name == "doctor":
        from engine.cli.doctor import doctor

        return doctor
    if name == "provenance":
        from engine.cli.provenance import provenance

        return provenance
    if name == "pack":
        from engine.cli.pack import pack

        return pack
    if name == "train":
        from engine.cli.train import train

        return train
    if name == "token":
        from engine.cli.tokens import tokens

        return tokens
    if name == "tokenizers":
        from engine.cli.tokenizers import tokenizers

        return tokenizers
    from engine.cli.cache import cache

    return cache


def _version() -> int:
    from importlib.metadata import PackageNotFoundError, version

    try:
        put(f"safelight {version('safelight')}")
    except PackageNotFoundError:
        put("safelight (not installed: run from a checkout)")
    return exits.OK


def _refused(error: CliError, options: argparse.Namespace) -> int:
    if getattr(options, "json_lines", False):
        from engine.cli.json_lines import LineWriter
        from engine.cli.run import refusal_json

        LineWriter().write("error", **refusal_json(error))
    elif getattr(options, "json", False):
        from engine.cli.run import refusal_json

        put_json(refusal_json(error))
    say(str(error))
    if options.debug:
        _traceback()
    return error.code


def _failed(error: Exception, options: argparse.Namespace) -> int:
    """Something that no command foresaw: known kinds of errors in their own words, others with their type."""
    from engine.config import SettingsError
    from engine.paths import PathError

    if isinstance(error, SettingsError):
        return _refused(CliError(exits.USAGE, str(error)), options)
    if isinstance(error, PathError | OSError):
        return _refused(CliError(exits.UNREADABLE, str(error)), options)
    message = f"{type(error).__name__}: {error}\nThis is an error of the program. --debug shows where it happened."
    return _refused(CliError(exits.FAILED, message), options)


def _traceback() -> None:
    import traceback

    say(traceback.format_exc().rstrip())
