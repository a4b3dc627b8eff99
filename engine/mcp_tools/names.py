"""Names of tools: what every client of the protocol takes, which is less than a workflow may be called."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from xxhash import xxh3_64_hexdigest

LONGEST: Final = 64
"""The protocol allows 128; language models are told of no longer ones."""

_OTHER: Final = re.compile(r"[^A-Za-z0-9_-]+")
_DIGITS: Final = 6


def tool_names(workflows: Iterable[str]) -> dict[str, str]:
    """Workflow → the name of its tool: letters, digits, `_` and `-` (these two not at its ends), at most LONGEST of them.

    A workflow whose name is such already keeps it. Of others that would be called alike, each has digits of its own behind, which
    depend on nothing but its name.
    """
    plain = {workflow: _plain(workflow) for workflow in workflows}
    counts: dict[str, int] = {}
    for name in plain.values():
        counts[name.lower()] = counts.get(name.lower(), 0) + 1
    return {
        workflow: name if name and (name == workflow or counts[name.lower()] == 1) else _told_apart(workflow, name)
        for workflow, name in plain.items()
    }


def title_of(workflow: str) -> str:
    """What people read: `portraits/soft_light` is "Soft light"."""
    words = " ".join(workflow.rpartition("/")[2].replace("_", " ").split())
    return words[:1].upper() + words[1:]


def _plain(workflow: str) -> str:
    letters = unicodedata.normalize("NFKD", workflow).encode("ascii", "ignore").decode()
    return _OTHER.sub("_", letters)[:LONGEST].strip("_-")


def _told_apart(workflow: str, name: str) -> str:
    digits = xxh3_64_hexdigest(workflow.encode(errors="surrogatepass"))[:_DIGITS]
    return f"{(name or 'workflow')[: LONGEST - _DIGITS - 1]}_{digits}"
