"""Language models that are loaded to write, and condition no network: whatever kind can be talked to.

Workflows load them by the `type` of any family, so the file tells what they are.
"""

from __future__ import annotations

from engine.models.families.base import Family, NetworkKind, Prompting, Tower
from engine.models.towers import kinds
from engine.models.towers.language import LanguageKind

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
    towers=tuple(
        Tower(name=kind.name, kind=kind.name, only_writes=True, prompting=Prompting(picture=kind.chat.picture))
        for kind in kinds()
        if isinstance(kind, LanguageKind) and kind.chat is not None
    ),
)
