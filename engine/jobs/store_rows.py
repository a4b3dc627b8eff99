"""Between records and rows: what each statement of the store takes, and what a row of `jobs` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from engine.jobs.records import HistoryEntry, Job, Outcome

Row: TypeAlias = tuple[Any, ...]

JOB_COLUMNS = (
    "sequence",
    "id",
    "number",
    "status",
    "attempts",
    "created",
    "started",
    "client_id",
    "workflow_id",
    "targets",
    "models",
    "extra_data",
    "prompt",
    "checked",
)
"""What `job_row` gives."""

CHANGE_COLUMNS = ("id", "number", "status", "attempts", "started")
"""What `change_row` gives; the id says which job."""

END_COLUMNS = (
    *CHANGE_COLUMNS,
    "ended",
    "outputs_count",
    "preview",
    "error",
    "outputs",
    "meta",
    "nodes",
    "messages",
    "checked",
)
"""What `end_row` gives; the id says which job."""

SHORT_COLUMNS = (
    "sequence",
    "id",
    "number",
    "status",
    "attempts",
    "created",
    "started",
    "ended",
    "client_id",
    "workflow_id",
    "outputs_count",
    "targets",
    "models",
    "preview",
    "error",
)
"""What lists show of a job that has ended."""

_encode = msgspec.json.encode
_names = msgspec.json.Decoder(tuple[str, ...]).decode


def job_row(job: Job) -> Row:
    """A row for a job that is accepted."""
    return (
        job.sequence,
        job.id,
        job.number,
        job.status,
        job.attempts,
        job.created,
        job.started,
        job.client_id,
        job.workflow_id,
        _encode(job.outputs),
        _encode(job.models),
        job.extra_data,
        job.prompt,
        job.checked,
    )


def change_row(job: Job) -> Row:
    """What changes while a job waits or runs."""
    return (job.id, job.number, job.status, job.attempts, job.started)


def end_row(job: Job, outcome: Outcome) -> Row:
    """How a job ended. `checked` is dropped, for it is what would run."""
    return (
        job.id,
        job.number,
        outcome.status,
        job.attempts,
        job.started,
        outcome.ended,
        outcome.outputs_count,
        outcome.preview,
        outcome.error,
        outcome.outputs,
        outcome.meta,
        outcome.nodes,
        outcome.messages,
        b"",
    )


def job_of(row: Mapping[str, Any]) -> Job:
    """The job of a whole row."""
    return Job(
        id=row["id"],
        number=row["number"],
        sequence=row["sequence"],
        prompt=row.get("prompt", b""),
        checked=row.get("checked", b""),
        outputs=_names(row["targets"]),
        extra_data=row.get("extra_data", b"{}"),
        client_id=row["client_id"],
        workflow_id=row["workflow_id"],
        models=_names(row["models"]),
        status=row["status"],
        attempts=row["attempts"],
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
    )


def entry_of(row: Mapping[str, Any]) -> HistoryEntry:
    """The history entry of a row: of a whole one, or of one with `SHORT_COLUMNS` only."""
    outcome = Outcome(
        status=row["status"],
        ended=row["ended"],
        outputs=row.get("outputs", b"{}"),
        meta=row.get("meta", b"{}"),
        messages=row.get("messages", b"[]"),
        nodes=row.get("nodes", b"{}"),
        error=row["error"],
        preview=row["preview"],
        outputs_count=row["outputs_count"],
    )
    return HistoryEntry(job=job_of(row), outcome=outcome)
