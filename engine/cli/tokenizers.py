"""`safelight tokenizers`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.cli.exits import CliError
from engine.cli.terminal import columns, put, say

if TYPE_CHECKING:
    from engine.cli.app import App


def tokenizers(app: App, options: argparse.Namespace) -> int:
    """Fetch the tokenizers that text encoders need, or say which are there. Raises CliError for those that could not be had."""
    from engine.cli.tokenizer_fetch import NOTE, fetch_tokenizers, is_there
    from engine.models.pinned import PINNED

    into = Path(options.into).expanduser() if options.into else app.paths.tokenizers
    if options.action == "list":
        rows = [(one.name, "there" if is_there(one, into) else "not there", one.title, one.licence) for one in PINNED]
        for line in columns(rows, indent=""):
            put(line)
        return exits.OK
    known = {one.name: one for one in PINNED}
    if unknown := [name for name in options.names if name not in known]:
        raise CliError(exits.USAGE, f"There is no tokenizer {', '.join(unknown)}. There are {', '.join(known)}.")
    wanted = [known[name] for name in options.names] or list(PINNED)
    there, problems = fetch_tokenizers(wanted, into, say)
    if there:
        put(f"{', '.join(one.name for one in there)} in {into}. Their licences: {into / NOTE}")
    if problems:
        again = (
            "What came is kept; the same command fetches the rest. `safelight serve` works without: models then need a "
        )
        raise CliError(exits.UNREADABLE, "\n".join([*problems, f"{again}tokenizer.json (docs/models.md)."]))
    return exits.OK
