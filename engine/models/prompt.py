"""Reading a prompt: emphasis in parentheses and references to textual-inversion embeddings. No torch.

The field's rules: `(words)` counts its words 1.1 times as much as what is around them, nesting multiplies, `(words:1.3)`
sets 1.3 outright whatever is around it, `\\(` and `\\)` are plain parentheses. Square brackets mean nothing. Parentheses
that are never closed, or never opened, are plain characters.
"""

from __future__ import annotations

import re
from typing import NamedTuple

EMPHASIS = 1.1
EMBEDDING = "embedding:"

_TOKEN = re.compile(r"\\[()]|[()]|[^\\()]+|\\")
_WEIGHT = re.compile(r":\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*$")


class Segment(NamedTuple):
    """A stretch of prompt text and how much it counts (1.0 = as is)."""

    text: str
    weight: float


def segments(text: str) -> list[Segment]:
    """Split a prompt by weight, neighbours of equal weight joined. Linear in the text, and never raises."""
    tokens = [match[0] for match in _TOKEN.finditer(text)]
    closing = _matched_parentheses(tokens)
    closers = set(closing.values())
    weights = [1.0]
    result: list[Segment] = []
    for i, token in enumerate(tokens):
        if i in closing:
            explicit = _take_explicit(tokens, i, closing[i])
            weights.append(weights[-1] * EMPHASIS if explicit is None else explicit)
        elif i in closers:
            weights.pop()
        else:
            _append(result, token[1:] if token in (r"\(", r"\)") else token, weights[-1])
    return result


def _matched_parentheses(tokens: list[str]) -> dict[int, int]:
    """Return {place of an opening parenthesis: place of the one that closes it}; unmatched ones are left out."""
    opened: list[int] = []
    closing: dict[int, int] = {}
    for i, token in enumerate(tokens):
        if token == "(":
            opened.append(i)
        elif token == ")" and opened:
            closing[opened.pop()] = i
    return closing


def _take_explicit(tokens: list[str], opening: int, closing: int) -> float | None:
    """Cut `:WEIGHT` off the end of a group's text and return it; None when it has none, or nothing to put it on."""
    found = _WEIGHT.search(tokens[closing - 1])
    if found is None or (found.start() == 0 and closing - opening == 2):
        return None
    tokens[closing - 1] = tokens[closing - 1][: found.start()]
    return float(found[1])


def _append(result: list[Segment], text: str, weight: float) -> None:
    if result and result[-1].weight == weight:
        result[-1] = Segment(result[-1].text + text, weight)
    elif text:
        result.append(Segment(text, weight))


def words(text: str) -> list[str]:
    """Split a segment into the words that are tokenised one by one; `embedding:NAME` is one word."""
    return [word for word in text.replace("\n", " ").replace(EMBEDDING, f" {EMBEDDING}").split(" ") if word]


def embedding_names(text: str) -> list[str]:
    """Return the names of the embeddings a prompt refers to, in order, each once."""
    found = (word for segment in segments(text) for word in words(segment.text) if word.startswith(EMBEDDING))
    return list(dict.fromkeys(word.removeprefix(EMBEDDING).rstrip(",.;") for word in found))
