"""Reading prompts, with the latest ones kept: the same graph is often run again and again."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from engine.graph.prompt import Prompt, prompt_from_json

KEPT: Final = 8


class Prompts:
    """Reads the JSON of checked prompts. What it gives is shared by jobs, and nobody may change it."""

    def __init__(self) -> None:
        self.read = lru_cache(KEPT)(_read)


def _read(data: bytes) -> Prompt:
    return prompt_from_json(msgspec.json.decode(data))
