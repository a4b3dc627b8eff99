"""The text in which the Stable Diffusion web UI (AUTOMATIC1111, Forge) keeps what a picture was made with, taken apart.

It is the prompt, a line `Negative prompt: …`, and the settings: `Steps: 20, Sampler: Euler a, …`, whose values are quoted as
JSON where they hold commas. Other programs write the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from engine.graph.problems import GraphError, problem

NEGATIVE: Final = "Negative prompt:"
_FIRST: Final = re.compile(r"^[ \t]*Steps:[ \t]*\d+[ \t]*(?=,|$)", re.MULTILINE)
_NEGATIVE_LINE: Final = re.compile(rf"^[ \t]*{NEGATIVE}", re.MULTILINE)
_KEY: Final = re.compile(r"\s*([A-Za-z][\w \-/+().]{0,60}?)[ \t]{0,4}:[ \t]*")
_QUOTED: Final = re.compile(r'"(?:\\.|[^"\\])*"')
_PLAIN: Final = re.compile(r"[^,\n]*")
_BRACKET: Final = re.compile(r"[\[\]{}]")
_NEXT: Final = re.compile(r"[ \t]*(?:,|\n|$)")
_ALWAYS: Final = ("Sampler", "CFG scale", "Seed", "Size")
"""Settings that follow the steps in every text of the web UI."""
_AFTER: Final = ("Model hash", "Model", "Version")
"""Some of those that come after them."""
_MOST: Final = 200_000
"""Characters; the longest of these texts have some thousands."""


class Settings(NamedTuple):
    """What the text says. Keys are as they are written; `values` keeps their order."""

    positive: str
    negative: str
    values: dict[str, str]
    unread: list[str]
    """Pieces of the settings that are no `key: value`."""


def looks_like_settings(text: str) -> bool:
    """Whether `text` is such a text, whole or cut off."""
    return bool(_FIRST.search(text) or _NEGATIVE_LINE.search(text))


def parse_settings(text: str) -> Settings:
    """Take the text apart. Raises GraphError (`settings_cut_off`) where it ends before it has said what must be said."""
    text = text.replace("\r\n", "\n").strip().strip("\0")
    if len(text) > _MOST:
        raise cut_off(f"it has {len(text)} characters, more than the {_MOST} that are read")
    firsts = list(_FIRST.finditer(text))
    if not firsts:
        raise cut_off(f"there is no line of settings that begins with `Steps:`; it ends in {_end(text)}")
    prompts, settings = text[: firsts[-1].start()], text[firsts[-1].start() :]
    unread: list[str] = []
    values = dict(_pairs(settings, unread))
    missing = [name for name in _ALWAYS if name not in values]
    if missing and not any(name in values for name in _AFTER):
        raise cut_off(f"it ends in {_end(text)}, before {', '.join(missing)}")
    positive, negative = _prompts(prompts)
    return Settings(positive, negative, values, unread)


def cut_off(details: str) -> GraphError:
    """The refusal of a text that is not whole."""
    return GraphError([problem("settings_cut_off", details=details)])


def _prompts(text: str) -> tuple[str, str]:
    found = _NEGATIVE_LINE.search(text)
    if found is None:
        return text.strip(), ""
    return text[: found.start()].strip(), text[found.end() :].strip()


def _pairs(text: str, unread: list[str]) -> Iterator[tuple[str, str]]:
    """Key and value of each setting, in order; what is none is added to `unread`, unless the text ends in the middle of it."""
    at, end = 0, len(text.rstrip(", \t\n"))
    while at < end:
        key = _KEY.match(text, at)
        start = key.end() if key is not None else at
        value, at = _value(text, start, key[1]) if key is not None else _plain(text, at)
        following = _NEXT.match(text, at)
        if following is None:  # something stands behind a quoted value
            rest, at = _plain(text, at)
            unread.append(rest)
            following = _NEXT.match(text, at)
        last_of_line = at >= end and "\n" not in text[max(start - 1, 0) : start]
        if key is None and last_of_line:
            raise cut_off(f"a setting has no value: {_end(value)}")
        at = following.end() if following is not None else at + 1
        if key is not None:
            yield key[1], value
        elif value:
            unread.append(value)


def _plain(text: str, at: int) -> tuple[str, int]:
    """What stands before the next comma or end of line, and where it ends."""
    found = _PLAIN.match(text, at)
    return (found[0].strip(), found.end()) if found is not None else ("", at)


def _value(text: str, at: int, key: str) -> tuple[str, int]:
    """The value that begins at `at`, and where it ends."""
    start = text[at : at + 1]
    if start == '"':
        quoted = _QUOTED.match(text, at)
        if quoted is None:
            raise cut_off(f"the quoted value of {key} has no end")
        try:
            return str(json.loads(quoted[0], strict=False)), quoted.end()
        except ValueError:
            return quoted[0][1:-1], quoted.end()
    if start and start in "{[":
        end = _closed(text, at)
        if end is None:
            raise cut_off(f"the value of {key} has no end")
        return text[at:end], end
    found, end = _plain(text, at)
    if not found and not text[at:].strip():
        raise cut_off(f"{key} has no value")
    return found, end


def _closed(text: str, at: int) -> int | None:
    """Where the brackets that open at `at` are closed; quotes are not looked at, as programs differ in them."""
    depth = 0
    for found in _BRACKET.finditer(text, at):
        depth += 1 if found[0] in "{[" else -1
        if depth == 0:
            return found.end()
    return None


def _end(text: str) -> str:
    """The last words of a text, for messages."""
    return repr(text.strip()[-40:])
