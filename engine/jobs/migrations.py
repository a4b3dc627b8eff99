"""Migrations: how a database of any older version becomes one of the newest.

A new database starts at version 0 and goes the same way, so every migration runs in every test. Each runs in one
transaction with the new version number, and the file is copied before the first. A migration never changes once it is
released; its statements are spelled out here, because `engine.jobs.schema` shows only the newest tables.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, inspect

from engine.jobs.store_errors import StoreVersionError

_log = logging.getLogger(__name__)

_FIRST_TABLES = (
    """CREATE TABLE jobs (
        sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, number FLOAT NOT NULL,
        status TEXT NOT NULL, attempts INTEGER NOT NULL, created FLOAT NOT NULL, started FLOAT, ended FLOAT,
        client_id TEXT, outputs_count INTEGER NOT NULL DEFAULT 0, targets BLOB NOT NULL, models BLOB NOT NULL,
        preview BLOB, error BLOB, extra_data BLOB NOT NULL, prompt BLOB NOT NULL, checked BLOB NOT NULL,
        outputs BLOB, meta BLOB, nodes BLOB, messages BLOB)""",
    "CREATE INDEX jobs_status ON jobs (status)",
    "CREATE INDEX jobs_ended ON jobs (ended) WHERE ended IS NOT NULL",
    "CREATE TABLE settings (owner TEXT NOT NULL, id TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (owner, id))",
    "CREATE TABLE state (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL)",
)

_JOBS_WITH_WORKFLOW_ID = """CREATE TABLE jobs_2 (
    sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, number FLOAT NOT NULL,
    status TEXT NOT NULL, attempts INTEGER NOT NULL, created FLOAT NOT NULL, started FLOAT, ended FLOAT,
    client_id TEXT, workflow_id TEXT, outputs_count INTEGER NOT NULL DEFAULT 0, targets BLOB NOT NULL,
    models BLOB NOT NULL, preview BLOB, error BLOB, extra_data BLOB NOT NULL, prompt BLOB NOT NULL,
    checked BLOB NOT NULL, outputs BLOB, meta BLOB, nodes BLOB, messages BLOB)"""

_COLUMNS_OF_1 = (
    "sequence, id, number, status, attempts, created, started, ended, client_id, outputs_count, targets, models, "
    "preview, error, extra_data, prompt, checked, outputs, meta, nodes, messages"
)


def create_first(connection: Connection) -> None:
    """Version 1: jobs, settings, and the server's own state."""
    for statement in _FIRST_TABLES:
        connection.exec_driver_sql(statement)


def add_workflow_id(connection: Connection) -> None:
    """Version 2: which saved workflow a job came from, so that an editor can list its jobs.

    The table is written anew: an added column would come last, behind the long ones, and be slow to read.
    """
    given = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").scalar()
    connection.exec_driver_sql(_JOBS_WITH_WORKFLOW_ID)
    connection.exec_driver_sql(
        f"INSERT INTO jobs_2 ({_COLUMNS_OF_1}, workflow_id) SELECT {_COLUMNS_OF_1}, "
        "CASE WHEN json_valid(CAST(extra_data AS TEXT)) "
        "THEN json_extract(CAST(extra_data AS TEXT), '$.extra_pnginfo.workflow.id') END FROM jobs"
    )
    connection.exec_driver_sql("DROP TABLE jobs")
    connection.exec_driver_sql("ALTER TABLE jobs_2 RENAME TO jobs")
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name IN ('jobs', 'jobs_2')")
    connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (given or 0,))
    connection.exec_driver_sql("CREATE INDEX jobs_status ON jobs (status)")
    connection.exec_driver_sql("CREATE INDEX jobs_ended ON jobs (ended) WHERE ended IS NOT NULL")
    connection.exec_driver_sql("CREATE INDEX jobs_workflow_id ON jobs (workflow_id)")


_JOBS_WITH_END_NUMBER = """CREATE TABLE jobs_3 (
    sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, number FLOAT NOT NULL,
    status TEXT NOT NULL, attempts INTEGER NOT NULL, losses INTEGER NOT NULL DEFAULT 0, created FLOAT NOT NULL,
    started FLOAT, ended FLOAT, end_number INTEGER, client_id TEXT, workflow_id TEXT,
    outputs_count INTEGER NOT NULL DEFAULT 0, targets BLOB NOT NULL, models BLOB NOT NULL, preview BLOB, error BLOB,
    extra_data BLOB NOT NULL, prompt BLOB NOT NULL, checked BLOB NOT NULL, outputs BLOB, meta BLOB, nodes BLOB,
    messages BLOB)"""

_COLUMNS_OF_2 = _COLUMNS_OF_1.replace("client_id, ", "client_id, workflow_id, ")


def add_end_number(connection: Connection) -> None:
    """Version 3: the order in which jobs ended, and how often the server ended under one. The table is written anew, as above."""
    given = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").scalar()
    connection.exec_driver_sql(_JOBS_WITH_END_NUMBER)
    connection.exec_driver_sql(
        f"INSERT INTO jobs_3 ({_COLUMNS_OF_2}, end_number) SELECT {_COLUMNS_OF_2}, "
        "CASE WHEN ended IS NOT NULL THEN row_number() OVER (ORDER BY ended IS NULL, ended, sequence) END FROM jobs"
    )
    connection.exec_driver_sql("DROP TABLE jobs")
    connection.exec_driver_sql("ALTER TABLE jobs_3 RENAME TO jobs")
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name IN ('jobs', 'jobs_3')")
    connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (given or 0,))
    connection.exec_driver_sql("CREATE INDEX jobs_status ON jobs (status)")
    connection.exec_driver_sql("CREATE INDEX jobs_end_number ON jobs (end_number) WHERE end_number IS NOT NULL")
    connection.exec_driver_sql("CREATE INDEX jobs_workflow_id ON jobs (workflow_id)")


