"""SVG: what stands in `<metadata>`, as CDATA or as escaped text (SVG 2, section 5.9).

No XML parser: entities of the file's own are not expanded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_HEAD: Final = 4096
_MAX_ELEMENTS: Final = 100
_OPENED, _CLOSED = b"<metadata", b"</metadata>"
_CDATA, _CDATA_END = b"<![CDATA[", b"]]>"
_ENTITIES: Final = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&"))


def is_svg(data: bytes) -> bool:
    """Whether these are the bytes of an SVG file: an element `svg`, perhaps after the lines that XML begins with."""
    head = data[:_HEAD].removeprefix(b"\xef\xbb\xbf").lstrip()
    return head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!")) and b"<svg" in head)


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """The text of each element `metadata` that is a JSON object, under the key `comment`: it holds both forms."""
    at = max(data.find(b"<svg"), 0)
    for _ in range(_MAX_ELEMENTS):
        start = data.find(_OPENED, at)
        opened = data.find(b">", start)
        end = _end(data, opened)
        if start < 0 or opened < 0 or end < 0:
            return
        text = _content(data[opened + 1 : end]).decode("utf-8", "replace").strip()
        if text.startswith("{"):
            yield "comment", text
        at = end


def _end(data: bytes, start: int) -> int:
    """Where the element ends, which is not inside of CDATA; -1 when it is cut off."""
    at, closed = start, data.find(_CLOSED, start)
    while closed >= 0:
        section = data.find(_CDATA, at, closed)
        if section < 0:
            return closed
        at = data.find(_CDATA_END, section)
        if at < 0:
            return -1
        if at > closed:
            closed = data.find(_CLOSED, at)
    return -1


def _content(body: bytes) -> bytes:
    """CDATA as it is (sections that follow each other are one text), everything else with XML's five entities read."""
    found: list[bytes] = []
    for index, part in enumerate(body.split(_CDATA)):
        inside, _, rest = part.partition(_CDATA_END) if index else (b"", b"", part)
        found.append(inside)
        if rest.strip():
            found.append(_unescaped(rest))
    return b"".join(found)


def _unescaped(text: bytes) -> bytes:
    plain = text.decode("utf-8", "replace")
    for entity, character in _ENTITIES:
        plain = plain.replace(entity, character)
    return plain.encode()
