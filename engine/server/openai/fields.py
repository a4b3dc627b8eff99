"""Fields of a request, from JSON or from a form: read by type, refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from engine.server.bodies import LIMITS, Pace, read_json, too_large
from engine.server.limits import Limits
from engine.server.openai.errors import ApiError

_STEP: Final = 256 * 1024
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
    if not request.content_type.startswith("multipart/"):
        values = await read_json(request)
        if not isinstance(values, dict):
            raise ApiError(400, "invalid_body", f"Expected a JSON object, got {type(values).__name__}.")
        return Fields(values)
    try:
        return await _Form(request).read()
    except (ValueError, AssertionError, LookupError, RuntimeError, HttpProcessingError) as error:
        message = f"The form cannot be read: {str(error)[:200] or 'it is damaged or not whole'}. Send it again."
        raise ApiError(400, "invalid_form", message) from error


class _Form:
    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._limits = request.app.get(LIMITS) or Limits()
        self._pace = Pace(self._limits)
        self._received = 0

    async def read(self) -> Fields:
        values: dict[str, str] = {}
        files: list[File] = []
        reader = await self._request.multipart()
        for _ in range(self._limits.max_form_fields):
            part = await self._pace.wait(reader.next(), self._received)
            if part is None:
                return Fields(values, files, as_text=True)
            if not isinstance(part, BodyPartReader) or not part.name:
                raise ApiError(
                    400, "invalid_form", "Expected fields and files with a name, and no form within the form."
                )
            if part.filename is not None:
                files.append(File(part.name, await self._data(part, self._limits.max_upload_size)))
            else:
                value = await self._data(part, self._limits.max_form_value)
                values[part.name] = value.decode("utf-8", "replace")
        raise ApiError(413, "too_many_fields", f"The form has more than {self._limits.max_form_fields} fields.")

    async def _data(self, part: BodyPartReader, most: int) -> bytes:
        """The bytes of a part: at most `most`, and of all parts what a request may have."""
        found = bytearray()
        while chunk := await self._pace.wait(part.read_chunk(_STEP), self._received):
            self._received += len(chunk)
            found += chunk
            if len(found) > most:
                raise too_large(most, what=f"The field {str(part.name)[:40]!r}")
            if self._received > self._limits.largest_request:
                raise too_large(self._limits.largest_request, what="The form")
        return bytes(found)
