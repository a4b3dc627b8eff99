"""Language models that see pictures: the vision tower's sizes off names and shapes, and the library's whole model. No torch.

The vision tower is loaded where a family's prompts have a place for pictures and the file holds one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import msgspec

from engine.models.families.base import Tower, named
from engine.models.shapes import Facts, Shapes, part
from engine.models.towers.clip import TextEncoderFacts
from engine.models.towers.language import LanguageKind

if TYPE_CHECKING:
    from torch import Tensor, nn

LANGUAGE, VISION = "language_model.", "visual."
_IN_FILES = ("visual.", "model.visual.")


@dataclass(frozen=True, kw_only=True)
class SeeingKind(LanguageKind):
    """A language model with a vision tower.

    `whole` and `whole_settings`: the library's classes of both together. `vision(shapes)`: the arguments of its vision config.
    `token`: what stands in the text for each token of a picture. `mean`, `deviation`: what pixels in 0..1 are normalised by.
    `least`, `most`: pixels that a picture is brought to.
    """

    whole: str
    whole_settings: str
    vision: Callable[[Shapes], dict[str, Any]]
    token: str = "<|image_pad|>"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    deviation: tuple[float, float, float] = (0.5, 0.5, 0.5)
    least: int = 56 * 56
    most: int = 12_845_056

    ENCODER = "engine.models.towers.seeing_encoder:SeeingEncoder"

    def text_facts(self, shapes: Shapes, hints: Facts, tower: Tower) -> TextEncoderFacts:
        """As `LanguageKind.text_facts`; `config["vision"]` where pictures may come. `hints` may tell "vision" arguments."""
        facts = super().text_facts(shapes, hints, tower)
        found = _vision_part(shapes)
        if not found or not any(put.picture for put in tower.promptings):
            return facts
        vision = self.vision(found) | {"out_hidden_size": facts.config["hidden_size"]} | dict(hints.get("vision", {}))
        return msgspec.structs.replace(facts, config=facts.config | {"vision": vision})

    def build(self, config: Mapping[str, Any]) -> nn.Module:
        """Make the library's model, without a head, and without a vision tower where `config` has none."""
        if "vision" not in config:
            return super().build(config)
        text = {name: value for name, value in config.items() if name != "vision"} | {"use_cache": False}
        settings = named(self.whole_settings)(text_config=text, vision_config=dict(config["vision"]))
        return cast("nn.Module", named(self.whole)(settings))

    def renamed(self, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return a file's tensors as the library's model names them."""
        text = super().renamed(tensors, config)
        if "vision" not in config:
            return text
        seen = {f"{VISION}{name}": value for name, value in _vision_part(tensors).items()}
        return {f"{LANGUAGE}{name}": value for name, value in text.items()} | seen


def _vision_part(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return next((found for prefix in _IN_FILES if (found := part(tensors, prefix))), {})
