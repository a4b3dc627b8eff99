"""Language models that are loaded to write, and condition no network: whatever kind can be talked to.

Workflows load them by the `type` of any family, so the file tells what they are.
"""

from __future__ import annotations

from typing import cast

from engine.models.families.base import Family, NetworkKind, Prompting, Tower
from engine.models.towers import kind_named
from engine.models.towers.language import LanguageKind

KINDS = ("gemma3", "llama", "ministral3", "mistral", "qwen2_5_vl", "qwen3", "qwen3_5", "qwen3_vl")
"""Those that have a `chat`."""


def _writer(name: str) -> Tower:
    chat = cast("LanguageKind", kind_named(name)).chat
    assert chat is not None
    return Tower(name=name, kind=name, only_writes=True, prompting=Prompting(picture=chat.picture))


FAMILY = Family(
    name="language_models",
    title="language models that write",
    layouts=(),
    network=NetworkKind(
        title="no network",
        module="",
        call="",
        sizes=lambda shapes, hints, family: {},
        renamed=lambda tensors, config: dict(tensors),
        paths=lambda config: {},
    ),
    towers=tuple(_writer(name) for name in KINDS),
)
