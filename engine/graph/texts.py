"""Dynamic prompts: texts with choices and comments, as the field's front end resolves them before it posts.

`{a|b}` is one of its options, `// …` to the end of a line and `/* … */` go, `\\{`, `\\|` and `\\}` are those letters. The same
text, seed and place always give the same text: what was drawn is repeated from the seed that the workflow carries.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

_COMMENT: Final = re.compile(r"/\*|//[^\n\r\u2028\u2029]*")
_SPECIAL: Final = re.compile(r"[{}|\\]|//|/\*")
_WORD: Final = 0xFFFFFFFF

Draw = Callable[[], float]
"""Gives a number from 0 up to 1."""


def resolve(text: str, draw: Draw) -> str:
    """`text` without comments, escapes and choices. `draw` is asked once for each choice that is taken.

    An outer choice is taken before those within it; options that are not taken draw nothing, and neither does a choice of
    one. A brace that is never closed takes the rest of the text.
    """
    if _SPECIAL.search(text) is None:
        return text
    found: list[str] = []
    waiting = [iter(_parsed(_without_comments(text)))]
    while waiting:
        piece = next(waiting[-1], None)
        if piece is None:
            waiting.pop()
        elif isinstance(piece, str):
            found.append(piece)
        else:
            waiting.append(iter(piece.options[int(draw() * len(piece.options)) if len(piece.options) > 1 else 0]))
    return "".join(found)


def _without_comments(text: str) -> str:
    kept: list[str] = []
    start, last_close = 0, text.rfind("*/")
    at = start
    while (found := _COMMENT.search(text, at)) is not None:
        at = found.end()
        if text[found.start() + 1] == "*":
            if last_close < at:
                continue  # never closed: it is text
            at = text.index("*/", at) + 2
        kept.append(text[start : found.start()])
        start = at
    return "".join((*kept, text[start:]))


class _Choice:
    """What stands between braces: the pieces of each option."""

    def __init__(self) -> None:
        self.options: list[list[str | _Choice]] = [[]]


def _parsed(text: str) -> list[str | _Choice]:
    """The pieces of `text`, in one pass over it however deep its braces are."""
    whole = _Choice()
    around = [whole]
    for token in _TOKEN.findall(text):
        pieces = around[-1].options[-1]
        if token == "{":
            inner = _Choice()
            pieces.append(inner)
            around.append(inner)
        elif token == "}" and len(around) > 1:
            around.pop()
        elif token == "|" and len(around) > 1:
            around[-1].options.append([])
        else:
            pieces.append(token[1:] if token in _ESCAPES else token)
    return whole.options[0]


_TOKEN: Final = re.compile(r"\\[\s\S]|[{}|\\]|[^{}|\\]+")
_ESCAPES: Final = frozenset({r"\{", r"\}", r"\|"})


class Drawing:
    """Resolves the texts of one run. `seed` is the one that `workflow` carries, or a fresh one; `drawn` whether it mattered."""

    def __init__(self, workflow: Mapping[str, Any]) -> None:
        kept = kept_seed(workflow)
        self.seed = random.SystemRandom().getrandbits(32) if kept is None else kept
        self.drawn = False

    def resolve(self, text: str, node_id: str, input_name: str) -> str:
        """`text` as input `input_name` of a node (its id in the prompt) gets it."""
        draws = _numbers(f"{self.seed}/{node_id}/{input_name}")

        def draw() -> float:
            self.drawn = True
            return next(draws)

        return resolve(text, draw)


def kept_seed(workflow: Mapping[str, Any]) -> int | None:
    """The seed of texts that a workflow carries (`extra.safelight.text_seed`); None if it carries none."""
    level: Any = workflow
    for key in ("extra", "safelight", "text_seed"):
        level = level.get(key) if isinstance(level, Mapping) else None
    return level if type(level) is int and 0 <= level <= _WORD else None


def with_seed(workflow: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A copy of `workflow` that carries `seed`, so that its run can be repeated."""
    extra = workflow.get("extra")
    extra = dict(extra) if isinstance(extra, Mapping) else {}
    ours = extra.get("safelight")
    extra["safelight"] = {**(ours if isinstance(ours, Mapping) else {}), "text_seed": seed}
    return {**workflow, "extra": extra}


def _numbers(place: str) -> Iterator[float]:
    """Numbers from 0 up to 1 that a place always gives: FNV-1a of its name starts a mulberry32.

    Both are a few lines in any language: the editor draws the same ones.
    """
    state = 0x811C9DC5
    for byte in place.encode("utf-8", "surrogatepass"):
        state = ((state ^ byte) * 0x01000193) & _WORD
    while True:
        state = (state + 0x6D2B79F5) & _WORD
        mixed = ((state ^ (state >> 15)) * (state | 1)) & _WORD
        mixed ^= (mixed + ((mixed ^ (mixed >> 7)) * (mixed | 61) & _WORD)) & _WORD
        yield (mixed ^ (mixed >> 14)) / 2**32
