"""Files that come with a call: kept in the input folder under a name made of their content, so that each is there once.

A file is given as the name of one that is in the input folder (also `NAME [output]`, `NAME [temp]`), as an object
`{"filename", "subfolder", "type"}` of an earlier result, as a `data:` URL, as base64 (`{"base64": …}`, or a text too long for a
name), or as bytes: a part of a form. Addresses on other machines are refused: the server fetches nothing for others.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from engine.graph.parameters import Parameter
from engine.graph.problems import Problem, problem, shown
from engine.graph.signature import Kind, media_kind
from engine.media.given import FOLDER, content_name, used_again
from engine.media.types import sniffed
from engine.paths import Paths
from engine.server.refusals import Refusal
from engine.server.routes.view_renditions import DECODER_ERRORS, open_picture
from engine.server.saving import explained, incoming, take_name

MOST_BYTES: Final = 4 * 1024**3
"""Of all files there. Beyond it those go that were not used for the longest."""

SAFE_SECONDS: Final = 24 * 3600.0
"""A file that was used within this time may be needed by a job that waits, and stays."""

LONGEST_NAME: Final = 1_000
"""Letters of a text from which on it is base64, and no file name."""

_LOOKS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "image": ("image/",),
    "mask": ("image/",),
    "audio": ("audio/", "video/"),
    "video": ("video/", "image/"),
}
_PICTURES: Final = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
}
"""Kind of picture, as Pillow calls it → its media type."""
_TYPES: Final = ("input", "output", "temp")


class FileProblemError(ValueError):
    """A file that a parameter does not take; `problem` names the parameter, what was expected and what came."""

    def __init__(self, told: Problem) -> None:
        super().__init__(told.message)
        self.problem = told


class CallFiles:
    """Takes the files of calls. `max_bytes` is for each of them, `max_pixels` for a picture."""

    def __init__(self, paths: Paths, *, max_bytes: int, max_pixels: int, most: int = MOST_BYTES) -> None:
        self._paths = paths
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels
        self._most = most

    async def take(self, parameter: Parameter, value: Any) -> Any:
        """The name that the node gets for what was given. What is no file at all comes back as it is, to be refused.

        Raises FileProblemError for what cannot be read or is another kind of file, Refusal 507 for a full disk.
        """
        data = value if isinstance(value, bytes) else self._data(parameter, value)
        if data is None:
            return _reference(value)
        if len(data) > self._max_bytes:
            raise _wrong(parameter, f"at most {self._max_bytes >> 20} MiB", f"{len(data) / 2**20:.1f} MiB")
        kind = media_kind(parameter.spec) or "file"
        return await self._kept(data, await asyncio.to_thread(self._checked, parameter, kind, data))

    def _data(self, parameter: Parameter, value: Any) -> bytes | None:
        """The bytes in what was given; None when it names a file."""
        if isinstance(value, Mapping) and isinstance(value.get("base64"), str):
            return _decoded(parameter, value["base64"])
        if not isinstance(value, str):
            return None
        scheme = value[:32].partition(":")[0].lower()
        if scheme == "data":
            return _data_url(parameter, value)
        if scheme in ("http", "https", "ftp", "file") and value[len(scheme) :].startswith("://"):
            hint = "Send the file itself: as a part of a form, as a data: URL, or as base64."
            raise _wrong(parameter, "a file", value, f"addresses are not fetched ({scheme}://)", hint=hint)
        return _decoded(parameter, value) if len(value) > LONGEST_NAME else None

    def _checked(self, parameter: Parameter, kind: Kind, data: bytes) -> str:
        """The name for the file. Raises FileProblemError when it is not of the kind, or cannot be read."""
        found = sniffed(data[:32], "")
        if kind in ("image", "mask"):
            found = self._picture(parameter, data)
        looks = _LOOKS.get(kind)
        if looks is not None and not found.startswith(looks):
            raise _wrong(parameter, f"a file of kind {kind}", f"{len(data)} bytes", f"it is {found or 'no such file'}")
        return content_name(data)

    def _picture(self, parameter: Parameter, data: bytes) -> str:
        """The media type of a picture that can be decoded whole."""
        from PIL import Image

        try:
            with open_picture(data, self._max_pixels) as picture:
                found = _PICTURES.get(picture.format or "")
                if found is not None:
                    picture.load()
        except Refusal as refusal:
            raise _wrong(parameter, "a picture", f"{len(data)} bytes", refusal.message) from None
        except Image.DecompressionBombError:
            raise _wrong(parameter, "a picture", f"{len(data)} bytes", "it has too many pixels") from None
        except DECODER_ERRORS as error:
            reason = f"it cannot be read as a picture ({_short(error)})"
            raise _wrong(parameter, "a picture", f"{len(data)} bytes", reason) from None
        if found is None:
            kinds = ", ".join(sorted(_PICTURES))
            raise _wrong(parameter, f"a picture: {kinds}", f"{len(data)} bytes", "pictures of its kind are not taken")
        return found

    async def _kept(self, data: bytes, name: str) -> str:
        """Keep the bytes; the name by which nodes know them."""
        folder = self._paths.input / FOLDER
        if await asyncio.to_thread(used_again, folder / name, len(data)):
            return f"{FOLDER}/{name}"
        await asyncio.to_thread(self._make_room, folder, len(data))
        async with incoming(folder) as part:
            await part.write(data)
            await part.close()
            with explained():
                await asyncio.to_thread(take_name, part.path, folder / name)
        return f"{FOLDER}/{name}"

    def _make_room(self, folder: Path, needed: int) -> None:
        with explained():
            known = sorted(_files(folder))
            held = sum(size for _, size, _ in known)
            oldest = time.time() - SAFE_SECONDS
            for used, size, path in known:
                if held + needed <= self._most or used > oldest:
                    break
                path.unlink(missing_ok=True)
                held -= size
        if held + needed > self._most:
            message = (
                f"The files of the calls of one day take {held / 2**30:.1f} GiB, the most that is kept. Delete what is not "
                f"needed in the folder input/{FOLDER}."
            )
            raise Refusal(507, "input_full", message)


def text_of(parameter: Parameter, data: bytes) -> str:
    """The text in a file that was sent for a parameter which takes no file. Raises FileProblemError for other bytes."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _wrong(parameter, "text in UTF-8", f"{len(data)} bytes", "the file is no text") from None


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    """(time of last use, bytes, file)."""
    try:
        with os.scandir(folder) as found:
            stats = [(entry.stat(), entry) for entry in found if entry.is_file() and not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    return [(stat.st_mtime, stat.st_size, Path(entry.path)) for stat, entry in stats]


def _reference(value: Any) -> Any:
    """The name of a file that an object `{filename, subfolder, type}` means; anything else as it is."""
    if not isinstance(value, Mapping) or not isinstance(value.get("filename"), str):
        return value
    subfolder, kind = value.get("subfolder") or "", value.get("type") or "output"
    if not isinstance(subfolder, str) or kind not in _TYPES:
        return value
    name = f"{subfolder}/{value['filename']}" if subfolder else value["filename"]
    return name if kind == "input" else f"{name} [{kind}]"


def _data_url(parameter: Parameter, value: str) -> bytes:
    head, comma, body = value.partition(",")
    if not comma:
        raise _wrong(parameter, "data:TYPE;base64,…", value)
    return _decoded(parameter, body) if head.lower().endswith(";base64") else unquote_to_bytes(body)


def _decoded(parameter: Parameter, text: str) -> bytes:
    try:
        plain = "".join(text.split()).replace("-", "+").replace("_", "/")
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(parameter, "base64", text, "it is no base64") from None


def _wrong(parameter: Parameter, expected: str, received: str, reason: str = "", *, hint: str = "") -> FileProblemError:
    reason = reason or f"{expected} was expected"
    told = problem(
        "invalid_input_type",
        message=f"{shown(parameter.name)}: {reason}",
        input_name=parameter.name,
        expected=expected,
        received=shown(received),
        hint=hint or "Send a file that opens elsewhere.",
    )
    return FileProblemError(told)


def _short(error: Exception) -> str:
    """What a decoder says, without the object that it names."""
    text = str(error).partition(" <")[0].strip()
    return shown(text, 120) or type(error).__name__
