"""Rows of jobs that cannot be read, by a damaged disk or a foreign hand: put aside whole, so that the server starts without them.

Each becomes an entry of the history that says so: a job that was accepted ends once, whatever happens to its row.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from engine.jobs import store_texts

_log = logging.getLogger(__name__)

_EMPTY = {
    "targets": b"[]",
    "models": b"[]",
    "extra_data": b"{}",
    "prompt": b"{}",
    "checked": b"",
    "outputs": b"{}",
    "meta": b"{}",
    "nodes": b"{}",
    "messages": b"[]",
    "preview": None,
    "client_id": None,
    "account": 0.0,
    "workflow_id": None,
    "started": None,
    "outputs_count": 0,
    "attempts": 0,
    "losses": 0,
    "number": 0.0,
}


class Unreadable(NamedTuple):
    """A row as it was found, and what is wrong with it."""

    row: Mapping[str, Any]
    problem: str


def put_aside(connection: Connection, found: Sequence[Unreadable], path: Path) -> None:
    """Append the rows to a file beside the database at `path`, and end their jobs as failed.

    On a full disk they stay as they are, which is told.
    """
    if not found:
        return
    file = path.with_name(f"{path.name}.unreadable.jsonl")
    for one in found:
        _log.error(
            "Job %s (row %s of %s) cannot be read: %s. It is put aside in %s, and does not run.",
            one.row["id"],
            one.row["sequence"],
            path,
            one.problem,
            file.name,
        )
    try:
        with file.open("ab") as aside:
            aside.writelines(_line(one) for one in found)
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        for one in found:
            _end(connection, one, file)
        connection.exec_driver_sql("COMMIT")
    except Exception as error:  # they are tried again at the next start
        if connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            connection.exec_driver_sql("ROLLBACK")
        _log.error("The jobs that cannot be read could not be put aside: %s", error)


def _line(one: Unreadable) -> bytes:
    row = {name: _told(value) for name, value in one.row.items()}
    return msgspec.json.encode({"problem": one.problem, "row": row}) + b"\n"


def _told(value: Any) -> Any:
    """Bytes as text where they are some."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _end(connection: Connection, one: Unreadable, file: Path) -> None:
    sequence = one.row["sequence"]
    id = one.row["id"] if isinstance(one.row["id"], str) and one.row["id"].isprintable() else f"unreadable-{sequence}"
    text = f"The row of this job could not be read when the server started: {one.problem}. It is kept in {file.name}."
    error = msgspec.json.encode(
        {
            "prompt_id": id,
            "node_id": "",
            "node_type": "",
            "executed": [],
            "exception_message": text,
            "exception_type": "UnreadableJob",
            "traceback": [],
            "current_inputs": {},
            "current_outputs": [],
        }
    )
    messages = b'[["execution_error",' + error + b"]]"
    now = time.time()
    values = {
        **_EMPTY,
        "id": id,
        "owner": one.row["owner"] if isinstance(one.row["owner"], str) else None,
        "status": "failed",
        "created": now,
        "ended": now,
        "error": error,
        "messages": messages,
    }
    sets = ", ".join(f"{name} = ?" for name in values)
    store_texts.delete(connection, sequence)
    connection.exec_driver_sql(
        f"UPDATE jobs SET {sets}, end_number = (SELECT coalesce(max(end_number), 0) + 1 FROM jobs) WHERE sequence = ?",
        (*values.values(), sequence),
    )
