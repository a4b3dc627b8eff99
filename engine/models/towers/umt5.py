"""UMT5's encoder (Chung et al. 2023), and Pile-T5 (EleutherAI 2024): T5 whose every layer has places of its own. No torch."""

from __future__ import annotations

from typing import Final

from engine.models.towers.t5_kind import T5Kind

KIND: Final = T5Kind(
    title="UMT5's encoder",
    METADATA="safelight.tokenizer.umt5",
    TOKENIZER="google/umt5-xxl, or EleutherAI/pile-t5-xl for AuraFlow",
    stack="transformers.models.umt5.modeling_umt5:UMT5Stack",
    settings="transformers.models.umt5.configuration_umt5:UMT5Config",
    places_in_each=True,
)
