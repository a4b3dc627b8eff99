"""Reading a prompt: emphasis in parentheses and references to textual-inversion embeddings. No torch.

The field's rules: `(words)` counts its words 1.1 times as much as what is around them, nesting multiplies, `(words:1.3)`
sets 1.3 outright whatever is around it (any text that Python reads as a finite number), `\\(` and `\\)` are plain
parentheses. Square brackets mean nothing. A stretch that opens with a parenthesis is a group if it closes with one, closed
before or not, so `((a)` is `(a` at 1.1; one that closes too many has no groups until as many more have been opened.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

EMPHASIS = 1.1
EMBEDDING = "embedding:"

_PARENTHESIS = re.compile(r"[()]")
_ESCAPES = ((r"\(", "\ufdd0"), (r"\)", "\ufdd1"))
"""How plain parentheses are written, and the noncharacters that stand for them while groups are looked for."""
_REFERENCE = re.compile(rf"[ \n](?={EMBEDDING})")


class Segment(NamedTuple):
    """A stretch of prompt text and how much it counts (1.0 = as is)."""

    text: str
    weight: float


class _Piece(NamedTuple):
    start: int
    end: int
    weight: float


def segments(text: str) -> list[Segment]:
    """Split a prompt at its groups, in order; neighbours of equal weight stay apart. Linear in the text, and never raises."""
    for escape, sign in _ESCAPES:
        text = text.replace(escape, sign)
    closing = _matched_parentheses(text)
    result: list[Segment] = []
    waiting = [*_pieces(text, closing, _Piece(0, len(text), 1.0))][::-1]
    while waiting:  # a stack, since people nest deeper than Python may recurse
        piece = waiting.pop()
        if piece.end - piece.start > 1 and text[piece.start] == "(" and text[piece.end - 1] == ")":
            waiting += [*_pieces(text, closing, _inside(text, piece))][::-1]
        else:
            result.append(Segment(_shown(text[piece.start : piece.end]), piece.weight))
    return result


def _matched_parentheses(text: str) -> dict[int, int]:
    """Return {place of an opening parenthesis: place of the one that closes it}; unmatched ones are left out."""
    opened: list[int] = []
    closing: dict[int, int] = {}
    for match in _PARENTHESIS.finditer(text):
        if match[0] == "(":
            opened.append(match.start())
        elif opened:
            closing[opened.pop()] = match.start()
    return closing


def _pieces(text: str, closing: dict[int, int], piece: _Piece) -> Iterator[_Piece]:
    """Cut a piece before and after each outermost group; a group that is not closed within it goes on to its end."""
    begun, end, weight = piece
    missing = 0  # parentheses to open before a group can begin, one for each that was closed without having been opened
    match = _PARENTHESIS.search(text, begun, end)
    while match:
        place = match.start()
        after = place + 1
        if match[0] == ")":
            missing += 1
        elif missing:
            missing -= 1
        else:
            after = min(closing.get(place, end) + 1, end)
            if begun < place:
                yield _Piece(begun, place, weight)
            yield _Piece(place, after, weight)
            begun = after
        match = _PARENTHESIS.search(text, after, end)
    if begun < end:
        yield _Piece(begun, end, weight)


def _inside(text: str, group: _Piece) -> _Piece:
    """What is between a group's parentheses, without the weight at its end, and how much it counts."""
    start, end = group.start + 1, group.end - 1
    colon = text.rfind(":", start, end)
    if colon > start and text.find(")", colon, end) < 0:
        weight = _number(text[colon + 1 : end])
        if weight is not None:
            return _Piece(start, colon, weight)
    return _Piece(start, end, group.weight * EMPHASIS)


def _number(text: str) -> float | None:
    """Read a weight. `nan` and `inf` are none: they would make the whole picture black."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _shown(text: str) -> str:
    for escape, sign in _ESCAPES:
        text = text.replace(sign, escape[1:])
    return text


def phrases(text: str) -> list[str]:
    """Split a segment's text into what is tokenised in one go: before each `embedding:` after a space or a line break."""
    return [phrase for phrase in _REFERENCE.split(text) if phrase]


def references(phrase: str) -> list[tuple[str, str]]:
    """Return what a phrase `embedding:NAME …` may name, the likeliest first, each with the text that then follows the name.

    A name ends at a space or a line break; a comma or a parenthesis ends it too unless a file is called so. [] for other
    phrases, and for one without a name.
    """
    if not phrase.startswith(EMBEDDING) or not (found := phrase.removeprefix(EMBEDDING).split(maxsplit=1)):
        return []
    whole, after = found[0], " ".join(found[1:])
    short = re.split(r"[,()]", whole)[0]
    return [(whole, after)] + ([(short, f"{whole[len(short) :]} {after}")] if short not in ("", whole) else [])
