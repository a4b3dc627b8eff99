"""Long texts that nodes show, kept in files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xxhash import xxh3_128_hexdigest


class TextKeeper:
    """Writes texts into the temporary folder, which `directory("temp")` gives."""

    def __init__(self, directory: Callable[[str], Path]) -> None:
        self._directory = directory

    def __call__(self, text: str) -> Mapping[str, Any]:
        """Write `text`, named after its content; gives `{filename, subfolder, type}`. Raises OSError."""
        data = text.encode("utf-8", "replace")
        name = f"shown_{xxh3_128_hexdigest(data)}.txt"
        path = self._directory("temp") / name
        if not path.exists():
            partial = path.with_suffix(".part")
            partial.write_bytes(data)
            partial.replace(path)
        return {"filename": name, "subfolder": "", "type": "temp"}
