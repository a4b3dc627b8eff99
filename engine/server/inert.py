"""Serving files that users and nodes have put there: only as what cannot run in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote

from aiohttp import web

from engine.media.types import TEXTS, TYPES, UNKNOWN, sniffed

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-cache",
}
_SIDECARS: Final = (".gz", ".br")
_STEP: Final = 256 * 1024


def content_type(path: Path) -> str:
    """The type to serve a file as, by its name and its first bytes; UNKNOWN for what could run or is not known."""
    suffix = path.suffix.lower()
    if suffix in TEXTS:
        return TEXTS[suffix]
    by_name = TYPES.get(suffix)
    if by_name is None:
        return UNKNOWN
    with path.open("rb") as file:
        return sniffed(file.read(32), by_name) or UNKNOWN


def headers(kind: str, name: str) -> dict[str, str]:
    """The headers of a file called `name` that is served as `kind`; what is UNKNOWN is for saving only."""
    place = "attachment" if kind == UNKNOWN else "inline"
    plain = "".join(char if " " <= char < "\x7f" and char not in '"\\%' else "_" for char in name)
    disposition = f"{place}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    return {**_HEADERS, "Content-Type": kind, "Content-Disposition": disposition}


def file_response(path: Path, kind: str | None = None) -> web.StreamResponse:
    """Serve a file, with ranges and revalidation; `kind` replaces the type that it is known by.

    Looks at the disk: call it in a thread.
    """
    found = headers(kind or content_type(path), path.name)
    if any(path.with_name(path.name + ending).exists() for ending in _SIDECARS):
        # aiohttp would serve the compressed file of that name in its stead, which is another file here
        return web.Response(body=path.read_bytes(), headers=found)
    return web.FileResponse(path, chunk_size=_STEP, headers=found)
