"""Reading the prompt and the workflow back out of a file: a picture, a video, sound, a scene, tensors.

Needs neither Pillow nor torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from engine.graph.jsontext import parse_json
from engine.graph.problems import GraphError
from engine.media.containers.kinds import PICTURES, READERS, kind_of
from engine.media.errors import MediaError

_KEYS: Final = ("prompt", "workflow")
_COMMENT, _PARAMETERS = "comment", "parameters"
"""A comment may hold both as one JSON object; parameters are settings of another program."""


class Embedded(msgspec.Struct, frozen=True):
    """What a file says of its making; at least one of the three is there."""

    prompt: dict[str, Any] | None = None
    workflow: dict[str, Any] | None = None
    parameters: str = ""
    """Settings of another program, as text."""


def is_picture(data: bytes) -> bool:
    """Whether the bytes begin like a PNG, WebP, JPEG or AVIF file."""
    return kind_of(data) in PICTURES


def is_media(data: bytes) -> bool:
    """Whether the bytes begin like a file that `read_embedded` reads."""
    return kind_of(data) is not None


def read_embedded(data: bytes, name: str = "the picture") -> Embedded:
    """The prompt and workflow in the bytes of a file of any kind in `engine.media.containers`, or another program's settings.

    Raises MediaError, which calls the file `name`, when there is none of them, or what is there is no JSON object. Of
    several, one that can be read is enough.
    """
    kind = kind_of(data)
    if kind is None:
        known = ", ".join([*READERS][:-1]) + f" or {[*READERS][-1]}"
        raise MediaError(
            f"{name} is no {known} file, so no workflow can be read from it. Give a file of these kinds, or JSON."
        )
    texts = _texts(_named(READERS[kind](data), name))
    found: dict[str, dict[str, Any]] = {}
    problems: list[MediaError] = []
    for key in _KEYS:
        try:
            if texts.get(key):
                found[key] = _object(texts[key], key, name)
        except MediaError as error:
            problems.append(error)
    found = found or _both_in(texts.get(_COMMENT, ""), name)
    if found or texts.get(_PARAMETERS):
        return Embedded(found.get("prompt"), found.get("workflow"), texts.get(_PARAMETERS, ""))
    raise (
        problems[0]
        if problems
        else MediaError(
            f"{name} carries no workflow. Use the file as it was saved: editing and most websites strip it."
        )
    )


def _named(pairs: Iterator[tuple[str, str]], name: str) -> Iterator[tuple[str, str]]:
    """The same pairs; a reader does not know what its file is called."""
    try:
        yield from pairs
    except MediaError as error:
        raise MediaError(f"{name} cannot be read: {error}. Use the file as it was saved.") from error


def _texts(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The texts that may matter, by key in lower case."""
    return {key.lower(): text for key, text in pairs if key.lower() in (*_KEYS, _COMMENT, _PARAMETERS)}


def _object(text: str, key: str, name: str) -> dict[str, Any]:
    try:
        value = parse_json(text)
    except GraphError as error:
        raise MediaError(f"The {key} in {name} is not whole JSON: {error.problems[0].details}.") from error
    if not isinstance(value, dict):
        raise MediaError(f"The {key} in {name} is a JSON {type(value).__name__}, expected an object.")
    return value


def _both_in(comment: str, name: str) -> dict[str, dict[str, Any]]:
    """What a comment holds that is itself JSON: an object of the two, each as an object or as its text."""
    if not comment.lstrip().startswith("{"):
        return {}
    try:
        parts = _object(comment, "comment", name)
        found = {key: parts[key] for key in _KEYS if parts.get(key)}
        return {
            key: _object(part, key, name) if isinstance(part, str) else part
            for key, part in found.items()
            if isinstance(part, str | dict)
        }
    except MediaError:
        return {}
