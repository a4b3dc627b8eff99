"""From what was posted to a job: the graph in it, checked, and what the client wants done with it."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from engine.graph.problems import Problem
from engine.jobs.records import Job
from engine.server import wire
from engine.server.checks import CheckedGraph, encode
from engine.server.graph_source import Posted
from engine.server.principals import asking
from engine.server.refusals import Refusal

MAX_NUMBER: Final = 1e12
"""Beyond it, neighbouring numbers of the queue could not be told apart."""

SECRETS: Final = ("auth_token_comfy_org", "api_key_comfy_org", "comfy_usage_source")
"""Keys of `extra_data` that are not kept: credentials of other services, and who counts usage."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a POST /prompt body beside the graph."""

    client_id: str | None
    prompt_id: str
    number: float | None
    front: bool
    targets: list[str] | None
    extra_data: dict[str, Any]


def read_wish(posted: Posted) -> Wish:
    """Check the types of the fields. Raises Refusal 400 that names the first wrong one."""
    fields = posted.envelope
    extra = dict(posted.extra_data)
    if fields.get("extra_data") is not None and not isinstance(fields["extra_data"], dict):
        raise _wrong("extra_data", "an object", fields["extra_data"])
    for key in SECRETS:
        extra.pop(key, None)
    png_info = extra.get("extra_pnginfo")
    if png_info is not None and not isinstance(png_info, dict):
        raise _wrong("extra_data.extra_pnginfo", "an object", png_info)
    if posted.workflow is not None and "workflow" not in (png_info or {}):
        extra["extra_pnginfo"] = {**(png_info or {}), "workflow": posted.workflow}
    client_id = _text(fields, "client_id") or (
        extra.get("client_id") if isinstance(extra.get("client_id"), str) else None
    )
    if client_id is not None:
        extra["client_id"] = client_id
    extra["create_time"] = int(time.time() * 1000)
    return Wish(
        client_id=client_id,
        prompt_id=_text(fields, "prompt_id") or str(uuid.uuid4()),
        number=_number(fields.get("number")),
        front=_flag(fields, "front"),
        targets=fields.get("partial_execution_targets"),
        extra_data=extra,
    )


def make_job(wish: Wish, graph: CheckedGraph) -> Job:
    """The job, which has no place in the queue yet. It belongs to whoever asks for it."""
    return Job(
        id=wish.prompt_id,
        number=0.0,
        sequence=0,
        prompt=graph.prompt,
        checked=graph.checked,
        outputs=graph.outputs,
        extra_data=encode(wish.extra_data),
        client_id=wish.client_id,
        owner=asking().owner,
        workflow_id=_workflow_id(wish.extra_data),
        models=graph.models,
        created=time.time(),
    )


def place(job: Job, wish: Wish, sequence: int) -> None:
    """Give the job its place: that of its sequence number, unless the client wished another.

    Only an admin's wishes count: a number goes before everybody's turn, and taking turns would be for the polite.
    """
    job.sequence, job.number = sequence, float(sequence)
    if asking().is_admin:
        number = job.number if wish.number is None else wish.number
        job.number = -abs(number) if wish.front else number


def answer(job: Job, node_errors: Mapping[str, Any], notes: Sequence[Problem]) -> dict[str, Any]:
    """What a client that posted a graph is told; `notes` only where there are any."""
    told = {"prompt_id": job.id, "number": wire.number(job.number), "node_errors": node_errors}
    return told | ({"notes": notes} if notes else {})


def _workflow_id(extra: Mapping[str, Any]) -> str | None:
    info = extra.get("extra_pnginfo")
    workflow = info.get("workflow") if isinstance(info, dict) else None
    found = workflow.get("id") if isinstance(workflow, dict) else None
    return found if isinstance(found, str) and len(found) <= 200 else None


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= 200 or not value.isprintable():
        raise _wrong(name, "a text of 1 to 200 printable characters", value)
    return value


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not abs(value) <= MAX_NUMBER
        or math.isnan(value)
    ):
        raise _wrong("number", f"a number between {-MAX_NUMBER:g} and {MAX_NUMBER:g}", value)
    return float(value)


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if value is not None and not isinstance(value, bool):
        raise _wrong(name, "true or false", value)
    return bool(value)


def _wrong(name: str, expected: str, value: Any) -> Refusal:
    shown = repr(value)[:80]
    return Refusal(
        400, "invalid_field", f"{name}: expected {expected}, got {type(value).__name__} {shown}.", field=name
    )
