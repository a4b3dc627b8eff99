"""What the ways to run a workflow share: how a call ended, and the part that runs calls, here or on a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from engine.cli import exits

if TYPE_CHECKING:
    from pathlib import Path

    from engine.cli.calls import Call, Caller
    from engine.cli.display import Display
    from engine.cli.outcome import Output
    from engine.execute.cancel import CancelToken
    from engine.execute.result import RunResult
    from engine.graph.problems import Problem
    from engine.graph.schema import Files


@dataclass(frozen=True)
class Ran:
    """How a call ended, and what it gave."""

    call: Call
    result: RunResult
    outputs: list[Output]
    problems: list[Problem] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code."""
        return {"done": exits.OK, "failed": exits.FAILED}.get(self.result.status, exits.INTERRUPTED)


class Runner(Protocol):
    """Runs calls of the workflow that the options name; what several of them share is done once."""

    async def open(self) -> None:
        """Make ready. Raises CliError."""
        ...

    @property
    def output_folder(self) -> Path:
        """Where files go that belong to no single call: `--out`, else the output folder."""
        ...

    def caller(self) -> Caller:
        """The workflow as it is now. Raises CliError."""
        ...

    def choices(self, files: Files) -> list[str]:
        """The files that an input may name now."""
        ...

    async def run(self, call: Call, display: Display, cancel: CancelToken | None = None) -> Ran:
        """Run a call, its files where they are asked for. Raises CliError before anything ran."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...
