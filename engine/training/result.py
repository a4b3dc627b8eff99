"""What a training run hands back."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.training.evaluate import Score


class TrainingResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended.

    `finished` is false where the time was up first; `checkpoint` is None if there is nothing to export yet; `score` is None
    where the recipe asks for no evaluation.
    """

    finished: bool
    steps: int
    checkpoint: Path | None
    score: Score | None = None
