"""A GUIDER: a model and how its predictions are steered, as data. Imports without torch."""

from __future__ import annotations

from dataclasses import dataclass

from engine.models.handles import ModelHandle
from engine.sampling.guiders import Guidance


@dataclass(frozen=True, eq=False)
class GuidedModel:
    """A model's handle and its guidance; `negative_model` predicts for the negative conditioning, where it is another."""

    model: ModelHandle
    guidance: Guidance
    negative_model: ModelHandle | None = None
