"""File name patterns of saved pictures: `portraits/%date:yyyy-MM-dd%_%KSampler.seed%`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from engine.media.errors import MediaError

_TOKEN: Final = re.compile(r"%(date:[^%]*|[^%/\\]+)%")
_DATE_FIELD: Final = re.compile(r"yyyy|yy|MM|M|dd|d|HH|H|hh|h|mm|m|ss|s")
_UNSAFE: Final = re.compile(r'[/\\?<>:*|"\x00-\x1f]')
_LONGEST: Final = 150
_MOST_BYTES: Final = 220
"""Of the 255 that most file systems allow, with room for the number and the suffix."""


def expand_pattern(
    prefix: str,
    *,
    width: int | None = None,
    height: int | None = None,
    prompt: Mapping[str, Any] | None = None,
    now: datetime,
    batch_index: int | None = None,
) -> str:
    """Fill in the `%…%` of a file name prefix; what names nothing stays as written.

    `%width%`, `%height%` (pixels) and `%batch_num%` unless they are None, `%year%` … `%second%`,
    `%date:yyyy-MM-dd hh.mm.ss%`, and `%Node.input%`, where Node is a title, a node type or an id in `prompt` (prompt form,
    JSON). What is filled in can add no folders.
    """
    facts = {
        **{
            name: str(value)
            for name, value in (("width", width), ("height", height), ("batch_num", batch_index))
            if value is not None
        },
        "date": f"{now:%Y-%m-%d}",
        "year": f"{now:%Y}",
        "month": f"{now:%m}",
        "day": f"{now:%d}",
        "hour": f"{now:%H}",
        "minute": f"{now:%M}",
        "second": f"{now:%S}",
    }

    def fill(match: re.Match[str]) -> str:
        token = match[1]
        if token.startswith("date:"):
            return _safe(format_date(token[5:], now))
        value = facts.get(token) or _input_value(token, prompt or {})
        return match[0] if value is None else _safe(value)

    return _TOKEN.sub(fill, prefix)


def format_date(pattern: str, now: datetime) -> str:
    """`now` by a pattern of yyyy, yy, MM, M, dd, d, hh, h (24 hours), mm, m, ss, s; doubled letters are padded."""
    values = {
        "y": now.year,
        "M": now.month,
        "d": now.day,
        "h": now.hour,
        "H": now.hour,
        "m": now.minute,
        "s": now.second,
    }

    def fill(match: re.Match[str]) -> str:
        field = match[0]
        value = values[field[0]] % 100 if field == "yy" else values[field[0]]
        return f"{value:0{len(field)}}"

    return _DATE_FIELD.sub(fill, pattern)


def place(folder: Path, prefix: str) -> tuple[Path, str]:
    """Where a filled-in prefix leads: (the folder, inside `folder`; the file name's stem).

    What is judged is the place that is named, so `a/../b` is `b`, and folders in `folder` may be links to others.
    Raises MediaError for a prefix that leads out of `folder`.
    """
    home = folder.resolve()
    written = prefix.replace("\\", "/")
    named = PurePosixPath(posixpath.normpath(written)) if written else PurePosixPath()
    absolute = written.startswith("/") or re.match(r"^[A-Za-z]:", written)
    if absolute or ".." in named.parts or "\0" in written:
        raise MediaError(
            f"The file name prefix {prefix!r} leads out of {folder}. Use a relative one that stays inside."
        )
    return home / named.parent, _cut(_UNSAFE.sub("_", named.name).strip())


def _input_value(token: str, prompt: Mapping[str, Any]) -> str | None:
    """The constant that `Node.input` names, or None; a link is no constant."""
    node_name, _, input_name = token.rpartition(".")
    for node_id, node in prompt.items():
        names = (node_id, node.get("class_type"), node.get("_meta", {}).get("title"))
        value = node.get("inputs", {}).get(input_name)
        if node_name and node_name in names and isinstance(value, str | int | float):
            return str(value)
    return None


def _safe(value: str) -> str:
    return _cut(_UNSAFE.sub("_", value))


def _cut(name: str) -> str:
    """No longer than a file system takes, which counts bytes: a letter may have four."""
    return name[:_LONGEST].encode("utf-8", "ignore")[:_MOST_BYTES].decode("utf-8", "ignore")
