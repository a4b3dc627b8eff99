"""Saved workflows as tools, whoever has read them: names that clients take, and schemas that say all a model must know."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from engine.mcp_tools.names import title_of, tool_names
from engine.mcp_tools.records import ToolOutput, WorkflowTool
from engine.mcp_tools.uris import file_of

MEDIA: Final = "x-safelight-media"
"""What the schema of a parameter for a file says: its kind."""

FILE_HINT: Final = (
    "A file name of the input folder, a data URL (data:image/png;base64,…), or the address of an earlier output "
    "(safelight://output/…)."
)
SEED_HINT: Final = '"random" draws one; the result says which.'


class Read(NamedTuple):
    """A workflow as it was read: `schema` is the JSON Schema of what it takes."""

    workflow: str
    doc: str
    schema: Mapping[str, Any]
    outputs: tuple[ToolOutput, ...]


def tools_of(found: Iterable[Read], only: Sequence[str] = ()) -> list[WorkflowTool]:
    """The tools, by name. `only` are patterns of workflows, none: all of them. What gives nothing is none."""
    wanted = [
        one
        for one in found
        if one.outputs and (not only or any(fnmatchcase(one.workflow, pattern) for pattern in only))
    ]
    names = tool_names(one.workflow for one in wanted)
    tools = [
        WorkflowTool(
            name=names[one.workflow],
            workflow=one.workflow,
            title=title_of(one.workflow),
            doc=one.doc,
            schema=told_schema(one.schema),
            outputs=one.outputs,
        )
        for one in wanted
    ]
    return sorted(tools, key=lambda one: one.name)


def told_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema for whoever knows nothing else: parameters for files say how one is named, seeds that one can be drawn."""
    told = copy.deepcopy(dict(schema))
    for one in told.get("properties", {}).values():
        if MEDIA in one:
            one.pop("format", None)  # a file name need not be an address
            one["description"] = f"{one.get('description', '')} {FILE_HINT}".strip()
        elif any(choice.get("const") == "random" for choice in one.get("anyOf", ())):
            one["description"] = f"{one.get('description', '')} {SEED_HINT}".strip()
    return told


def with_names(tool: WorkflowTool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, with the names that nodes know in place of the addresses of earlier outputs: `a.png [output]`."""
    given = dict(arguments)
    for name, one in tool.schema.get("properties", {}).items():
        value = given.get(name)
        file = file_of(value) if MEDIA in one and isinstance(value, str) else None
        if file is not None:
            given[name] = file.name if file.folder == "input" else f"{file.name} [{file.folder}]"
    return given
