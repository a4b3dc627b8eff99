"""What is known of a job, from acceptance to history."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

Status: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled"]

UNFINISHED = ("queued", "running")
MAX_ATTEMPTS = 2
"""A job whose worker died this often fails with the reason."""


MAX_LOSSES = 4
"""A job under which the server ended this often, without having been told to, fails with the reason."""

LONG = 256 * 1024
"""Bytes of a job's JSON texts from which on they are on disk only while it waits and runs."""

_SHORT = 1024


class Job(msgspec.Struct, kw_only=True, gc=False, eq=False):
    """One accepted prompt. JSON texts are kept as bytes, so that nothing is parsed again only to be stored or sent.

    With `long`, the texts (`prompt`, `checked`, `extra_data` but for what is short in it) are left empty, and `JobStore.whole`
    reads them.
    """

    id: str
    number: float
    """Its place in the queue: lower ones first, equal ones by `sequence`. Negative: put in front."""
    sequence: int
    """Order of acceptance; unique and growing over restarts."""
    prompt: bytes
    """JSON of the prompt form, as the client sent it or as its workflow was converted."""
    checked: bytes = b""
    """JSON of the prompt form with converted constants and defaults, which is what runs; empty once the job has ended."""
    outputs: tuple[str, ...]
    """Ids of the nodes to compute."""
    extra_data: bytes = b"{}"
    """JSON object: what the client sent along (`extra_pnginfo`, …), with `client_id` and `create_time` added."""
    client_id: str | None = None
    owner: str | None = None
    """Name of the token by which it was posted (`engine.server.principals`); None: the server's own, or none is asked for."""
    account: float = 0.0
    """Seconds of workers that its client had had when it was posted, later when it ended (`engine.jobs.shares`)."""
    workflow_id: str | None = None
    models: tuple[str, ...] = ()
    """`folder/name` of each model file that its inputs name: for choosing a worker."""
    status: Status = "queued"
    attempts: int = 0
    losses: int = 0
    """How often the server ended while it ran, and not by being told to."""
    overtaken: int = 0
    """How many jobs behind it went first, to a worker that held their model. Not stored."""
    refused: frozenset[int] = frozenset()
    """Process ids of workers that lack a pack of its nodes. Not stored, as `held`."""
    held: str = ""
    """Why it waits though a worker is idle: a sentence."""
    long: bool = False
    """Not stored."""
    created: float = 0.0
    """Unix time in seconds, as `started` and `ended`."""
    started: float | None = None
    ended: float | None = None


def is_long(job: Job) -> bool:
    """Whether its texts, which are all there, are long."""
    return len(job.prompt) + len(job.checked) + len(job.extra_data) > LONG


def shortened(job: Job) -> Job:
    """The same job, which leaves its texts on disk, where they are by now, if they are long."""
    if is_long(job):
        job.prompt, job.checked, job.extra_data, job.long = b"{}", b"", _short_parts(job.extra_data), True
    return job


def _short_parts(extra_data: bytes) -> bytes:
    """What of `extra_data` is asked for while the job waits and runs: short, unlike the workflow in it."""
    try:
        parts = msgspec.json.decode(extra_data, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return b"{}"
    return msgspec.json.encode({name: part for name, part in parts.items() if len(bytes(part)) <= _SHORT})


class Outcome(msgspec.Struct, kw_only=True, gc=False, eq=False):
    """How a job ended; becomes its entry of the history."""

    status: Literal["done", "failed", "cancelled"]
    ended: float
    outputs: bytes = b"{}"
    """JSON object: node id → what the node showed (`images`, `text`, …)."""
    meta: bytes = b"{}"
    """JSON object: node id → `{node_id, display_node, parent_node, real_node_id}`, for the nodes in `outputs`."""
    messages: bytes = b"[]"
    """JSON list of `[websocket message type, data]`, from `execution_start` to the last."""
    nodes: bytes = b"{}"
    """JSON object: node id → `{status, seconds}`: what ran, what was reused, and how long it took."""
    error: bytes | None = None
    """JSON object: data of the `execution_error` message of the first failure."""
    preview: bytes | None = None
    """JSON object `{filename, subfolder, type, nodeId, mediaType}`: the file that stands for the job in lists."""
    outputs_count: int = 0


class HistoryEntry(msgspec.Struct, kw_only=True, gc=False, eq=False):
    """A job that has ended, with its outcome."""

    job: Job
    outcome: Outcome


Settings: TypeAlias = dict[str, Any]
"""What an editor keeps for one user: id → JSON value."""
