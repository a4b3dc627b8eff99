"""What the text of a shader says: its version, outputs and passes; and what a compiler says of it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

OUTPUTS: Final = 4
MOST_PASSES: Final = 64
MOST_LETTERS: Final = 200_000

_VERSION: Final = re.compile(r"#version\s+300\s+es\s*")
_PASSES: Final = re.compile(r"^[ \t]*#pragma\s+passes\s+(\S+)", re.MULTILINE)
_COMMENTS: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_OUTPUT: Final = re.compile(
    r"(?:layout\s*\(\s*location\s*=\s*(\d+)\s*\)\s*)?\bout\s+(?:(?:highp|mediump|lowp)\s+)?vec4\s+(\w+)\s*;"
)
_PLACES: Final = (
    re.compile(r"^\d+:(\d+)\(\d+\):\s*(.*)$"),  # Mesa: 0:6(25): error: …
    re.compile(r"^\d+\((\d+)\)\s*:\s*(.*)$"),  # NVIDIA: 0(6) : error C1503: …
    re.compile(r"^(?:ERROR|WARNING):\s*\d+:(\d+):\s*(.*)$"),  # AMD, Apple, ANGLE: ERROR: 0:6: …
)


class ShaderError(ValueError):
    """A shader that cannot be drawn, or a machine that draws none; the message says why and what to do."""


class CompileError(ShaderError):
    """What a compiler says of a shader, in its own words."""


class Source(NamedTuple):
    """A shader, how often it is drawn, and which of its outputs it writes."""

    text: str
    passes: int
    outputs: tuple[int, ...]


def read_source(text: str) -> Source:
    """Read what the text declares. Raises ShaderError for another version, outputs past the fourth, and too many passes."""
    if len(text) > MOST_LETTERS:
        raise ShaderError(f"The shader has {len(text):,} letters; {MOST_LETTERS:,} are the most.")
    text = text.lstrip("\ufeff \t\r\n")
    first = text.split("\n", 1)[0]
    if not _VERSION.fullmatch(first):
        raise ShaderError(
            f"The shader begins with {first[:60]!r}; its first line must be `#version 300 es` (GLSL ES 3.00)."
        )
    plain = _COMMENTS.sub(" ", text)
    return Source(text, _passes(plain), _outputs(plain))


def _passes(plain: str) -> int:
    found = _PASSES.search(plain)
    if found is None:
        return 1
    if not found[1].isdecimal() or not 1 <= int(found[1]) <= MOST_PASSES:
        raise ShaderError(f"`#pragma passes {found[1]}` must say a number from 1 to {MOST_PASSES}.")
    return int(found[1])


def _outputs(plain: str) -> tuple[int, ...]:
    places = sorted({int(place or 0) for place, _ in _OUTPUT.findall(plain)})
    if not places:
        raise ShaderError(
            "The shader has no output; declare one, such as `layout(location = 0) out vec4 fragColor0;`, and write it."
        )
    if places[-1] >= OUTPUTS:
        raise ShaderError(
            f"The shader has an output at location {places[-1]}; there are {OUTPUTS}, 0 to {OUTPUTS - 1}."
        )
    return tuple(places)


def explained(log: str, text: str) -> str:
    """What a compiler or linker says, each place with the line of the shader that it means."""
    lines, told = text.split("\n"), []
    for entry in log.splitlines():
        entry = entry.strip()
        found = next((match for pattern in _PLACES if (match := pattern.match(entry))), None)
        if found is None:
            continue
        number = int(found[1])
        told.append(f"line {number}: {found[2]}")
        if 0 < number <= len(lines):
            told.append(f"    {number} | {lines[number - 1].rstrip()[:200]}")
    return "\n".join(told[:20]) or log.strip()[:2000]
