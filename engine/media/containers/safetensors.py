"""safetensors, and the latents that are saved in it: `__metadata__` of the header. The tensors are not looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine.media.containers.parts import as_texts, json_object

LENGTH: Final = 8
"""Bytes of the number that says how long the header is."""
MAX_HEADER: Final = 100_000_000
"""What the format allows."""


def head_length(data: bytes) -> int | None:
    """How many bytes there are up to the end of the header; None where `data` does not begin like such a file."""
    length = int.from_bytes(data[:LENGTH], "little")
    begins = data[LENGTH : LENGTH + 1] == b"{" and 2 <= length <= MAX_HEADER
    return LENGTH + length if begins else None


def texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and text of the metadata. Raises MediaError for a header that is not whole."""
    end = head_length(data) or LENGTH
    yield from as_texts(json_object(data[LENGTH:], end - LENGTH, MAX_HEADER, "header").get("__metadata__"))
