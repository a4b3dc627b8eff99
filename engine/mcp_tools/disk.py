"""The files of a base directory as resources: the newest outputs, and their bytes."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from pathlib import Path

from engine.mcp_tools.records import Produced, Stored, ToolError
from engine.mcp_tools.uris import uri_of
from engine.paths import Paths
from engine.server.inert import content_type


def newest_outputs(paths: Paths, most: int) -> list[Stored]:
    """The `most` files of the output folder that were changed last, newest first; hidden ones apart."""
    return heapq.nlargest(most, _outputs(paths.output), key=lambda one: (one.changed, one.file.name))


def read_file(paths: Paths, file: Produced, most: int) -> tuple[bytes, str]:
    """The bytes and the media type of a file. Raises ToolError for what is not there, not ours, or larger than `most` bytes."""
    path = found_file(paths, file)
    try:
        size = path.stat().st_size
        if size > most:
            raise ToolError(
                f"{uri_of(file)} has {size:,} bytes, and at most {most:,} are sent. It is the file {file.name} of the "
                f"{file.folder} folder."
            )
        return path.read_bytes(), content_type(path)
    except OSError as error:
        raise ToolError(f"{uri_of(file)} cannot be read: {error.strerror or error}.") from error


def found_file(paths: Paths, file: Produced) -> Path:
    """Where a file is. Raises ToolError when it is not there, or its name leads out of its folder."""
    path = paths.produced({"filename": file.name, "type": file.folder})
    hidden = any(part.startswith(".") for part in file.name.split("/"))
    if path is None or hidden or not path.is_file():
        raise ToolError(f"There is no file {uri_of(file)}. The list of resources has the newest outputs.")
    return path


def _outputs(folder: Path) -> Iterator[Stored]:
    for root, names, files in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        below = Path(root).relative_to(folder)
        for name in files:
            if name.startswith("."):
                continue
            try:
                facts = (Path(root) / name).stat()
            except OSError:
                continue  # it has just gone
            file = Produced(folder="output", name=(below / name).as_posix())
            yield Stored(file=file, size=facts.st_size, changed=facts.st_mtime)
