"""How GLIGEN is called (Li et al. 2023): texts in boxes to tokens, which layers within a U-Net look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import torch

from engine.models.errors import ModelError
from engine.models.network import ControlNetwork
from engine.models.networks.gated import Grounding
from engine.models.networks.unet import UNet
from engine.models.networks.unet_places import Layout

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.network import Company

MOST: Final = 30
"""Boxes of a picture, as in training; places that are left have what was learned for none."""

BOX: Final = 4
"""Numbers of a box, before those of its text: x, y, width, height in pixels of the picture."""


class Gligen(ControlNetwork):
    """How it is called: what it gives is the same at each step."""

    @torch.no_grad()
    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        hint: Tensor,
        strength: float = 1.0,
        options: Mapping[str, Any] | None = None,
        company: Company | None = None,
    ) -> dict[str, Any]:
        """Return {"grounding": [layers and tokens]} of boxes and their texts, `hint` (1, N, 4 + D); see BOX.

        `strength` 0: of no boxes at all, as the branch without a prompt has. Raises ModelError when the denoiser is no U-Net with
        such blocks, for texts of another width, and for boxes that reach out of the picture.
        """
        self._check_network(company)
        width = int(self.handle.config["text"])
        if hint.shape[-1] != BOX + width:
            raise ModelError(
                f"{self.handle.source.path}: GLIGEN was trained with texts of width {width}, got {hint.shape[-1] - BOX}. Encode "
                "the texts of boxes with the text encoder of Stable Diffusion 1."
            )
        told = hint[0].to(self.device, self.dtype)
        boxes, texts, seen = self._places(told, x)
        if strength == 0.0:
            seen = torch.zeros_like(seen)
        tokens: Tensor = self.module.position(boxes=boxes[None], masks=seen[None], positive_embeddings=texts[None])  # type: ignore[operator]
        layers: Any = self.module.layers
        return {"grounding": [Grounding(layers, tokens.expand(x.shape[0], -1, -1))]}

    def _places(self, told: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (30, 4) as shares x0, y0, x1, y1, texts (30, D), and which of them there are (30,)."""
        height, width = (side * 8 for side in x.shape[-2:])
        corner, size = told[:, :2], told[:, 2:4]
        edges = torch.cat([corner, corner + size], dim=1)
        limits = torch.tensor([width, height], device=told.device)
        if bool((edges[:, 2:] > limits).any()):
            number = int((edges[:, 2:] > limits).any(dim=1).nonzero()[0])
            left, top, across, down = (int(one) for one in told[number, :BOX].tolist())
            raise ModelError(
                f"GLIGEN: box {number + 1} of {len(told)}, {across} x {down} pixels at x {left}, y {top}, reaches out of the "
                f"picture of {width} x {height} pixels. Make it smaller, or move it (GLIGENTextBoxApply)."
            )
        boxes = told.new_zeros(MOST, 4)
        boxes[: len(told)] = edges / limits.repeat(2)
        texts = told.new_zeros(MOST, told.shape[1] - BOX)
        texts[: len(told)] = told[:, BOX:]
        seen = told.new_zeros(MOST)
        seen[: len(told)] = 1.0
        return boxes, texts, seen

    def _check_network(self, company: Company | None) -> None:
        unet = company.network if company is not None else None
        layout = Layout.of(unet.module) if isinstance(unet, UNet) else None
        widths = [place.module.attn1.to_q.in_features for place in layout.attended] if layout else []
        if widths != list(self.handle.config["widths"]):
            got = unet.family.title if unet is not None else "another model"
            raise ModelError(
                f"{self.handle.source.path}: GLIGEN has {len(self.handle.config['widths'])} layers for the U-Net of Stable "
                f"Diffusion 1, got {got}, with {len(widths)} transformer blocks{' of other widths' if widths else ''}. Use "
                "it with a model of Stable Diffusion 1."
            )
