"""Prompts of the web UI as our text encoders read them: LoRAs taken out, `[less]` as a weight, embeddings by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

_NETWORK: Final = re.compile(r"<(\w+):([^<>]{1,300})>")
_LESS: Final = 1 / 1.1
_MOST_DEPTH: Final = 20
_MOST_LORAS: Final = 64
_UNKNOWN: Final = (
    (re.compile(r"\bBREAK\b"), "BREAK in the prompt: the text goes on without a new row"),
    (re.compile(r"\bAND\b"), "AND in the prompt: it is read as a word, not as a second prompt"),
    (re.compile(r"[{}]|//|/\*"), "braces or slashes in the prompt: editors take them for choices and comments"),
)


class Lora(NamedTuple):
    """A LoRA with its strengths."""

    name: str
    model: float
    clip: float


class PlainPrompt(NamedTuple):
    """A prompt for our text encoders."""

    text: str
    loras: list[Lora]
    unknown: list[str]
    """What it holds that has no counterpart here."""
    weighted: bool


def plain_prompt(text: str, embeddings: Iterable[str]) -> PlainPrompt:
    """Read a prompt of the web UI, in which the names `embeddings` stand for files."""
    unknown = [told for form, told in _UNKNOWN if form.search(text)]
    loras: list[Lora] = []

    def take(found: re.Match[str]) -> str:
        kind, rest = found[1].lower(), found[2]
        if kind in ("lora", "lyco") and len(loras) < _MOST_LORAS:
            loras.append(_lora(rest))
        elif kind in ("lora", "lyco", "hypernet"):
            unknown.append(f"{found[0]} in the prompt")
        else:
            return found[0]
        return ""

    plain = _NETWORK.sub(take, text)
    plain, edits = _brackets(plain)
    unknown += [f"[{one[:60]}] in the prompt: a change of text between steps; it is read as it stands" for one in edits]
    for name in embeddings:
        if name:
            plain = re.sub(rf"(?<![\w:/-]){re.escape(name)}(?![\w-])", lambda found: f"embedding:{found[0]}", plain)
    plain = re.sub(r"[ \t]{2,}", " ", plain).strip() if loras else plain
    weighted = bool(re.search(r"(?<!\\)\(", plain))
    return PlainPrompt(plain, loras, unknown, weighted)


def _lora(text: str) -> Lora:
    """`NAME:TEXT_ENCODER:NETWORK`, the weights also by name (`te=`, `unet=`); a missing one is as the first, or 1."""
    name, *given = text.split(":")
    placed = [one for one in given if "=" not in one]
    named = dict(one.split("=", 1) for one in given if "=" in one)
    clip = _weight(named.get("te"), _weight(placed[0] if placed else None, 1.0))
    model = _weight(
        named.get("unet"), _weight(placed[1] if len(placed) > 1 else None, _weight(placed[0] if placed else None, 1.0))
    )
    return Lora(name.strip(), model, clip)


def _weight(text: str | None, otherwise: float) -> float:
    try:
        value = float(text) if text is not None else otherwise
    except ValueError:
        return otherwise
    return value if abs(value) <= 100 else otherwise


def _brackets(text: str) -> tuple[str, list[str]]:
    """`[less]` as `(less:0.909)`; and what else stands in brackets: texts that change between steps."""
    edits: list[str] = []
    for _ in range(_MOST_DEPTH):
        parts = list(_innermost(text))
        if not any(inner is not None for _, inner in parts):
            break
        text = "".join(before + (_replaced(inner, edits) if inner is not None else "") for before, inner in parts)
    text = text.replace(_OPENED, "[").replace(_CLOSED, "]")
    return text.replace("\\[", "[").replace("\\]", "]"), edits


_OPENED, _CLOSED = "\ue000", "\ue001"
"""Stand for brackets that stay."""


def _replaced(inner: str, edits: list[str]) -> str:
    if re.search(r"(?<!\\)\|", inner) or re.search(r":\s*[\d.]+\s*$", inner):
        edits.append(inner.replace(_OPENED, "[").replace(_CLOSED, "]"))
        return f"{_OPENED}{inner}{_CLOSED}"
    return f"({inner}:{_LESS:.3f})"


def _innermost(text: str) -> Iterator[tuple[str, str | None]]:
    """What stands before each pair of brackets with none inside, and what stands in it (None after the last)."""
    at = 0
    for found in re.finditer(r"(?<!\\)\[((?:\\.|[^\[\]\\])*)\]", text):
        yield text[at : found.start()], found[1]
        at = found.end()
    yield text[at:], None
