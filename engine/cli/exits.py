"""What a script may rely on: one exit code per kind of outcome."""

from __future__ import annotations

from typing import Final

OK: Final = 0
FAILED: Final = 1
"""The run started, and a node failed."""
USAGE: Final = 2
"""A wrong option, an unknown name in `--set`, or a value of the wrong type."""
INVALID: Final = 3
"""The workflow is not sound; every problem is listed and nothing ran."""
UNREADABLE: Final = 4
"""A file is missing, unreadable, or cannot be written."""
UNREACHABLE: Final = 5
"""The server of `--server` cannot be reached, or does not do what it is asked: a token is missing, a quota is used up."""
INTERRUPTED: Final = 130
"""Ctrl-C. Files and cache are whole, and what was finished is kept."""

SUMMARY: Final = (
    "exit codes: 0 done, 1 a node failed, 2 wrong option or value, 3 the workflow is not sound, "
    "4 a file cannot be read or written, 5 the server cannot be reached or refuses, 130 interrupted"
)


class CliError(Exception):
    """Ends the command with `code`; the message is for people, `facts` go into the output of `--json`."""

    def __init__(self, code: int, message: str, **facts: object) -> None:
        super().__init__(message)
        self.code = code
        self.facts = facts
