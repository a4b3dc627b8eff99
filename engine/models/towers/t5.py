"""T5's encoder (Raffel et al. 2020; v1.1 of Shazeer 2020): sizes and token rules, read off names and shapes. No torch."""

from __future__ import annotations

from typing import Final

from engine.models.towers.t5_kind import T5Kind

KIND: Final = T5Kind(
    title="T5's encoder",
    METADATA="safelight.tokenizer.t5",
    TOKENIZER="google/t5-v1_1-xxl",
    stack="transformers.models.t5.modeling_t5:T5Stack",
    settings="transformers.models.t5.configuration_t5:T5Config",
    places_in_each=False,
)
