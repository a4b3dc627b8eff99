"""What a request for pictures asks for."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final, Literal, TypeAlias

import msgspec

from engine.server.openai.errors import ApiError
from engine.server.openai.fields import Fields

Operation: TypeAlias = Literal["generation", "edit", "variation"]

FORMATS: Final = ("png", "jpeg", "webp")
MOST_PICTURES: Final = 10
_LARGEST_SEED: Final = 2**64 - 1

_READ: Final = frozenset(
    {
        *("model", "prompt", "n", "size", "quality", "background", "output_format", "output_compression"),
        *("response_format", "stream", "partial_images", "seed", "image", "image[]", "mask"),
    }
)
IGNORED: Final = frozenset({"user", "safety_identifier", "moderation", "style", "input_fidelity", "complexity"})
"""Fields of the API that mean nothing here, unless the workflow has a parameter of that name."""


class PictureRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for pictures, checked as far as it can be without the model."""

    operation: Operation
    model: str
    prompt: str | None
    n: int
    size: tuple[int, int] | None
    """Width and height; None: the model's own."""
    quality: str
    format: str
    """Of the pictures: one of FORMATS."""
    compression: int
    """Quality of JPEG and WebP, 1 to 100."""
    as_url: bool
    stream: bool
    partial_images: int
    seed: int | None
    images: tuple[bytes, ...]
    mask: bytes | None
    further: dict[str, Any]
    """Other fields: parameters of the workflow by their own names."""
    as_text: bool
    """Whether these are texts of a form."""

    def without_files(self) -> PictureRequest:
        """The same without the pictures that came with it."""
        return msgspec.structs.replace(self, images=(), mask=None)


def read_request(operation: Operation, fields: Fields) -> PictureRequest:
    """Read the fields of a request. Raises ApiError that names the first wrong one."""
    format = fields.choice("output_format", FORMATS, "png")
    if fields.choice("background", ("auto", "opaque", "transparent"), "auto") == "transparent":
        message = "'background' cannot be transparent: what a model here makes is opaque. Leave it out."
        raise ApiError(400, "invalid_value", message, "background")
    stream = fields.flag("stream")
    if stream and operation == "variation":
        raise ApiError(400, "invalid_value", "Variations are not streamed. Leave 'stream' out.", "stream")
    as_url = fields.choice("response_format", ("b64_json", "url"), "b64_json") == "url"
    if stream and as_url:
        message = "Streamed pictures come as b64_json. Leave 'response_format' out."
        raise ApiError(400, "invalid_value", message, "response_format")
    return PictureRequest(
        operation=operation,
        model=fields.text("model", ""),
        prompt=fields.text("prompt") if operation != "variation" else None,
        n=fields.whole("n", 1, MOST_PICTURES, 1) or 1,
        size=fields.size(),
        quality=fields.text("quality", "auto", 40),
        format=format,
        compression=max(fields.whole("output_compression", 0, 100, 100) or 0, 1),
        as_url=as_url,
        stream=stream,
        partial_images=fields.whole("partial_images", 0, 3, 0) or 0,
        seed=fields.whole("seed", 0, _LARGEST_SEED),
        images=_images(fields) if operation != "generation" else (),
        mask=_mask(fields) if operation == "edit" else None,
        further={name: value for name, value in fields.values.items() if name not in _READ},
        as_text=fields.as_text,
    )


def _images(fields: Fields) -> tuple[bytes, ...]:
    found = [file.data for file in fields.files if file.field in ("image", "image[]")]
    for name in ("image", "image[]"):
        value = fields.values.get(name, [])
        found += [_file("image", one) for one in (value if isinstance(value, list) else [value])]
    if not found:
        raise ApiError(400, "missing_required_parameter", "Missing required parameter: 'image', a file.", "image")
    return tuple(found)


def _mask(fields: Fields) -> bytes | None:
    found = next((file.data for file in fields.files if file.field == "mask"), None)
    text = fields.values.get("mask")
    return _file("mask", text) if found is None and text is not None else found


def _file(field: str, text: Any) -> bytes:
    """The bytes in a text: a `data:` URL, or base64. Raises ApiError."""
    coded = text if isinstance(text, str) else ""
    if coded.startswith("data:"):
        coded = coded.partition(",")[2]
    try:
        found = base64.b64decode(coded.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not found:
        message = f"Invalid value for '{field}': expected a file, a data: URL or base64. Addresses are not fetched."
        raise ApiError(400, "invalid_value", message, field)
    return found