_TEXTS = (
    """CREATE TABLE texts (sequence INTEGER NOT NULL, name TEXT NOT NULL, piece INTEGER NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (sequence, name, piece))""",
    """CREATE TRIGGER jobs_texts AFTER DELETE ON jobs BEGIN
        DELETE FROM texts WHERE sequence = old.sequence; END""",
)
_LONG_OF_3 = """SELECT sequence FROM jobs WHERE ended IS NULL AND typeof(prompt) = 'blob' AND typeof(checked) = 'blob'
    AND typeof(extra_data) = 'blob' AND length(prompt) + length(checked) + length(extra_data) > 262144"""
_PIECE_OF_4 = 262144


def add_texts(connection: Connection) -> None:
    """Version 4: long texts in a table of their own. Those of jobs that have ended stay in their rows, which do not change."""
    for statement in _TEXTS:
        connection.exec_driver_sql(statement)
    for sequence in connection.exec_driver_sql(_LONG_OF_3).scalars().all():
        for name in ("prompt", "checked", "extra_data"):
            select = f"SELECT {name} FROM jobs WHERE sequence = ?"
            text: bytes = connection.exec_driver_sql(select, (sequence,)).scalar_one()
            for piece, at in enumerate(range(0, len(text), _PIECE_OF_4)):
                connection.exec_driver_sql(
                    "INSERT INTO texts VALUES (?, ?, ?, ?)", (sequence, name, piece, text[at : at + _PIECE_OF_4])
                )
        empty = "UPDATE jobs SET prompt = x'', checked = x'', extra_data = x'' WHERE sequence = ?"
        connection.exec_driver_sql(empty, (sequence,))


_JOBS_WITH_OWNER = """CREATE TABLE jobs_5 (
    sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, number FLOAT NOT NULL,
    status TEXT NOT NULL, attempts INTEGER NOT NULL, losses INTEGER NOT NULL DEFAULT 0, created FLOAT NOT NULL,
    started FLOAT, ended FLOAT, end_number INTEGER, client_id TEXT, owner TEXT, account FLOAT NOT NULL DEFAULT 0,
    workflow_id TEXT, outputs_count INTEGER NOT NULL DEFAULT 0, targets BLOB NOT NULL, models BLOB NOT NULL,
    preview BLOB, error BLOB, extra_data BLOB NOT NULL, prompt BLOB NOT NULL, checked BLOB NOT NULL, outputs BLOB,
    meta BLOB, nodes BLOB, messages BLOB)"""

_COLUMNS_OF_4 = _COLUMNS_OF_2.replace("ended, client_id", "ended, end_number, client_id").replace(
    "attempts, ", "attempts, losses, "
)


def add_owner(connection: Connection) -> None:
    """Version 5: whose token a job was posted by, and what its client had used by then. The table is written anew, as above."""
    given = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").scalar()
    connection.exec_driver_sql(_JOBS_WITH_OWNER)
    connection.exec_driver_sql(f"INSERT INTO jobs_5 ({_COLUMNS_OF_4}) SELECT {_COLUMNS_OF_4} FROM jobs")
    connection.exec_driver_sql("DROP TABLE jobs")
    connection.exec_driver_sql("ALTER TABLE jobs_5 RENAME TO jobs")
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name IN ('jobs', 'jobs_5')")
    connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (given or 0,))
    for statement in (
        "CREATE INDEX jobs_status ON jobs (status)",
        "CREATE INDEX jobs_end_number ON jobs (end_number) WHERE end_number IS NOT NULL",
        "CREATE INDEX jobs_workflow_id ON jobs (workflow_id)",
        "CREATE INDEX jobs_owner ON jobs (owner, end_number) WHERE owner IS NOT NULL",
        _TEXTS[1],
    ):
        connection.exec_driver_sql(statement)


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    create_first,
    add_workflow_id,
    add_end_number,
    add_texts,
    add_owner,
)
"""The one at index n leads from version n to n + 1."""


def version_of(connection: Connection) -> int:
    """The schema version of a database; 0 for an empty one."""
    if not inspect(connection).has_table("schema_version"):
        return 0
    return int(connection.exec_driver_sql("SELECT version FROM schema_version").scalar() or 0)


def migrate(connection: Connection, path: Path, *, to: int = len(MIGRATIONS)) -> None:
    """Bring the database at `path` to version `to`. The connection is in autocommit mode."""
    version = version_of(connection)
    if version > to:
        raise StoreVersionError(path, version, to)
    if 0 < version < to:
        copy = path.with_name(f"{path.name}.version-{version}")
        back_up(connection, copy)
        _log.info("%s goes from schema version %d to %d; a copy is kept as %s", path, version, to, copy.name)
    while version < to:
        _step(connection, version)
        version += 1


def back_up(connection: Connection, copy: Path) -> None:
    """Write the whole database, what its log holds included, to the file `copy`."""
    source = connection.connection.driver_connection
    assert isinstance(source, sqlite3.Connection)
    copy.unlink(missing_ok=True)
    target = sqlite3.connect(copy)
    try:
        source.backup(target)
    finally:
        target.close()


def _step(connection: Connection, version: int) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        MIGRATIONS[version](connection)
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
        connection.exec_driver_sql("DELETE FROM schema_version")
        connection.exec_driver_sql("INSERT INTO schema_version VALUES (?)", (version + 1,))
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        if connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            connection.exec_driver_sql("ROLLBACK")
        raise
