"""Media types of files, by their names and by their first bytes."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "application/octet-stream"

TYPES: Final = {
    ".png": "image/png",
    ".apng": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".avif": "image/avif",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".ogv": "video/ogg",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
}
"""Pictures, videos and sounds: shown when their first bytes are those of such a file."""

TEXTS: Final = {".json": "application/json", ".txt": "text/plain; charset=utf-8", ".log": "text/plain; charset=utf-8"}


def sniffed(head: bytes, by_name: str) -> str:
    """The media type that the first bytes tell; `by_name` decides where one container serves for several. Else ""."""
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        if head[8:12] in (b"avif", b"avis"):
            return "image/avif"
        return by_name if by_name in ("video/mp4", "video/quicktime", "audio/mp4") else "video/mp4"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return by_name if by_name in ("video/webm", "video/x-matroska") else "video/webm"
    if head[:4] == b"OggS":
        return by_name if by_name in ("video/ogg", "audio/ogg") else "audio/ogg"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return by_name if by_name in ("audio/mpeg", "audio/aac") else ""
    return ""


_STARTS: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
)
