"""From the body of POST /jobs to a job in the queue."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.graph.problems import GraphError
from engine.graph.schema import Catalogue
from engine.jobs.dispatch import Dispatcher
from engine.jobs.records import Job
from engine.media.errors import MediaError
from engine.server.acceptance import Acceptance
from engine.server.api_v2.asset_index import AssetIndex
from engine.server.api_v2.assets import Assets
from engine.server.api_v2.problems import Problem, graph_problem
from engine.server.api_v2.references import resolve
from engine.server.checks import GraphRefused
from engine.server.graph_source import Posted, read_graph
from engine.server.idempotency import Claim
from engine.server.routes.prompts import LARGE, check_size

MOST_LABELS: Final = 16
LONGEST_LABEL: Final = 256
LONGEST_TEXT: Final = 1024
"""Bytes of `metadata` that is a text."""
MOST_PRIORITY: Final = 1_000_000

WAIT: Final = 5
"""Seconds after which a client whose job found the queue full may ask again."""

_RESERVED: Final = ("webhook_url", "inputs")
_EXTRA: Final = "api_key_comfy_org"


class Submitting:
    """Takes graphs in as POST /prompt does: the same checks, the same queue. `most` jobs may wait."""

    def __init__(
        self, acceptance: Acceptance, dispatcher: Dispatcher, assets: Assets, index: AssetIndex, most: int
    ) -> None:
        self._acceptance = acceptance
        self._dispatcher = dispatcher
        self._assets = assets
        self._index = index
        self._most = most

    async def take(self, body: bytes, claim: Claim | None) -> tuple[Job, dict[str, Any]]:
        """The job that the body asks for, in the queue and on disk, and the problems of nodes that do not stop it.

        Raises Problem, and Refusal as POST /prompt does.
        """
        self._acceptance.refuse_when_ending()
        if len(self._dispatcher.queue) >= self._most:
            message = f"{len(self._dispatcher.queue)} jobs wait, the most that are taken. Send it again later."
            raise Problem(429, "queue_full", message, headers={"Retry-After": str(WAIT)})
        large = len(body) > LARGE
        wish = await asyncio.to_thread(_decoded, body) if large else _decoded(body)
        labels, workflow = _labels(wish), _workflow(wish)
        saved = isinstance(workflow.get("nodes"), list)
        used = await resolve(workflow, self._assets.usable, large=large)
        job_id = str(uuid.uuid4())
        catalogue = await self._acceptance.catalogue()
        try:
            posted = (
                await asyncio.to_thread(self._read, workflow, job_id, catalogue)
                if large
                else self._read(workflow, job_id, catalogue)
            )
            job, place, errors = await self._acceptance.check(posted, catalogue, large=large)
        except GraphRefused as refused:
            raise graph_problem(refused, saved=saved) from None
        await asyncio.shield(self._accept(job, place, labels, [asset.id for asset in used], claim))
        return job, errors

    async def _accept(self, job: Job, place: Any, labels: dict[str, Any], used: list[str], claim: Claim | None) -> None:
        """To its end even when the client has gone. What is noted of the job is on disk before the job is."""
        if claim is not None:
            await claim.hold(job.id)
        if labels or used:
            await self._index.note_job(job.id, labels, used)
        try:
            await self._acceptance.accept(job, place)
        except Exception:
            if labels or used:
                await self._index.forget_job(job.id)
            raise
        if claim is not None:
            await claim.keep()

    def _read(self, workflow: dict[str, Any], job_id: str, catalogue: Catalogue) -> Posted:
        body = msgspec.json.encode({"prompt": workflow, "prompt_id": job_id})
        try:
            check_size(body)
            return read_graph(body, catalogue, "workflow", self._acceptance.files)
        except GraphError as error:
            raise GraphRefused(error.response()) from None
        except MediaError as error:
            raise Problem(422, "invalid_workflow", str(error)) from None


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        check_size(body)
        wish = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise Problem(400, "invalid_request", f"The body is not JSON: {error}.") from None
    if not isinstance(wish, dict):
        raise Problem(400, "invalid_request", f"Expected an object with a workflow, got {type(wish).__name__}.")
    return wish


def _workflow(wish: Mapping[str, Any]) -> dict[str, Any]:
    for name in _RESERVED:
        if wish.get(name) is not None:
            raise Problem(422, "invalid_workflow", f"{name}: reserved by the contract, and not taken. Leave it out.")
    extra = wish.get("extra_data")
    if extra is not None and not (
        isinstance(extra, dict) and set(extra) <= {_EXTRA} and all(isinstance(one, str) for one in extra.values())
    ):
        raise Problem(400, "invalid_request", f"extra_data: expected an object with the text {_EXTRA} at most.")
    workflow = wish.get("workflow")
    if not isinstance(workflow, dict) or not workflow:
        message = "workflow: expected a graph, in the prompt form ({id: {class_type, inputs}}) or as editors save it"
        raise Problem(422, "invalid_workflow", f"{message}; got {type(workflow).__name__}.")
    return workflow


def _labels(wish: Mapping[str, Any]) -> dict[str, Any]:
    """`metadata` and `priority`, as they are told again. Raises Problem 422."""
    labels: dict[str, Any] = {}
    metadata, priority = wish.get("metadata"), wish.get("priority")
    if metadata is not None:
        _check_metadata(metadata)
        labels["metadata"] = metadata
    if priority is not None:
        if isinstance(priority, bool) or not isinstance(priority, int) or abs(priority) > MOST_PRIORITY:
            message = (
                f"priority: expected a whole number from -{MOST_PRIORITY} to {MOST_PRIORITY}, got {priority!r:.50}."
            )
            raise Problem(422, "invalid_request", message)
        labels["priority"] = priority
    return labels


def _check_metadata(metadata: Any) -> None:
    if isinstance(metadata, str):
        if len(metadata.encode("utf-8", "replace")) > LONGEST_TEXT:
            raise Problem(422, "metadata_invalid", f"metadata: a text may have {LONGEST_TEXT} bytes at most.")
        return
    if not isinstance(metadata, dict):
        message = f"metadata: expected texts by name, or one text; got {type(metadata).__name__}."
        raise Problem(422, "metadata_invalid", message)
    if len(metadata) > MOST_LABELS:
        raise Problem(422, "metadata_invalid", f"metadata: {len(metadata)} pairs; at most {MOST_LABELS} are kept.")
    for key, value in metadata.items():
        if not 0 < len(key) <= LONGEST_LABEL or not isinstance(value, str) or len(value) > LONGEST_LABEL:
            message = f"metadata[{key[:80]}]: expected a text of at most {LONGEST_LABEL} characters under such a name"
            raise Problem(422, "metadata_invalid", f"{message}; got {type(value).__name__}.")
