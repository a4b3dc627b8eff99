"""What was posted: the graph, in any form, and what the client wants done with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from engine.graph.a1111 import ModelFiles
from engine.graph.formats import detect_format
from engine.graph.problems import Problem
from engine.graph.schema import Catalogue
from engine.media.graph_file import read_graph_file

GRAPH_KEYS: Final = ("prompt", "output", "workflow", "extra_data")
"""Keys of an envelope that hold the graph and what is stored with it; all others say what to do with it."""


class Posted(NamedTuple):
    """A graph in the prompt form (JSON, not checked yet), with what came along."""

    prompt: dict[str, Any]
    workflow: dict[str, Any] | None
    """The saved form, if there was one, with all its keys."""
    extra_data: dict[str, Any]
    envelope: dict[str, Any]
    """The other keys of a POST /prompt body: `client_id`, `number`, … Empty when the graph came alone."""
    problems: list[Problem]
    """What was wrong with the saved form itself."""
    notes: list[Problem] = []  # noqa: RUF012 - never changed
    """What must be known about the graph, though it does not keep it from running."""


def read_graph(data: bytes, catalogue: Catalogue, name: str = "the body", files: ModelFiles | None = None) -> Posted:
    """Find the graph in bytes: a POST /prompt body, or whatever `read_graph_file` reads.

    Messages call the source `name`. Raises GraphError or MediaError, and nothing else whatever the bytes.
    """
    found = read_graph_file(data, catalogue, name, files)
    envelope: Mapping[str, Any] = found.value if detect_format(found.value) == "envelope" else {}
    rest = {key: value for key, value in envelope.items() if key not in GRAPH_KEYS}
    if not isinstance(envelope.get("extra_data", {}), dict):
        rest["extra_data"] = envelope["extra_data"]  # for whoever checks the fields to refuse
    loaded = found.loaded
    return Posted(loaded.prompt, loaded.workflow, loaded.extra_data, rest, loaded.problems, found.notes)
