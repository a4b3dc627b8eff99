"""Reading a multipart form with one file, piece by piece."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import BodyPartReader, MultipartReader, web

from engine.server.bodies import Pace, encoding_of, form_explained, too_large
from engine.server.limits import Limits
from engine.server.refusals import Refusal
from engine.server.saving import Incoming, safe_name

_STEP = 256 * 1024


async def read_form(
    request: web.Request,
    into: Incoming,
    limits: Limits,
    field: str = "image",
    named: Callable[[str], str] = safe_name,
) -> tuple[str, dict[str, str]]:
    """Write the file in `field` of the form `into`; return its name, which `named` makes safe, and the other fields.

    Raises Refusal 400 for what is not a form with such a file, 408 when it comes too slowly, 413, 415, 507.
    """
    if encoding_of(request):
        raise Refusal(415, "unknown_encoding", "A form is taken as it is: send it without Content-Encoding.")
    if not request.content_type.startswith("multipart/"):
        message = f"Expected a form (multipart/form-data) with the file in `{field}`; got {request.content_type[:80]}."
        raise Refusal(415, "not_a_form", message)
    if (request.content_length or 0) > limits.largest_request:
        raise too_large(limits.max_upload_size, what="The file")
    with form_explained():
        return await _Form(request, into, limits, field, named).read()


class _Form:
    def __init__(
        self, request: web.Request, into: Incoming, limits: Limits, field: str, named: Callable[[str], str]
    ) -> None:
        self._request = request
        self._into = into
        self._limits = limits
        self._field = field
        self._named = named
        self._pace = Pace(limits)
        self._received = 0
        self._name: str | None = None
        self._fields: dict[str, str] = {}

    async def read(self) -> tuple[str, dict[str, str]]:
        reader = await self._request.multipart()
        for _ in range(self._limits.max_form_fields):
            part = await self._pace.wait(reader.next(), self._received)
            if part is None:
                break
            await self._take(part)
        else:
            raise Refusal(413, "too_many_fields", f"The form has more than {self._limits.max_form_fields} fields.")
        if self._name is None:
            raise Refusal(
                400, "missing_file", f"The form has no file: send it in the field `{self._field}`, with a file name."
            )
        return self._name, self._fields

    async def _take(self, part: BodyPartReader | MultipartReader) -> None:
        if not isinstance(part, BodyPartReader):
            raise Refusal(400, "invalid_form", "A form within the form is not taken: send each field by itself.")
        if part.name == self._field and self._name is None:
            self._name = self._named(part.filename or "")
            await self._save(part)
        elif part.name and part.name != self._field:
            self._fields[part.name] = await self._value(part)
        else:
            message = f"Expected one file in the field `{self._field}`, and other fields with a name."
            raise Refusal(400, "invalid_form", message)

    async def _save(self, part: BodyPartReader) -> None:
        limit = self._limits.max_upload_size
        while chunk := await self._pace.wait(part.read_chunk(_STEP), self._received):
            self._received += len(chunk)
            if self._into.size + len(chunk) > limit:
                raise too_large(limit, what="The file")
            await self._into.write(bytes(chunk))
        await self._into.close()

    async def _value(self, part: BodyPartReader) -> str:
        value = bytearray()
        while chunk := await self._pace.wait(part.read_chunk(_STEP), self._received):
            self._received += len(chunk)
            value += chunk
            if len(value) > self._limits.max_form_value:
                raise too_large(self._limits.max_form_value, what=f"The field {str(part.name)[:40]!r}")
        return value.decode("utf-8", "replace")
