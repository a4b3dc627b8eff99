"""From what a call gave to what a language model reads: pictures, sounds and texts, links to files, and the facts as data.

A message has a bound: clients read answers of some 1 MiB, base64 counted. So what is larger comes as a smaller picture and as a
link to a resource.
"""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import PurePosixPath
from typing import Any, Final

from mcp_types import AudioContent, CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent

from engine.mcp_tools.previews import preview_of
from engine.mcp_tools.records import Backend, GivenOutput, Outcome, Produced, ToolError, WorkflowTool
from engine.mcp_tools.uris import uri_of
from engine.media.types import TEXTS, TYPES, UNKNOWN

INLINE_BYTES: Final = 700 * 1024
"""Of all files in an answer together, before base64."""

MOST_SHOWN: Final = 8
"""Pictures and sounds in an answer; of more there are links."""

MOST_TEXT: Final = 30_000
"""Characters of all texts in an answer."""

_MEDIA: Final = ("image/", "audio/")

MOST_READ: Final = 64 * 1024 * 1024
"""Bytes of a file from which a smaller picture is made."""

OUTPUT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "outputs": {
            "type": "array",
            "description": "What each output of the workflow gave.",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "kind": {"type": "string"},
                    "files": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "uri": {"type": "string", "description": "For resources/read, and as an argument."},
                                "name": {"type": "string"},
                                "mimeType": {"type": "string"},
                                "size": {"type": "integer", "description": "Bytes."},
                                "path": {"type": "string", "description": "On the machine of the engine."},
                                "url": {"type": "string"},
                            },
                            "required": ["uri", "name"],
                        },
                    },
                    "texts": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["name", "kind"],
            },
        },
        "values": {"type": "object", "description": "Every parameter with the value that ran."},
        "seed": {"type": "integer"},
        "seconds": {"type": "number"},
        "nodes": {
            "type": "object",
            "properties": {"ran": {"type": "integer"}, "reused": {"type": "integer"}},
        },
        "notes": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["outputs", "values"],
}
"""Of the structured part of every answer."""


async def result_of(backend: Backend, outcome: Outcome) -> CallToolResult:
    """The answer to a call."""
    media = sum(_kind(file).startswith(_MEDIA) for one in outcome.outputs for file in one.files)
    share = INLINE_BYTES // max(1, min(MOST_SHOWN, media))
    left, room = MOST_SHOWN, MOST_TEXT
    blocks: list[ContentBlock] = []
    outputs: list[dict[str, Any]] = []
    for output in outcome.outputs:
        told = []
        for file in output.files:
            found, size = await _content(backend, file, share) if left else ([], None)
            left -= bool(found)
            facts = _facts(backend, file, size)
            told.append(facts)
            blocks += [*found, _link(file, size)]
        for text in output.texts:
            blocks.append(TextContent(text=text[:room]))
            room = max(0, room - len(text))
        outputs.append(_output(output, told))
    structured = _structured(outcome, outputs)
    blocks.append(TextContent(text=json.dumps(structured, ensure_ascii=False)))
    return CallToolResult(content=blocks, structured_content=structured)


def refused(error: ToolError) -> CallToolResult:
    """The answer to a call that cannot be made, or failed."""
    return CallToolResult(content=[TextContent(text=str(error))], is_error=True)


def description(tool: WorkflowTool) -> str:
    """What a language model is told of a tool: what it does, and what it gives."""
    given = "; ".join(f"{one.name} ({one.kind})" + (f": {one.doc}" if one.doc else "") for one in tool.outputs)
    doc = tool.doc or f"Runs the saved workflow {tool.workflow}."
    return (
        f"{doc}\n\nGives {given}. What is not said keeps the value it was saved with; equal calls give equal results."
    )


def media_type(name: str) -> str:
    """What a file is by its name."""
    suffix = PurePosixPath(name).suffix.lower()
    return TYPES.get(suffix) or TEXTS.get(suffix, "").partition(";")[0] or UNKNOWN


async def _content(backend: Backend, file: Produced, most: int) -> tuple[list[ContentBlock], int | None]:
    """A picture or a sound as content of at most `most` bytes, and the size of the file where it was read."""
    if not _kind(file).startswith(_MEDIA):
        return [], None
    try:
        data, kind = await backend.read(file, MOST_READ)
    except ToolError as error:
        return [TextContent(text=str(error))], None
    if kind.startswith("image/"):
        return await asyncio.to_thread(_picture, file, data, kind, most), len(data)
    if kind.startswith("audio/") and len(data) <= most:
        return [AudioContent(data=base64.b64encode(data).decode(), mime_type=kind)], len(data)
    return [], len(data)


def _picture(file: Produced, data: bytes, kind: str, most: int) -> list[ContentBlock]:
    found = preview_of(data, kind, most)
    if found is None:
        return []
    picture = ImageContent(data=base64.b64encode(found.data).decode(), mime_type=found.kind)
    if not found.smaller:
        return [picture]
    width, height = found.size
    return [picture, TextContent(text=f"A smaller copy: the picture of {width} x {height} pixels is {uri_of(file)}")]


def _link(file: Produced, size: int | None) -> ResourceLink:
    return ResourceLink(name=file.name, uri=uri_of(file), mime_type=_kind(file), size=size)


def _facts(backend: Backend, file: Produced, size: int | None) -> dict[str, Any]:
    facts = {"uri": uri_of(file), "name": file.name, "mimeType": _kind(file)}
    return facts | ({"size": size} if size is not None else {}) | backend.place(file)


def _output(output: GivenOutput, files: list[dict[str, Any]]) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": output.name, "kind": output.kind}
    return facts | ({"files": files} if files else {}) | ({"texts": list(output.texts)} if output.texts else {})


def _structured(outcome: Outcome, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "outputs": outputs,
        "values": outcome.values,
        "seconds": round(outcome.seconds, 3),
        "nodes": outcome.counts,
    }
    seed = outcome.values.get("seed")
    if isinstance(seed, int):
        facts["seed"] = seed
    return facts | ({"notes": list(outcome.notes)} if outcome.notes else {})


def _kind(file: Produced) -> str:
    return media_type(file.name)
