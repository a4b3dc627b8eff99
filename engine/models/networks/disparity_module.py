"""Networks of transformers that estimate how near things are, as networks that give depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from torch import nn
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_LEAST: Final = 1e-2
"""How near the farthest is taken to be, as a part of the nearest: where the network says 0, depth would have no end."""


class DisparityNetwork(nn.Module):
    """Depth Anything 1 or 2: from planes (B, 3, H, W), normalised, of whole patches, to depth and sky, each (B, H, W).

    `config`: what its config.json says. Those that are no metric ones give nearness, of no unit: depth is 1 over it.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        told = {name: value for name, value in config.items() if name not in ("model_type", "architectures")}
        eye = {name: value for name, value in told["backbone_config"].items() if name != "model_type"}
        made = DepthAnythingConfig(**{**told, "backbone_config": Dinov2Config(**eye)})
        self.network = DepthAnythingForDepthEstimation(made)
        self.patch = int(told.get("patch_size", 14))
        self.metric = made.depth_estimation_type == "metric"

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Return depth and, as these networks know of no sky, 0."""
        found: Tensor = self.network(planes).predicted_depth
        if not self.metric:
            most = found.amax(dim=(1, 2), keepdim=True).clamp(min=1e-6)
            found = 1.0 / found.maximum(_LEAST * most)
        return found, found.new_zeros(found.shape)
