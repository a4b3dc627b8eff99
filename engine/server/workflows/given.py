"""The arguments of a call as they are sent: a JSON object, or a form whose files are arguments too."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import BodyPartReader, web

from engine.server.bodies import LIMITS, Pace, decode_json, encoding_of, form_explained, read_body, too_large
from engine.server.idempotency import digest_of
from engine.server.large_bodies import Gathered
from engine.server.limits import Limits
from engine.server.refusals import Refusal

_STEP: Final = 256 * 1024


class Given(NamedTuple):
    """Arguments by name. `as_text`: they come from a form, as texts and (files) bytes."""

    arguments: dict[str, Any]
    as_text: bool

    def digest(self, *more: str) -> bytes:
        """What a request that is sent again has in common with the first one."""
        parts = [text.encode(errors="surrogateescape") for text in more]
        for name, value in sorted(self.arguments.items()):
            parts.append(name.encode(errors="surrogateescape"))
            parts.append(value if isinstance(value, bytes) else msgspec.json.encode(value, order="sorted"))
        return digest_of(*parts)


async def read_given(request: web.Request) -> Given:
    """The arguments that a request sends; none of an empty body. Raises Refusal 400, 408, 413, 415.

    Large ones wait for their turn (`engine.server.large_bodies`), which ends with the request, or when it is let go.
    """
    if request.content_type.startswith("multipart/"):
        parts = await read_parts(request)
        for name, _ in parts:
            if sum(name == other for other, _ in parts) > 1:
                message = f"The field {name[:80]!r} is there twice: a parameter has one value."
                raise Refusal(400, "invalid_form", message)
        return Given(dict(parts), True)
    limits = request.app.get(LIMITS) or Limits()
    body = await read_body(request)
    if not body.strip():
        return Given({}, False)
    arguments = decode_json(body, max_depth=limits.max_json_depth)
    if not isinstance(arguments, dict):
        kind = type(arguments).__name__
        raise Refusal(400, "invalid_body", f'Expected an object of parameters, such as {{"seed": 1}}; got {kind}.')
    return Given(arguments, False)


async def read_parts(request: web.Request) -> list[tuple[str, str | bytes]]:
    """The fields of a form in order, each by its name: a file as bytes, anything else as text. Raises as `read_given`."""
    limits = request.app.get(LIMITS) or Limits()
    if encoding_of(request):
        raise Refusal(415, "unknown_encoding", "A form is taken as it is: send it without Content-Encoding.")
    if (request.content_length or 0) > limits.largest_request:
        raise too_large(limits.largest_request)
    with form_explained():
        return await _Form(request, limits).read()


class _Form:
    def __init__(self, request: web.Request, limits: Limits) -> None:
        self._request = request
        self._limits = limits
        self._pace = Pace(limits)
        self._received = 0

    async def read(self) -> list[tuple[str, str | bytes]]:
        """Every part by its name: a file as bytes, anything else as text."""
        parts: list[_Part] = []
        try:
            await self._gather(parts)
            return [(part.name, await part.value()) for part in parts if not part.is_empty]
        finally:
            for part in parts:
                part.gathered.close()

    async def _gather(self, parts: list[_Part]) -> None:
        """All of it comes before any is read back: who sends slowly keeps no turn."""
        reader = await self._request.multipart()
        for _ in range(self._limits.max_form_fields):
            part = await self._pace.wait(reader.next(), self._received)
            if part is None:
                return
            if not isinstance(part, BodyPartReader):
                raise Refusal(400, "invalid_form", "A form within the form is not taken: send each field by itself.")
            if not part.name:
                raise Refusal(400, "invalid_form", "A field has no name: give it that of a parameter.")
            parts.append(_Part(part.name, part.filename, Gathered(self._request)))
            await self._take(part, parts[-1])
        raise Refusal(413, "too_many_fields", f"The form has more than {self._limits.max_form_fields} fields.")

    async def _take(self, part: BodyPartReader, into: _Part) -> None:
        limit = self._limits.max_upload_size if into.is_file else self._limits.max_form_value
        while chunk := await self._pace.wait(part.read_chunk(_STEP), self._received):
            into.size += len(chunk)
            self._received += len(chunk)
            if into.size > limit or self._received > self._limits.largest_request:
                raise too_large(limit, what=f"The field {str(part.name)[:40]!r}")
            await into.gathered.add(bytes(chunk))


class _Part:
    """A field of a form."""

    def __init__(self, name: str, filename: str | None, gathered: Gathered) -> None:
        self.name = name
        self.is_file = filename is not None
        self.filename = filename
        self.gathered = gathered
        self.size = 0

    @property
    def is_empty(self) -> bool:
        """A browser sends a field for a file that nobody chose."""
        return self.filename == "" and not self.size

    async def value(self) -> str | bytes:
        """What was sent."""
        data = await self.gathered.whole()
        return data if self.is_file else data.decode("utf-8", "replace")
