"""Fields of a request, from JSON or from a form: read by type, refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiohttp import web

from engine.server.bodies import read_json
from engine.server.openai.errors import ApiError
from engine.server.workflows.given import read_parts

_SIZE: Final = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")


class File(NamedTuple):
    """A file of a form."""

    field: str
    data: bytes


class Fields:
    """What a request says. `as_text`: it was a form, whose values are texts."""

    def __init__(self, values: Mapping[str, Any], files: Sequence[File] = (), *, as_text: bool = False) -> None:
        self.values = {name: value for name, value in values.items() if value is not None}
        self.files = files
        self.as_text = as_text

    def text(self, name: str, default: str | None = None, longest: int = 32_000) -> str:
        """A text. Raises ApiError for another value, and for a missing one without `default`."""
        value = self.values.get(name, default)
        if value is None:
            raise ApiError(400, "missing_required_parameter", f"Missing required parameter: '{name}'.", name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        if len(value) > longest:
            message = f"'{name}' has {len(value):,} characters; at most {longest:,} are taken."
            raise ApiError(400, "string_above_max_length", message, name)
        return value

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of `choices`. Raises ApiError."""
        value = self.values.get(name, default)
        if value not in choices:
            raise self._wrong(name, f"one of {', '.join(choices)}")
        return str(value)

    def whole(self, name: str, least: int, most: int, default: int | None = None) -> int | None:
        """A whole number within bounds, or `default`. Raises ApiError."""
        value = self.values.get(name)
        if value is None:
            return default
        if self.as_text and isinstance(value, str) and re.fullmatch(r"-?\d{1,20}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._wrong(name, f"a whole number from {least:,} to {most:,}")
        return value

    def flag(self, name: str) -> bool:
        """True or false; false where it is missing. Raises ApiError."""
        value = self.values.get(name, False)
        if self.as_text and value in ("true", "false"):
            value = value == "true"
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def size(self) -> tuple[int, int] | None:
        """The width and height in `size`; None for "auto". Raises ApiError."""
        value = self.values.get("size", "auto")
        if value == "auto":
            return None
        found = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise self._wrong("size", "WIDTHxHEIGHT, such as 1024x1024, or auto")
        return int(found[1]), int(found[2])

    def _wrong(self, name: str, expected: str) -> ApiError:
        shown = repr(self.values.get(name))[:80]
        return ApiError(400, "invalid_value", f"Invalid value for '{name}': expected {expected}, got {shown}.", name)


async def read_fields(request: web.Request) -> Fields:
    """The fields of a request: JSON, or a form with files. Raises ApiError, and Refusal 400, 408, 413, 415."""
    if request.content_type.startswith("multipart/"):
        parts = await read_parts(request)
        files = [File(name, value) for name, value in parts if isinstance(value, bytes)]
        return Fields({name: value for name, value in parts if isinstance(value, str)}, files, as_text=True)
    values = await read_json(request)
    if not isinstance(values, dict):
        raise ApiError(400, "invalid_body", f"Expected a JSON object, got {type(values).__name__}.")
    return Fields(values)
