"""Reading a graph from whatever is posted: JSON in any form, or a file that carries one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from engine.graph.formats import Loaded, detect_format, load
from engine.graph.jsontext import parse_json
from engine.graph.problems import Problem
from engine.graph.schema import Catalogue
from engine.media.embedded import is_media, read_embedded

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


def read_graph(data: bytes, catalogue: Catalogue, name: str = "the body") -> Posted:
    """Find the graph in bytes: a POST /prompt body, a prompt, a workflow, or a picture, video or sound file with one inside.

    Of a file that carries both forms, the prompt is taken: it is what ran. Messages call the source `name`. Raises
    GraphError or MediaError, and nothing else whatever the bytes.
    """
    if is_media(data):
        return _posted(_embedded(data, catalogue, name), {})
    value = parse_json(data)
    loaded = load(value, catalogue)
    return _posted(loaded, value if detect_format(value) == "envelope" else {})


def _posted(loaded: Loaded, envelope: Mapping[str, Any]) -> Posted:
    rest = {key: value for key, value in envelope.items() if key not in GRAPH_KEYS}
    if not isinstance(envelope.get("extra_data", {}), dict):
        rest["extra_data"] = envelope["extra_data"]  # for whoever checks the fields to refuse
    return Posted(loaded.prompt, loaded.workflow, loaded.extra_data, rest, loaded.problems)


def _embedded(data: bytes, catalogue: Catalogue, name: str) -> Loaded:
    found = read_embedded(data, name)
    if found.prompt is not None and (found.workflow is None or detect_format(found.prompt) == "prompt"):
        loaded = load(found.prompt, catalogue)
        return loaded._replace(workflow=found.workflow or loaded.workflow)
    return load(found.workflow, catalogue)
