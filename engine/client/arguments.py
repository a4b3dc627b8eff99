"""The arguments of a call as they are sent: JSON, or a form where files are large."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.calls.errors import WrongTypeError
from engine.calls.media import Media, media_of

if TYPE_CHECKING:
    from aiohttp import FormData

_MOST_IN_JSON: Final = 4 * 1024**2
"""Bytes of files that travel as base64; more of them go as a form."""


class Arguments:
    """Arguments by name, files among them read once, so that a request that is sent again is the same.

    `schema` is the JSON Schema of what the workflow takes: it says which parameters take files. Raises OSError for a file that
    cannot be read.
    """

    def __init__(self, given: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
        known = schema.get("properties") or {}
        self._files: dict[str, Media] = {}
        self._values: dict[str, Any] = {}
        for name, value in given.items():
            media = media_of(value) if "x-safelight-media" in (known.get(name) or {}) else None
            if media is not None:
                self._files[name] = media
            else:
                self._values[name] = value
        self._json = self._as_json()

    def body(self) -> tuple[bytes | FormData, dict[str, str]]:
        """The body of a request, and its headers."""
        if self._json is not None:
            return self._json, {"Content-Type": "application/json"}
        from aiohttp import FormData

        form = FormData()
        for name, value in self._values.items():
            form.add_field(name, value if isinstance(value, str) else json.dumps(value))
        for name, media in self._files.items():
            form.add_field(name, media.data, filename=media.name, content_type="application/octet-stream")
        return form, {}

    def _as_json(self) -> bytes | None:
        """None where files are large and all else is plain enough for a form."""
        plain = all(isinstance(value, str | int | float) for value in self._values.values())
        if plain and sum(len(media.data) for media in self._files.values()) > _MOST_IN_JSON:
            return None
        files = {name: {"base64": base64.b64encode(media.data).decode()} for name, media in self._files.items()}
        try:
            return json.dumps({**self._values, **files}).encode()
        except TypeError as error:
            raise WrongTypeError(f"A parameter was given what is neither JSON nor a file: {error}.") from None
