"""Workflows and calls as JSON."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from engine.graph.signature_schema import arguments_schema
from engine.graph.values import ChoicesOf
from engine.server.refusals import Refusal
from engine.server.workflows.library import BrokenWorkflow, SavedWorkflow
from engine.server.workflows.readiness import Readiness
from engine.server.workflows.results import CallResult, ResultFile, ResultOutput

EMBEDDED: Final = 32 * 1024**2
"""Bytes of files that one answer holds; of what is beyond, it has the addresses."""


def workflow_url(name: str) -> str:
    """Where a workflow is, as a path of the server."""
    return f"/api/v1/workflows/{quote(name)}"


def job_url(job_id: str) -> str:
    """Where a call is, as a path of the server."""
    return f"/api/v1/jobs/{quote(job_id, safe='')}"


def operation_of(name: str) -> str:
    """The name of a workflow's operation: `run_text_to_image`. Two names may have one; see `operations_of`."""
    return "run_" + (re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "workflow")


def operations_of(names: Sequence[str]) -> dict[str, str]:
    """Workflow → its operation; of several that would have the same name, the later ones are numbered."""
    taken: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in names:
        operation, number = operation_of(name), 2
        while (free := operation if number == 2 else f"{operation}_{number - 1}") in taken:
            number += 1
        taken[free] = found[name] = free
    return found


def workflow_json(
    workflow: SavedWorkflow, readiness: Readiness, choices: ChoicesOf, thumbnail: bool, prefix: str
) -> dict[str, Any]:
    """A workflow with its signature. `prefix` is the path below which a proxy shows the server."""
    url = prefix + workflow_url(workflow.name)
    return {
        "name": workflow.name,
        "doc": workflow.signature.doc,
        "parameters": arguments_schema(workflow.signature, choices),
        "outputs": [{"name": one.name, "kind": one.kind, "doc": one.doc} for one in workflow.signature.outputs],
        "runnable": readiness.runnable,
        "problems": list(readiness.problems),
        "missing_nodes": list(readiness.missing_nodes),
        "missing_models": list(readiness.missing_models),
        "url": url,
        "run_url": f"{url}/run",
        "thumbnail_url": f"{url}/thumbnail" if thumbnail else None,
    }


def broken_json(workflow: BrokenWorkflow, prefix: str) -> dict[str, Any]:
    """A file that is no workflow, in the same form."""
    url = prefix + workflow_url(workflow.name)
    return {
        "name": workflow.name,
        "doc": "",
        "parameters": {"type": "object", "properties": {}},
        "outputs": [],
        "runnable": False,
        "problems": [workflow.message],
        "missing_nodes": [],
        "missing_models": [],
        "url": url,
        "run_url": f"{url}/run",
        "thumbnail_url": None,
    }


def result_json(result: CallResult, prefix: str, data: Mapping[str, bytes] | None = None) -> dict[str, Any]:
    """A call, ended or not. `data`: address of a file → its bytes, which then stand in the JSON."""
    return {
        "job_id": result.job_id,
        "url": prefix + job_url(result.job_id),
        "state": result.state,
        "workflow": result.workflow,
        "values": result.values,
        "outputs": {name: _output(one, prefix, data or {}) for name, one in result.outputs.items()},
        "created": result.created,
        "started": result.started,
        "ended": result.ended,
        "seconds": result.seconds,
        "ran": [{"node": one.node, "seconds": one.seconds} for one in result.ran],
        "reused": list(result.reused),
        "notes": list(result.notes),
        "waits_for": result.waits_for,
        "error": error_json(result),
    }


def error_json(result: CallResult) -> dict[str, Any] | None:
    """Why a call failed, without what only its author wants to know."""
    if result.state != "failed":
        return None
    error = result.error or {}
    return {
        "message": str(error.get("exception_message") or "The job failed."),
        "type": str(error.get("exception_type") or "Error"),
        "node_id": error.get("node_id"),
        "node_type": error.get("node_type"),
        "input": error.get("input_name"),
    }


def failure_of(result: CallResult, prefix: str) -> Refusal | None:
    """The refusal that a call became which did not end well; None for one that did, or has not ended."""
    facts = {"job_id": result.job_id, "url": prefix + job_url(result.job_id)}
    if result.state == "cancelled":
        return Refusal(409, "job_cancelled", "The job was cancelled before it had its result.", **facts)
    error = error_json(result)
    if error is None:
        return None
    at = f"Node {error['node_id']} ({error['node_type']}): " if error["node_id"] else ""
    return Refusal(500, "job_failed", f"{at}{error['message']}", **facts, error=error)


def _output(one: ResultOutput, prefix: str, data: Mapping[str, bytes]) -> dict[str, Any]:
    files = [_file(file, prefix, data.get(file.url)) for file in one.files]
    return {"kind": one.kind, "files": files, "texts": list(one.texts)}


def _file(file: ResultFile, prefix: str, data: bytes | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "filename": file.filename,
        "subfolder": file.subfolder,
        "type": file.type,
        "media_type": file.media_type,
        "url": prefix + file.url,
    }
    return told if data is None else {**told, "base64": base64.b64encode(data).decode()}
