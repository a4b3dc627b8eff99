"""`safelight serve`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.cli.exits import CliError
from engine.cli.folders import folder_arguments, folder_or_none
from engine.processes import python_command
from engine.server.options import LOOPBACK, MEGABYTE, TOKEN_VARIABLE, OptionsError, ServeOptions

if TYPE_CHECKING:
    from engine.cli.app import App


def serve(app: App, options: argparse.Namespace) -> int:
    """Serve until told to end. Raises CliError USAGE for options that cannot be used, also a port that is taken."""
    try:
        told = serve_options(options, os.environ)
        from engine.server.run import serve as run_server

        return run_server(app, told, worker_command(app))
    except OptionsError as error:
        raise CliError(exits.USAGE, str(error)) from error


def worker_command(app: App) -> list[str]:
    """The command that starts a worker with the same folders."""
    base = ["--base-directory", str(app.paths.base)]
    return python_command("-m", "engine", "worker", *base, *folder_arguments(app.folders))


def serve_options(options: argparse.Namespace, environment: Mapping[str, str]) -> ServeOptions:
    """What was written on the command line, checked. Raises OptionsError."""
    return ServeOptions(
        listen=split(options.listen or [LOOPBACK]),
        port=options.port,
        cpu=options.cpu,
        workers=options.workers,
        front_end_root=folder_or_none(options.front_end_root),
        token=options.token or environment.get(TOKEN_VARIABLE) or None,
        allowed_hosts=split(options.allow_host),
        cors_origins=split(options.cors_origins),
        max_upload_size=_bytes(options.max_upload_size),
        preview_method=options.preview_method,
        open_browser=options.open_browser,
        log_format=options.log_format,
        log_level=options.log_level,
    )


def split(entries: Iterable[str]) -> tuple[str, ...]:
    """Entries that may themselves be lists with commas."""
    return tuple(dict.fromkeys(part.strip() for entry in entries for part in entry.split(",") if part.strip()))


def _bytes(megabytes: float) -> int:
    if not 0 < megabytes < 1e9:  # also not a number
        raise OptionsError(f"--max-upload-size: expected a number of MB above 0, got {megabytes:g}.")
    return max(1, int(megabytes * MEGABYTE))
