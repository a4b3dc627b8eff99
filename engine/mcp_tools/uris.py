"""Addresses of files as resources: `safelight://output/portraits/a_00001_.png`."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

from engine.mcp_tools.records import Produced

SCHEME: Final = "safelight"
FOLDERS: Final = ("output", "input", "temp")


def uri_of(file: Produced) -> str:
    """The address of a file."""
    return f"{SCHEME}://{file.folder}/{quote(file.name, safe='/')}"


def file_of(uri: str) -> Produced | None:
    """The file that an address means, or None where it is none of ours. The name is not looked at: it may lead anywhere."""
    scheme, found, rest = uri.partition("://")
    folder, slash, name = rest.partition("/")
    if scheme.lower() != SCHEME or not (found and slash and name) or folder not in FOLDERS:
        return None
    return Produced(folder=folder, name=unquote(name))
