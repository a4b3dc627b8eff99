"""Whether a job can run here at all: it was checked against nodes that this process may not have."""

from __future__ import annotations

from typing import Final

from engine.graph.prompt import Prompt
from engine.graph.topology import needed
from engine.plugins.library import Library

MOST_TOLD: Final = 5


def missing(prompt: Prompt, outputs: tuple[str, ...], library: Library) -> str:
    """Which node types of a job are not there, and which packs were not loaded, in a sentence or two; empty when all are."""
    unknown = {name for name in {node.class_type for node in prompt.values()} if not library.has(name)}
    if not unknown:
        return ""
    lacking = sorted({prompt[node].class_type for node in needed(prompt, outputs)} & unknown)
    if not lacking:
        return ""
    names = ", ".join(map(repr, lacking[:MOST_TOLD])) + (" and others" if len(lacking) > MOST_TOLD else "")
    failed = [f"{record.pack}: {record.error}" for record in library.foreign if record.error][:MOST_TOLD]
    why = f" Not loaded: {' '.join(failed)}" if failed else " Is its pack still there, and switched on?"
    return f"There is no node type {names} here now, though there was when the job was taken in.{why}"
