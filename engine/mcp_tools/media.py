"""Files as arguments: data URLs are put into the input folder, addresses of earlier outputs become their names."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from xxhash import xxh3_128_hexdigest

from engine.mcp_tools.records import ToolError
from engine.mcp_tools.uris import SCHEME, file_of
from engine.media.atomic import write_whole

MOST_BYTES: Final = 100 * 1024 * 1024

_DATA: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*)(;base64)?,", re.IGNORECASE)
_SUFFIXES: Final = {"image/jpeg": ".jpg", "audio/mpeg": ".mp3", "audio/wav": ".wav", "image/webp": ".webp"}


def named_file(parameter: str, value: str, keep: Callable[[str, bytes], str]) -> str:
    """The file name that an argument means, as nodes know it: `a.png`, or `a.png [output]`.

    `keep(name, data)` puts a file into the input folder and gives its name there. Raises ToolError.
    """
    if value[:5].lower() == "data:":
        return keep(*_decoded(parameter, value))
    if value.lower().startswith(f"{SCHEME}:"):
        file = file_of(value)
        if file is None:
            raise ToolError(
                f"{parameter}: {value!r} is no address of a file; expected such as safelight://output/NAME."
            )
        return file.name if file.folder == "input" else f"{file.name} [{file.folder}]"
    return value


def keep_in(folder: Path) -> Callable[[str, bytes], str]:
    """Keeps files in `folder`. The same bytes are kept once, as their name tells the content."""

    def keep(name: str, data: bytes) -> str:
        path = folder / name
        if not path.exists():
            write_whole(path, lambda part: _write(part, data))
        return name

    return keep


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _decoded(parameter: str, url: str) -> tuple[str, bytes]:
    """A name for the file, after its content, and the bytes of a data URL."""
    found = _DATA.match(url)
    if found is None:
        raise ToolError(f"{parameter}: this is no data URL; expected data:image/png;base64,… with the file behind it.")
    if len(url) > MOST_BYTES * 4 // 3 + 200:
        raise ToolError(
            f"{parameter}: the file has more than {MOST_BYTES // 1024**2} MiB. Put it into the input folder."
        )
    text = url[found.end() :]
    try:
        data = base64.b64decode(unquote_to_bytes(text), validate=True) if found[3] else unquote_to_bytes(text)
    except (binascii.Error, ValueError) as error:
        raise ToolError(f"{parameter}: what stands behind base64, in the data URL is not that ({error}).") from error
    if not data:
        raise ToolError(f"{parameter}: the data URL is empty.")
    kind = (found[1] or "application/octet-stream").lower()
    suffix = _SUFFIXES.get(kind) or mimetypes.guess_extension(kind) or ".bin"
    return f"sent_{xxh3_128_hexdigest(data)}{suffix}", data
