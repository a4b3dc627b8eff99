"""`safelight cache`."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.cli.exits import CliError
from engine.cli.terminal import columns, put, put_json, say
from engine.plugins.attempts import forgive
from engine.plugins.store import FILE_NAME, forget_failures

if TYPE_CHECKING:
    from engine.cli.app import App


def cache(app: App, options: argparse.Namespace) -> int:
    """Show what the cache holds, or clear it."""
    logging.getLogger("engine.cache").addHandler(logging.NullHandler())  # its warnings are told below
    opened = app.open_cache(True)
    try:
        if options.action == "clear":
            forgive(app.paths.cache)
            forget_failures(app.paths.cache / FILE_NAME, fatal=True)
            if not opened.clear():
                raise CliError(
                    exits.FAILED, f"The cache in {app.paths.cache} could not be cleared. Delete that folder."
                )
            say(f"Cleared the cache in {app.paths.cache}.")
        info = opened.info()
    finally:
        opened.close()
        for warning in opened.take_warnings():
            say(f"warning: {warning}")
    facts = {
        "folder": str(app.paths.cache),
        "actions": info.actions,
        "values": info.disk_values,
        "bytes": info.disk_bytes,
        "limit_bytes": int(app.settings.cache.disk_gib * 1024**3),
    }
    if options.json:
        put_json(facts)
    elif options.action == "info":
        rows = [
            ("folder", str(facts["folder"])),
            ("results", f"{info.actions:,}"),
            ("values", f"{info.disk_values:,}, {info.disk_bytes / 1e6:,.1f} MB of {app.settings.cache.disk_gib:g} GiB"),
        ]
        for line in columns(rows, indent=""):
            put(line)
    return exits.OK
