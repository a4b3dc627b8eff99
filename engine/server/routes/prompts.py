"""Posting graphs, and the queue in one number."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from engine.graph.problems import GraphError
from engine.graph.schema import Catalogue
from engine.jobs.dispatch import Dispatcher
from engine.media.errors import MediaError
from engine.media.graph_file import begins_as_json
from engine.server.acceptance import Acceptance
from engine.server.bodies import read_body
from engine.server.checks import GraphRefused
from engine.server.graph_source import Posted, read_graph
from engine.server.principals import principal_of
from engine.server.refusals import Refusal, json_response
from engine.server.routing import Route
from engine.server.submission import answer

LARGE: Final = 256 * 1024
"""Bytes of a body from which on it is read on a thread, so that other clients are not kept waiting."""


MOST_NODES: Final = 100_000
"""Nodes of one graph. A node takes some kilobytes while it is checked."""


def prompt_routes(acceptance: Acceptance, dispatcher: Dispatcher) -> list[Route]:
    """POST /prompt and GET /prompt."""
    submit = _Submit(acceptance)

    async def remaining(request: web.Request) -> web.Response:
        remaining = dispatcher.remaining_of(principal_of(request).only)
        return json_response({"exec_info": {"queue_remaining": remaining}})

    return [
        Route(
            method="POST",
            path="/prompt",
            handler=submit.post,
            summary="Queue a graph: a prompt, a saved workflow, settings of the web UI, or a file that carries one.",
            tag="queue",
            body=BODY,
            answer=ANSWER,
            refusals={
                400: "The graph or a field is not sound; `node_errors` lists every problem.",
                409: "A job with this prompt_id is known already.",
                413: "The body is too large.",
                429: "The token has used up a limit; the message says which, and Retry-After when to post again.",
                503: "The server is ending and takes no further jobs.",
                507: "The disk is full.",
            },
        ),
        Route(
            method="GET",
            path="/prompt",
            handler=remaining,
            summary="How many jobs have not ended.",
            tag="queue",
            answer=REMAINING,
        ),
    ]


_NODE: Final = b'"class_type"'

_STEP: Final = 4 * 1024 * 1024
"""Bytes that are counted in one go: other threads have to wait for it."""


def check_size(body: bytes) -> None:
    """Raises Refusal 413 for a graph of so many nodes that reading it would take the memory of the server."""
    nodes = sum(body.count(_NODE, at, at + _STEP + len(_NODE) - 1) for at in range(0, len(body), _STEP))
    if nodes > MOST_NODES:
        message = f"The graph has {nodes:,} nodes; at most {MOST_NODES:,} are taken."
        raise Refusal(413, "too_many_nodes", message, limit=MOST_NODES)


class _Submit:
    def __init__(self, acceptance: Acceptance) -> None:
        self._acceptance = acceptance

    async def post(self, request: web.Request) -> web.Response:
        """Accepted means on disk: the answer comes after the store has it."""
        body: bytes | None = await read_body(request)
        assert body is not None
        self._acceptance.refuse_when_ending()
        catalogue = await self._acceptance.catalogue()
        large = len(body) > LARGE
        apart = large or not begins_as_json(body)  # what is not JSON may name files that are looked into
        posted: Posted | None = (
            await asyncio.to_thread(self._read, body, catalogue) if apart else self._read(body, catalogue)
        )
        assert posted is not None
        body, notes = None, posted.notes
        job, wish, errors = await self._acceptance.check(posted, catalogue, large=large)
        posted = None  # the store copies what it writes: of a long graph no more is held than that
        await self._acceptance.accept(job, wish)
        return json_response(answer(job, errors, notes))

    def _read(self, body: bytes, catalogue: Catalogue) -> Posted:
        try:
            check_size(body)
            return read_graph(body, catalogue, files=self._acceptance.files)
        except GraphError as error:
            raise GraphRefused(error.response()) from None
        except MediaError as error:
            raise Refusal(400, "no_graph", str(error)) from None


_OBJECT: Final = {"type": "object"}

PROMPT: Final = {
    "type": "object",
    "description": "The prompt form of a graph: node id → node.",
    "additionalProperties": {
        "type": "object",
        "required": ["class_type"],
        "properties": {"class_type": {"type": "string"}, "inputs": _OBJECT, "_meta": _OBJECT},
    },
}

BODY: Final = {
    "type": "object",
    "required": ["prompt"],
    "properties": {
        "prompt": PROMPT,
        "client_id": {"type": "string", "description": "The websocket client that hears of the job."},
        "prompt_id": {"type": "string", "description": "The job's id; one is made when it is left out."},
        "number": {"type": "number", "description": "Place in the queue: lower ones first."},
        "front": {"type": "boolean", "description": "Go before all jobs that wait."},
        "extra_data": {"type": "object", "properties": {"extra_pnginfo": _OBJECT}},
        "partial_execution_targets": {"type": "array", "items": {"type": "string"}},
    },
}

ANSWER: Final = {
    "type": "object",
    "required": ["prompt_id", "number", "node_errors"],
    "properties": {
        "prompt_id": {"type": "string"},
        "number": {"type": "number"},
        "node_errors": _OBJECT,
        "notes": {
            "type": "array",
            "items": _OBJECT,
            "description": "What must be known about a graph that was imported.",
        },
    },
}

REMAINING: Final = {
    "type": "object",
    "properties": {"exec_info": {"type": "object", "properties": {"queue_remaining": {"type": "integer"}}}},
}
