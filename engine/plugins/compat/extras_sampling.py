"""`comfy_extras.nodes_custom_sampler`: sources of noise, guiders, and the nodes of sampling by parts."""

from __future__ import annotations

from typing import Any

import torch

from engine.plugins.compat.core_classes import core_class
from engine.plugins.compat.guiders import Guider_Basic, Guider_DualCFG

__all__ = ["Guider_Basic", "Guider_DualCFG"]

LAZY = ("BasicGuider", "BasicScheduler", "SamplerCustomAdvanced")


class Noise_EmptyNoise:  # noqa: N801 - the field's name
    """No noise."""

    def __init__(self) -> None:
        self.seed = 0

    def generate_noise(self, input_latent: Any) -> Any:
        """Zeros like the latent."""
        return torch.zeros(input_latent["samples"].shape, dtype=torch.float32)


class Noise_RandomNoise:  # noqa: N801 - the field's name
    """The noise of a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def generate_noise(self, input_latent: Any) -> Any:
        """Noise like the latent."""
        from engine.plugins.compat.sample import prepare_noise

        return prepare_noise(input_latent["samples"], self.seed, input_latent.get("batch_index"))


def __getattr__(name: str) -> Any:
    """The class of a core node."""
    found = core_class(name) if not name.startswith("_") else None
    if found is None:
        raise AttributeError(f"there is no core node {name!r}")
    globals()[name] = found
    return found
