"""What a server refuses, as exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.calls.errors import (
    InvalidWorkflowError,
    RunCancelledError,
    RunFailedError,
    UnknownWorkflowError,
    WorkflowError,
    argument_error,
)


class ServerError(WorkflowError):
    """The server refused, or could not do, what it was asked. `status` is that of its answer, `type` its word for the reason."""

    def __init__(self, status: int, type: str, message: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.facts = dict(facts or {})


class NotAllowedError(ServerError, PermissionError):
    """The server wants a token, or one with more rights than this one has (401, 403)."""


class TooManyRequestsError(ServerError):
    """A limit or a quota is used up (429). `retry_after`: seconds after which there is room again, if the server says so."""

    def __init__(
        self, status: int, type: str, message: str, facts: Mapping[str, Any] | None, retry_after: float | None
    ) -> None:
        super().__init__(status, type, message, facts)
        self.retry_after = retry_after


class UnknownJobError(ServerError, LookupError):
    """The server knows no job of this id."""


class KnownJobError(ServerError):
    """There is a job of this id already: a request that was sent again was heard the first time."""


class ConnectionLostError(WorkflowError, ConnectionError):
    """The server cannot be reached, or not for as long as was waited. A job that it has accepted goes on: see `job`."""

    def __init__(self, message: str, job: str | None = None) -> None:
        super().__init__(message)
        self.job = job
        """The id of the job, if the server told it; `Client.result(job)` has its result later."""


def refusal_of(status: int, body: Any, retry_after: str | None = None) -> WorkflowError:
    """The exception for an answer with an error status. `body` is its JSON, or anything else."""
    told = body.get("error") if isinstance(body, Mapping) else None
    error: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    kind, message = (
        str(error.get("type") or ""),
        str(error.get("message") or f"The server answered with status {status}."),
    )
    extra = error.get("extra_info")
    facts: Mapping[str, Any] = extra if isinstance(extra, Mapping) else {}
    if isinstance(body, Mapping) and body.get("node_errors"):
        facts = {**facts, "node_errors": body["node_errors"]}
    problems = [one for one in facts.get("problems") or () if isinstance(one, Mapping)]
    if kind == "invalid_arguments":
        return argument_error(message, problems)
    if isinstance(body, Mapping) and body.get("node_errors"):
        return graph_error(message, body["node_errors"])
    if kind == "job_cancelled":
        return RunCancelledError(message)
    if kind == "job_failed":
        failure = facts.get("error")
        return RunFailedError(message, [failure] if isinstance(failure, Mapping) else [])
    if status == 404 and "job" in kind:
        return UnknownJobError(status, kind, message, facts)
    if status == 404 and "workflow" in kind:
        return UnknownWorkflowError(message, [facts])
    if status == 409 and kind == "duplicate_prompt_id":
        return KnownJobError(status, kind, message, facts)
    if status == 409:
        return InvalidWorkflowError(message, [facts])
    if status in (401, 403):
        return NotAllowedError(status, kind, message, facts)
    if status == 429:
        return TooManyRequestsError(status, kind, message, facts, _seconds(retry_after))
    return ServerError(status, kind, message, facts)


def graph_error(message: str, node_errors: Mapping[str, Any]) -> InvalidWorkflowError:
    """The exception for a graph whose nodes have problems."""
    problems = [
        {"node_id": node, "class_type": told.get("class_type"), **error}
        for node, told in node_errors.items()
        for error in told.get("errors") or ()
    ]
    lines = [f"node {one['node_id']} ({one['class_type']}): {one['message']} ({one['details']})" for one in problems]
    return InvalidWorkflowError("\n".join([message, *lines[:_MOST_TOLD]]), problems)


_MOST_TOLD: Final = 12


def _seconds(text: str | None) -> float | None:
    try:
        return max(float(text), 0.0) if text is not None else None
    except ValueError:
        return None
