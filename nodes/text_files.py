"""Texts to files."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from engine.api import Context, In, Out, WithUi, node
from engine.media.numbered import told_of, write_named
from nodes.text import MAX_TEXT


@node("SaveText", category="utils/string", display_name="Save Text", output=True)
def save_text(
    ctx: Context,
    text: Annotated[str, In(link_only=True, tip="What to save.")],
    filename_prefix: Annotated[
        str, In(tip="Beginning of the file name; a/b makes folders, %date:yyyy-MM-dd% and %Node.input% are filled in.")
    ] = "ComfyUI",
    format: Annotated[
        Literal["txt", "csv", "md", "json"], In(tip="json is written with indents where it is JSON.")
    ] = "txt",
) -> WithUi[Annotated[str, Out(name="text")]]:
    """Save a text (UTF-8) in the output folder under the next free number, named as pictures are, and pass it on.

    As `json`, text that is JSON is written with two spaces a level; any other text is written as it is.
    Raises MediaError for a prefix that leads out of the output folder.
    """
    data = (_indented(text) if format == "json" else text).encode("utf-8", "replace")
    home = ctx.paths.directory("output").resolve()
    path = write_named(home, filename_prefix, f".{format}", lambda part: part.write_bytes(data), ctx.prompt)
    return WithUi(text, ui={"files": [told_of(path, home)]})


def _indented(text: str) -> str:
    try:
        written = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
    return written if len(written) <= MAX_TEXT else text
