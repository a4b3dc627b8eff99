"""Nodes that read something of the world. The cache only knows what is an input, so the rest must be said."""

from __future__ import annotations

import random
from datetime import date
from typing import Annotated

from engine.api import Context, Files, In, node


@node("ExampleToday", category="example/outside", display_name="Today (example)")
class Today:
    """The date of today. A class is a node too: `run` has the signature, and there is one object for each node of a graph."""

    def run(self, pattern: str = "%Y-%m-%d") -> str:
        """Today's date by `pattern`."""
        return date.today().strftime(pattern)

    @staticmethod
    def validate(pattern: str | None) -> bool | str:
        """Asked before a job is accepted: True, or what is wrong. An input that is linked has no value yet: None."""
        return (
            True
            if pattern is None or "%" in pattern
            else f"{pattern!r} has no % in it, so the date would not show. Write %Y-%m-%d."
        )

    @staticmethod
    def fingerprint() -> str:
        """What changes when the world does: yesterday's result is no longer good, that of this morning is."""
        return date.today().isoformat()


@node("ExampleFileSize", category="example/outside", display_name="File size (example)")
def file_size(ctx: Context, file: Annotated[str, In(choices=Files("input"), tip="A file of input/.")]) -> int:
    """The bytes of a file. `Files` offers what is in a folder, and what is in the chosen file counts as input."""
    return int(ctx.paths.find("input", file).stat().st_size)


@node("ExampleDice", category="example/outside", display_name="Dice (example)", cache=False)
def dice(sides: Annotated[int, In(ge=2, le=1000)] = 6) -> int:
    """Throw a die: `cache=False` runs anew each time. For a result that can be had again, take a `Seed` as input."""
    return random.randint(1, sides)
