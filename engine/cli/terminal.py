"""Where text goes: results to stdout, everything said about them to stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, redirect_stdout
from typing import Any

import msgspec


def put(text: str) -> None:
    """Write a line of the result."""
    sys.stdout.write(f"{text}\n")


def put_json(value: Any) -> None:
    """Write the result of `--json`: one JSON document, nothing else."""
    data = msgspec.json.encode(value, enc_hook=str)
    sys.stdout.write(msgspec.json.format(data, indent=2).decode() + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Tell the person at the terminal something."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def aside() -> AbstractContextManager[object]:
    """What packs print meanwhile goes to stderr: stdout is for the results of the command."""
    return redirect_stdout(sys.stderr)


def columns(rows: Sequence[tuple[str, ...]], indent: str = "  ") -> list[str]:
    """Rows as lines with aligned columns; the last column is not padded."""
    if not rows:
        return []
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    return [
        indent + "  ".join([*(f"{cell:{width}}" for cell, width in zip(row[:-1], widths)), row[-1]]).rstrip()
        for row in rows
    ]
