"""What passes between the protocol and the engine that runs the tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec


class ToolOutput(msgspec.Struct, frozen=True, kw_only=True):
    """An output of a workflow: its name, its kind (`image`, `audio`, `text`, …) and what it is."""

    name: str
    kind: str
    doc: str = ""


class WorkflowTool(msgspec.Struct, frozen=True, kw_only=True):
    """A saved workflow as a tool."""

    name: str
    """As clients call it: see `engine.mcp_tools.names`."""
    workflow: str
    """As `safelight workflows` lists it."""
    title: str
    doc: str
    schema: dict[str, Any]
    """The JSON Schema of what it takes."""
    outputs: tuple[ToolOutput, ...]


class Produced(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a node made: its folder (`output`, `temp`, `input`), and its name there, with `/` between subfolders."""

    folder: str
    name: str


class GivenOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What one output of a workflow gave."""

    name: str
    kind: str
    files: tuple[Produced, ...] = ()
    texts: tuple[str, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a call gave. `values` are those that ran, by parameter, seeds that were drawn among them."""

    outputs: tuple[GivenOutput, ...]
    values: dict[str, Any]
    seconds: float
    counts: dict[str, int]
    """Nodes that `ran`, and that were `reused`."""
    notes: tuple[str, ...] = ()
    """What went wrong with outputs that others did not need."""


class Progress(msgspec.Struct, frozen=True):
    """How far a call is: `done` of `total` nodes, the one that runs by its share, and what is being done."""

    done: float
    total: float
    message: str


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A file that can be read: where it is, how large (bytes, where that is known), and when it was changed (Unix seconds)."""

    file: Produced
    size: int | None
    changed: float


Tell: TypeAlias = Callable[[Progress], None]
"""Takes progress, from any thread."""


class ToolError(Exception):
    """A call that cannot be made, or failed: the text says everything that is wrong, so that the caller can mend it."""


class Backend(Protocol):
    """An engine that has workflows, runs them, and keeps what they give."""

    look_every: float
    """Seconds between two looks at whether there are other workflows."""

    async def tools(self) -> Sequence[WorkflowTool]:
        """Every workflow that can be called now. Raises ToolError when the engine cannot be asked."""
        ...

    async def run(self, tool: WorkflowTool, arguments: Mapping[str, Any], tell: Tell) -> Outcome:
        """Run a workflow; a call that is cancelled stops within a step. Raises ToolError."""
        ...

    async def newest(self, most: int) -> Sequence[Stored]:
        """The files of the output folder, newest first. Raises ToolError."""
        ...

    async def read(self, file: Produced, most: int) -> tuple[bytes, str]:
        """The bytes of a file, at most `most`, and its media type. Raises ToolError."""
        ...

    def place(self, file: Produced) -> dict[str, str]:
        """Where else a file is found: its `path` on this machine, or its `url`."""
        ...

    async def close(self) -> None:
        """Stop what runs, and let go of everything."""
        ...
