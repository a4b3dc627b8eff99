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
_KEY: Final = re.compile(r"\s*([A-Za-z][\w \-/+().]*?)[ \t]*:[ \t]*")
_QUOTED: Final = re.compile(r'"(?:\\.|[^"\\])*"')
_PLAIN: Final = re.compile(r"[^,\n]*")
_NEXT: Final = re.compile(r"[ \t]*(?:,|\n|$)")
_ALWAYS: Final = ("Sampler", "CFG scale", "Seed", "Size")
"""Settings that follow the steps in every text of the web UI."""
_AFTER: Final = ("Model hash", "Model", "Version")
"""Some of those that come after them."""
_MOST: Final = 1_000_000
"""Characters; the longest of these texts have some thousands."""


class Settings(NamedTuple):
    """What the text says. Keys are as they are written; `values` keeps their order."""

    positive: str
    negative: str
    values: dict[str, str]


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
    values = dict(_pairs(settings))
    missing = [name for name in _ALWAYS if name not in values]
    if missing and not any(name in values for name in _AFTER):
        raise cut_off(f"it ends in {_end(text)}, before {', '.join(missing)}")
    positive, negative = _prompts(prompts)
    return Settings(positive, negative, values)


def cut_off(details: str) -> GraphError:
    """The refusal of a text that is not whole."""
    return GraphError([problem("settings_cut_off", details=details)])


def _prompts(text: str) -> tuple[str, str]:
    found = _NEGATIVE_LINE.search(text)
    if found is None:
        return text.strip(), ""
    return text[: found.start()].strip(), text[found.end() :].strip()


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Key and value of each setting, in order."""
    at = 0
    while at < len(text.rstrip(", \t\n")):
        key = _KEY.match(text, at)
        if key is None:
            raise cut_off(f"a setting has no value: {_end(text[at : at + 200])}")
        value, at = _value(text, key.end(), key[1])
        following = _NEXT.match(text, at)
        if following is None:
            raise cut_off(f"the value of {key[1]} is not followed by a comma: {_end(text[at : at + 200])}")
        at = following.end()
        yield key[1], value


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
        try:
            _, end = json.JSONDecoder().raw_decode(text, at)
            return text[at:end], end
        except (ValueError, RecursionError):
            raise cut_off(f"the value of {key} is JSON that is not whole") from None
    plain = _PLAIN.match(text, at)
    found = plain[0].strip() if plain else ""
    if not found and not text[at:].strip():
        raise cut_off(f"{key} has no value")
    return found, plain.end() if plain else at


def _end(text: str) -> str:
    """The last words of a text, for messages."""
    return repr(text.strip()[-40:])
