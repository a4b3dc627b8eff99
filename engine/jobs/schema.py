"""The tables of the store, as the newest migration leaves them (a test compares the two).

A job is one row for life. Small columns stand first: SQLite keeps a long row in a chain of pages, and what lists show is
read from its first one. Long texts of a job are in `texts`, for SQLite writes a row anew with each change; a trigger deletes
them with its row. `end_number` is the order in which jobs ended, which no clock that jumps can change. Columns are
named as the fields of `Job` and `Outcome`, but for `targets`, which is `Job.outputs`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text

METADATA = MetaData()


class Blob(LargeBinary):
    """Bytes as the driver gives them. A text in their place, by a foreign hand, must not keep other rows from being read."""

    def result_processor(self, dialect: Any, coltype: Any) -> None:
        """What a query gives is left as it is."""


JOBS = Table(
    "jobs",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("number", Float, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("losses", Integer, nullable=False, server_default="0"),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("ended", Float),
    Column("end_number", Integer),
    Column("client_id", Text),
    Column("owner", Text),
    Column("account", Float, nullable=False, server_default="0"),
    Column("workflow_id", Text),
    Column("outputs_count", Integer, nullable=False, server_default="0"),
    Column("targets", Blob, nullable=False),
    Column("models", Blob, nullable=False),
    Column("preview", Blob),
    Column("error", Blob),
    Column("extra_data", Blob, nullable=False),
    Column("prompt", Blob, nullable=False),
    Column("checked", Blob, nullable=False),
    Column("outputs", Blob),
    Column("meta", Blob),
    Column("nodes", Blob),
    Column("messages", Blob),
    sqlite_autoincrement=True,  # a sequence is never given twice, whatever was deleted
)
Index("jobs_status", JOBS.c.status)
_HAS_ENDED = JOBS.c.end_number.is_not(None)
Index("jobs_end_number", JOBS.c.end_number, sqlite_where=_HAS_ENDED, postgresql_where=_HAS_ENDED)
Index("jobs_workflow_id", JOBS.c.workflow_id)
_HAS_OWNER = JOBS.c.owner.is_not(None)
Index("jobs_owner", JOBS.c.owner, JOBS.c.end_number, sqlite_where=_HAS_OWNER, postgresql_where=_HAS_OWNER)

TEXTS = Table(
    "texts",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("piece", Integer, primary_key=True),
    Column("data", Blob, nullable=False),
)
"""The texts of long jobs, in pieces: those of a `name` (a column of `jobs`, which is empty then), one after the other."""

SETTINGS = Table(
    "settings",
    METADATA,
    Column("owner", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("value", Blob, nullable=False),
)
"""What editors keep for a user, each value as JSON."""

STATE = Table(
    "state",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("value", Blob, nullable=False),
)
"""What the server itself keeps over a restart, as JSON: whether the queue is paused."""

SCHEMA_VERSION = Table("schema_version", METADATA, Column("version", Integer, nullable=False))
