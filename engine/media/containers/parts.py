"""JSON parts of containers: whole, bounded, and as texts by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from engine.graph.jsontext import parse_json
from engine.graph.problems import GraphError
from engine.media.errors import MediaError


def json_object(data: bytes, length: int, most: int, what: str) -> dict[str, Any]:
    """The JSON object in the first `length` bytes of `data`, at most `most`. Raises MediaError, which calls it `what`."""
    if length > most:
        raise MediaError(f"its {what} has {length} bytes, more than the {most // 1024**2} MiB that are read")
    if length > len(data):
        raise MediaError(f"its {what} is cut off: {len(data)} of {length} bytes are there")
    try:
        value = parse_json(data[:length])
    except GraphError as error:
        raise MediaError(f"its {what} is not whole JSON: {error.problems[0].details}") from error
    if not isinstance(value, dict):
        raise MediaError(f"its {what} is a JSON {type(value).__name__}, expected an object")
    return value


def as_texts(values: Any) -> Iterator[tuple[str, str]]:
    """Key and text of each value of a JSON object that is text, or an object (as its JSON)."""
    for key, value in values.items() if isinstance(values, dict) else ():
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, dict):
            yield key, msgspec.json.encode(value).decode()
