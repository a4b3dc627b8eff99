"""One reader of bytes to a graph, for the server and the command line: JSON in any form, the text of the web UI, or a file
that carries one of them."""

from __future__ import annotations

import codecs
from typing import Any, NamedTuple

from engine.graph.a1111 import ModelFiles, settings_to_graph
from engine.graph.a1111_text import looks_like_settings
from engine.graph.canvas import redrawn
from engine.graph.formats import Loaded, detect_format, load
from engine.graph.jsontext import parse_json
from engine.graph.problems import GraphError, Problem
from engine.graph.schema import Catalogue
from engine.graph.script_read import looks_like_script, read_script
from engine.media.embedded import Embedded, is_media, read_embedded
from engine.media.errors import MediaError


class GraphFile(NamedTuple):
    """A graph as it was found."""

    loaded: Loaded
    """Both of its forms, and what was wrong with the saved one."""
    notes: list[Problem]
    """What must be known about it, though it does not keep it from running."""
    value: Any
    """The JSON as it was given; None for text of the web UI and for files."""


def read_graph_file(
    data: bytes,
    catalogue: Catalogue,
    name: str = "the file",
    files: ModelFiles | None = None,
    *,
    scripts: bool = False,
) -> GraphFile:
    """Find the graph in bytes of any kind. Of a file that carries both forms, the prompt is taken: it is what ran.

    `files` are the model files that settings of the web UI may name. With `scripts`, Python that builds a graph is read too;
    it is parsed and never run, but by Python's own parser, which a server does not give the texts of others. Messages call the
    source `name`. Raises GraphError or MediaError, and nothing else whatever the bytes.
    """
    if is_media(data):
        return _embedded(read_embedded(data, name), catalogue, name, files)
    text = None if begins_as_json(data) else _text(data)
    if scripts and text is not None and looks_like_script(text):
        return _script(text, catalogue)
    if text is not None and looks_like_settings(text):
        return _settings(text, catalogue, files)
    try:
        value = parse_json(data if text is None else text)
    except GraphError:
        text = _text(data)
        if text is not None and looks_like_settings(text):  # a prompt may begin with a bracket
            return _settings(text, catalogue, files)
        raise
    return GraphFile(load(value, catalogue), [], value)


def _embedded(found: Embedded, catalogue: Catalogue, name: str, files: ModelFiles | None) -> GraphFile:
    kind = detect_format(found.prompt) if found.prompt is not None else "empty"
    if kind == "prompt":
        loaded = load(found.prompt, catalogue)
        return GraphFile(loaded._replace(workflow=found.workflow), [], None)
    if found.workflow is not None:
        return GraphFile(load(found.workflow, catalogue), [], None)
    if looks_like_settings(found.parameters) and kind not in ("workflow", "envelope"):
        return _settings(found.parameters, catalogue, files)
    if found.prompt is not None:
        return GraphFile(load(found.prompt, catalogue), [], None)
    raise MediaError(
        f"{name} carries no workflow. It has the settings of another program, as text, and they are not those of the "
        "Stable Diffusion web UI. Use the file as it was saved: editing and most websites strip it."
    )


def begins_as_json(data: bytes) -> bool:
    """Whether the bytes begin as JSON of a graph does: they need not be made text first, nor files looked into."""
    return data[:64].lstrip()[:1] in (b"{", b"[")


def _settings(text: str, catalogue: Catalogue, files: ModelFiles | None) -> GraphFile:
    made = settings_to_graph(text, catalogue, files)
    return GraphFile(Loaded(made.prompt, made.workflow, {}, []), made.notes, None)


def _script(text: str, catalogue: Catalogue) -> GraphFile:
    found = read_script(text, catalogue)
    workflow = redrawn(found.canvas, found.prompt, catalogue) if found.canvas is not None else None
    return GraphFile(Loaded(found.prompt, workflow, {}, []), [], None)


def _text(data: bytes) -> str | None:
    """The bytes as text in UTF-8, or in UTF-16 where a byte order mark says so; None for other bytes."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        return None
