"""What a training run tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

Stage = Literal["fetch", "prepare", "tokenizer", "vae", "latents", "diffusion", "decoder", "export", "evaluate"]


class TrainingProgress(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Step `step` of `total` in a stage is done.

    `loss` is a running mean where there is one; `seconds` counts from the start of this call of `train`.
    """

    stage: Stage
    step: int
    total: int
    seconds: float
    loss: float | None = None
    note: str = ""


OnProgress = Callable[[TrainingProgress], None]


def silent(event: TrainingProgress) -> None:
    """Take an event and say nothing."""
