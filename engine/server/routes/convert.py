"""POST /api/v1/convert: one form of a graph in, the other out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import BodyPartReader, web

from engine.graph.a1111 import ModelFiles
from engine.graph.layout import prompt_to_workflow
from engine.graph.problems import GraphError, Problem
from engine.graph.schema import Catalogue
from engine.media.errors import MediaError
from engine.media.graph_file import begins_as_json
from engine.server.bodies import LIMITS, Pace, read_body, too_large
from engine.server.graph_source import Posted, read_graph
from engine.server.limits import Limits
from engine.server.refusals import Refusal, json_response
from engine.server.routing import Query, Route

FORMS: Final = ("prompt", "workflow")
_SMALL: Final = 64 * 1024
"""Bytes up to which a body is converted at once: a thread would cost more."""


class Converted(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A graph in the prompt form, in the saved form too where there is one, and what stands in the way of using it."""

    prompt: dict[str, Any]
    workflow: dict[str, Any] | None = None
    """As it was posted or found in a file, with all its keys; laid out anew when it was asked for and there was none."""
    problems: list[Problem]
    """What is wrong with the saved form itself. Whether the graph can run is checked by POST /prompt."""
    notes: list[Problem] = []
    """What must be known about it: settings of the web UI that have no counterpart, or only a near one, here."""
    missing_node_types: list[str]
    """Node types that no pack here has. Their nodes are converted as far as their own data allow."""


def convert_routes(catalogue: Callable[[], Awaitable[Catalogue]], files: ModelFiles) -> list[Route]:
    """The one route. `catalogue` gives the node types, which say what the widget values of a saved workflow mean.

    `files` are the model files that settings of the web UI may name.
    """

    async def convert(request: web.Request) -> web.Response:
        to = request.query.get("to", "prompt")
        if to not in FORMS:
            message = f"to={to[:40]!r}: expected {' or '.join(FORMS)}, the form to convert to."
            raise Refusal(400, "invalid_query", message, query="to")
        data, name = await _posted_bytes(request)
        known = await catalogue()
        if len(data) <= _SMALL and begins_as_json(data):
            return json_response(_converted(data, name, to, known, files))
        made = await asyncio.to_thread(lambda: msgspec.json.encode(_converted(data, name, to, known, files)))
        return json_response(made)

    return [
        Route(
            method="POST",
            path="/api/v1/convert",
            handler=convert,
            api_only=True,
            tag="prompts",
            summary="Convert a graph between the prompt form and the saved workflow form.",
            query=(
                Query(
                    name="to",
                    doc="The form that is wanted.",
                    schema={"type": "string", "enum": list(FORMS), "default": "prompt"},
                ),
            ),
            body=dict[str, Any],
            answer=Converted,
            refusals={
                400: "The body is no graph in any known form, a file that carries none, or settings that are cut off.",
                413: "The body is larger than allowed.",
            },
        )
    ]


async def _posted_bytes(request: web.Request) -> tuple[bytes, str]:
    """The body, or the first file of a multipart form, and what messages call it."""
    if not request.content_type.startswith("multipart/"):
        return await read_body(request), "the body"
    limits = request.app.get(LIMITS) or Limits()
    try:
        reader = await request.multipart()
        async for part in reader:
            if isinstance(part, BodyPartReader) and part.filename is not None:
                return await _file(part, limits), part.filename[:100] or "the file"
    except (ValueError, AssertionError, RuntimeError) as error:
        raise Refusal(400, "invalid_multipart", f"The multipart body is damaged: {error}.") from error
    raise Refusal(400, "missing_file", "The form has no file. Send the graph as the part `file`, with a file name.")


async def _file(part: BodyPartReader, limits: Limits) -> bytes:
    pace = Pace(limits)
    data = bytearray()
    while chunk := await pace.wait(part.read_chunk(256 * 1024), len(data)):
        data += chunk
        if len(data) > limits.max_body:
            raise too_large(limits.max_body, what="The file")
    return bytes(data)


def _converted(data: bytes, name: str, to: str, catalogue: Catalogue, files: ModelFiles) -> Converted:
    try:
        posted = read_graph(data, catalogue, name, files)
        workflow = posted.workflow
        if workflow is None and to == "workflow":
            workflow = prompt_to_workflow(posted.prompt, catalogue)
    except GraphError as error:
        first = error.problems[0]
        message = f"{first.message}. {first.hint}" if first.hint else first.message
        raise Refusal(400, first.type, message, details=first.details) from error
    except MediaError as error:
        raise Refusal(400, "no_graph_in_file", str(error)) from error
    return Converted(
        prompt=posted.prompt,
        workflow=workflow,
        problems=posted.problems,
        notes=posted.notes,
        missing_node_types=_missing(posted, catalogue),
    )


def _missing(posted: Posted, catalogue: Catalogue) -> list[str]:
    types = (node.get("class_type") for node in posted.prompt.values() if isinstance(node, dict))
    return sorted({one for one in types if isinstance(one, str) and one not in catalogue})
