"""Long texts of jobs: in pieces, in a table of their own, written once and read piece by piece.

SQLite writes a row anew with each change, copies what it is given twice on the way, and keeps the last copy with the
statement. A row of 120 MB that changes three times while its job runs is costly; rows of pieces never change, and a copy of
one piece is small. In the row of such a job the columns of these texts are empty.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

from sqlalchemy import Connection

from engine.jobs.store_rows import TEXTS, Texts

PIECE: Final = 256 * 1024
"""Bytes of a piece; the last one of a text is shorter."""

_INSERT = "INSERT INTO texts (sequence, name, piece, data) VALUES (?, ?, ?, ?)"
_SELECT = "SELECT data FROM texts WHERE sequence = ? AND name = ? ORDER BY piece"
_DELETE = "DELETE FROM texts WHERE sequence = ?"


def insert(connection: Connection, texts: Texts) -> None:
    """Write the texts of a job whose row is there already."""
    for name, text in texts.named.items():
        view = memoryview(text)
        for piece, at in enumerate(range(0, len(view), PIECE)):
            connection.exec_driver_sql(_INSERT, (texts.sequence, name, piece, view[at : at + PIECE]))


def delete(connection: Connection, sequence: int) -> None:
    """Delete the texts of a job whose row stays. They go by themselves when the row goes."""
    connection.exec_driver_sql(_DELETE, (sequence,))


def fill(connection: Connection, row: dict[str, Any]) -> None:
    """Put the texts that stand apart from a row into it. One that is nowhere stays empty."""
    for name in TEXTS:
        if row.get(name) == b"":
            row[name] = _joined(connection, row["sequence"], name)


def _joined(connection: Connection, sequence: int, name: str) -> bytes:
    """The text of all its pieces, copied once: `getvalue` gives the buffer itself."""
    buffer = BytesIO()
    for (piece,) in connection.exec_driver_sql(_SELECT, (sequence, name)):
        buffer.write(piece if isinstance(piece, bytes) else str(piece).encode())  # else: written by a foreign hand
    return buffer.getvalue()
