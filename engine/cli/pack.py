"""`safelight pack new` and `safelight pack test`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.cli.terminal import put

if TYPE_CHECKING:
    from engine.cli.app import App


def pack(app: App, options: argparse.Namespace) -> int:
    """Make a pack, or test one. Raises CliError as the two do."""
    if options.action == "new":
        return _new(app, options)
    from engine.cli.pack_test import test_pack

    return test_pack(app, options)


def _new(app: App, options: argparse.Namespace) -> int:
    from engine.cli.pack_new import make_pack

    into = Path(options.into).expanduser() if options.into is not None else app.paths.custom_nodes
    made = make_pack(options.name, into)
    put(str(made))
    put(f"Next: look into {made / '__init__.py'}; `safelight pack test {made}` says what is wrong with it.")
    if made.parent.absolute() == app.paths.custom_nodes:
        put("A server that runs finds it when you press Reload packs in its list of node packs.")
    else:
        put(f"`safelight serve --custom-nodes {made.parent}` loads it.")
    return exits.OK
