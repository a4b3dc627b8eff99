"""Between records and rows: what each statement of the store takes, and what a row of `jobs` says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from engine.jobs.records import UNFINISHED, HistoryEntry, Job, Outcome, is_long

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
    "owner",
    "account",
    "workflow_id",
    "targets",
    "models",
    "extra_data",
    "prompt",
    "checked",
)
"""What `job_row` gives."""

CHANGE_COLUMNS = ("id", "number", "status", "attempts", "losses", "started")
"""What `change_row` gives; the id says which job."""

END_COLUMNS = (
    *CHANGE_COLUMNS,
    "account",
    "ended",
    "outputs_count",
    "preview",
    "error",
    "outputs",
    "meta",
    "nodes",
    "messages",
    "checked",
    "end_number",
)
"""What `end_row` gives, and the number of the end, which the writer adds; the id says which job."""

SHORT_COLUMNS = (
    "sequence",
    "id",
    "number",
    "status",
    "attempts",
    "losses",
    "created",
    "started",
    "ended",
    "client_id",
    "owner",
    "account",
    "workflow_id",
    "outputs_count",
    "targets",
    "models",
    "preview",
    "error",
)
"""What lists show of a job that has ended."""

TEXTS: Final = ("prompt", "checked", "extra_data")
"""Columns that are empty in the row of a long job, whose texts stand apart (`store_texts`)."""


class Texts(NamedTuple):
    """The texts of a long job, as they are stored apart from its row."""

    sequence: int
    named: Mapping[str, bytes]
    """One for each of `TEXTS`."""


_objects = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.encode
_names = msgspec.json.Decoder(tuple[str, ...]).decode


def job_row(job: Job) -> Row:
    """A row for a job that is accepted, without its texts if they are long."""
    extra_data, prompt, checked = (b"", b"", b"") if is_long(job) else (job.extra_data, job.prompt, job.checked)
    return (
        job.sequence,
        job.id,
        job.number,
        job.status,
        job.attempts,
        job.created,
        job.started,
        job.client_id,
        job.owner,
        job.account,
        job.workflow_id,
        _encode(job.outputs),
        _encode(job.models),
        extra_data,
        prompt,
        checked,
    )


def long_texts(job: Job) -> Texts | None:
    """What `job_row` left out; None for most jobs."""
    return Texts(job.sequence, {name: getattr(job, name) for name in TEXTS}) if is_long(job) else None


def change_row(job: Job) -> Row:
    """What changes while a job waits or runs."""
    return (job.id, job.number, job.status, job.attempts, job.losses, job.started)


def end_row(job: Job, outcome: Outcome) -> Row:
    """How a job ended. `checked` is dropped, for it is what would run."""
    return (
        job.id,
        job.number,
        outcome.status,
        job.attempts,
        job.losses,
        job.started,
        job.account,
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
        owner=row["owner"],
        account=row["account"],
        workflow_id=row["workflow_id"],
        models=_names(row["models"]),
        status=row["status"],
        attempts=row["attempts"],
        losses=row["losses"],
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
    )


def checked_job(row: Mapping[str, Any]) -> Job:
    """The job of a whole row that has not ended. Raises MsgspecError, TypeError and ValueError for what can be none."""
    job = msgspec.convert(msgspec.structs.asdict(job_of(row)), Job)
    if job.status not in UNFINISHED or not math.isfinite(job.number):
        raise ValueError(f"a job that has not ended is {job.status} at {job.number}")
    job.prompt, job.checked, job.extra_data = texts_of(row)
    return job


def texts_of(row: Mapping[str, Any]) -> tuple[bytes, bytes, bytes]:
    """`(prompt, checked, extra_data)` of a job that has not ended. Raises MsgspecError if `checked`, which runs, is no object.

    The others are only shown and kept in pictures: one that cannot be read is replaced.
    """
    _objects.decode(row["checked"])
    return _or(row["prompt"], row["checked"]), row["checked"], _or(row["extra_data"], b"{}")


def _or(text: bytes, other: bytes) -> bytes:
    """`text` if it is a JSON object, else `other`."""
    try:
        _objects.decode(text)
    except msgspec.MsgspecError:
        return other
    return text


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
    job = job_of(row)
    if "prompt" in row:  # empty: it was long, and a foreign hand took its texts
        job.prompt, job.extra_data = job.prompt or b"{}", job.extra_data or b"{}"
    return HistoryEntry(job=job, outcome=outcome)
