"""How DiT's transformer is called: with a latent, a time and a class of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.errors import ModelError
from engine.models.networks.pixel_unet import WithoutText

if TYPE_CHECKING:
    from torch import Tensor


class DiT(WithoutText):
    """Peebles & Xie 2023. What it has learned of the variance is left out, as the library's pipeline leaves it."""

    conditioned_by = "ClassConditioning"

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `label` (1,), the number of the class that a conditioning names; that of no class where it names none."""
        none = int(self.handle.config["num_embeds_ada_norm"])
        return {"label": torch.tensor([int(options.get("class_label", none))])}

    @torch.no_grad()
    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        *,
        concat: Tensor | None = None,
        control: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Tensor:
        """Return the noise (B, C, h, h) in the dtype and on the device of `x`; `context` is (B, T, 1), of nothing.

        Raises ModelError for a latent that is no square of whole patches, and for a conditioning of text.
        """
        self.check(x, context)
        patch, (height, width) = int(self.handle.config["patch_size"]), x.shape[-2:]
        if height != width or height % patch:
            raise ModelError(
                f"{self.handle.source.path}: DiT makes squares whose side is a multiple of {patch} latent pixels, got "
                f"{width} x {height}. Choose a width and a height that are the same."
            )
        labels = (options or {})["label"].to(self.device)
        predicted: Tensor = self.module(
            x.to(self.device, self.dtype), timestep=t.to(self.device), class_labels=labels, return_dict=False
        )[0]
        return predicted[:, : x.shape[1]].to(x)
