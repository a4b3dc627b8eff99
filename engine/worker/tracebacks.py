"""Tracebacks as clients may see them: which module and line, not where on this machine it lies."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_FILE: Final = re.compile(r'(?<=File ")([^"\n]+)(?=", line )')


class Shortener:
    """Cuts off the folders that modules are found in, and `folders`; of other files, it leaves the name and its folder."""

    def __init__(self, folders: Iterable[Path]) -> None:
        known = {*map(str, folders), *(str(Path(entry).absolute()) for entry in sys.path), sys.prefix, sys.base_prefix}
        known |= {os.path.realpath(folder) for folder in known}
        self._folders = tuple(sorted({folder.rstrip(os.sep) + os.sep for folder in known}, key=len, reverse=True))

    def shorten(self, text: str) -> str:
        """`text`, which may hold a traceback, with short names of files."""
        return _FILE.sub(self._short, text) if 'File "' in text else text

    def _short(self, match: re.Match[str]) -> str:
        path = match[1]
        for folder in self._folders:
            if path.startswith(folder) and len(folder) > 1:
                return path[len(folder) :]
        return str(Path(*Path(path).parts[-2:])) if Path(path).is_absolute() else path
