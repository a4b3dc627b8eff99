"""What control networks of transformers have in common: they take their picture as a latent."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from engine.models.errors import ModelError
from engine.models.handles import ModelPatchHandle
from engine.models.network import ControlNetwork, fill, repeat_to
from engine.models.networks.pooled import even

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.datatypes.parameterization import LatentFormat
    from engine.models.handles import ControlNetHandle
    from engine.models.network import Company, Network


def sheet(x: Tensor) -> Tensor:
    """Return a latent (B, C, h, w), or (B, C, T, h, w) the first of whose frames is taken, filled up to even sides."""
    return even(x[:, :, 0] if x.ndim == 5 else x)


class LatentControl(ControlNetwork):
    """A control network that takes its picture as a latent, and one for inpainting a mask beside it."""

    steers: ClassVar[str]
    """What messages call its denoisers."""

    def __init__(self, module: nn.Module, handle: ControlNetHandle, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(module, handle, device, dtype)
        self._seen: tuple[Tensor, tuple[int, int], Tensor] | None = None

    @property
    def title(self) -> str:
        """What messages call it."""
        return "model patch" if isinstance(self.handle, ModelPatchHandle) else "ControlNet"

    @property
    def masked(self) -> bool:
        """Whether it takes a mask."""
        return False

    def check(self, company: Company | None, network: type[Network]) -> Company:
        """Return what stands beside the picture; ModelError when the denoiser is not a `network`."""
        if company is None or not isinstance(company.network, network):
            got = "another model" if company is None else company.network.family.title
            raise ModelError(
                f"{self.handle.source.path}: this {self.title} is for {self.steers}, got {got}. Use one that was trained for the "
                "model's family."
            )
        return company

    def check_text(self, context: Tensor, width: int) -> None:
        """Raise ModelError for a text (B, T, D) that is not `width` wide."""
        if context.shape[-1] != width:
            raise ModelError(
                f"{self.handle.source.path}: this {self.title} is for models with a conditioning of width {width}, got "
                f"{context.shape[-1]}. Use one that was trained for the model's size."
            )

    def seen(self, hint: Tensor, company: Company, x: Tensor, space: LatentFormat) -> Tensor:
        """Return the picture as a latent of the size of `x` (B, C, h, w), (B, C or C + 1, h, w), in network space.

        Encoded once for a size. What is to be made, where there is a mask, is black, and the channel behind is 0 there, else 1.
        Raises ModelError without a VAE, and without a mask for a network that takes one.
        """
        size = (x.shape[-2], x.shape[-1])
        if self._seen is None or self._seen[0] is not hint or self._seen[1] != size:
            self._seen = (hint, size, self._encoded(hint, company, size, space))
        return repeat_to(self._seen[2], x.shape[0]).to(self.device, self.dtype)

    def _encoded(self, hint: Tensor, company: Company, size: tuple[int, int], space: LatentFormat) -> Tensor:
        if company.encode is None:
            raise ModelError(
                f"{self.handle.source.path}: this {self.title} takes its picture as a latent, and was given no VAE. Link the "
                "model's VAE to the node that applies it (ControlNetApplyAdvanced, ControlNetInpaintingAliMamaApply)."
            )
        if not hint.shape[1]:
            raise ModelError(
                f"{self.handle.source.path}: this {self.title} takes a control picture, and was given none. Link one to image."
            )
        height, width = (side * space.downscale for side in size)
        picture, mask = fill(hint, height, width), None
        if self.masked:
            if company.mask is None:
                raise ModelError(
                    f"{self.handle.source.path}: this {self.title} is for inpainting and was given no mask. Apply it "
                    "with one (ControlNetInpaintingAliMamaApply, QwenImageDiffsynthControlnet)."
                )
            mask = fill(company.mask.to(picture), height, width)
            picture = repeat_to(picture, max(len(picture), len(mask)))
            picture = picture * (repeat_to(mask, len(picture)) <= 0.5)
        latent = space.to_network(company.encode(self.prepared(picture).movedim(1, -1)))
        latent = latent[:, :, 0] if latent.ndim == 5 else latent
        if mask is None:
            return latent
        kept = 1.0 - repeat_to(fill(mask, *size), len(latent))
        return torch.cat([latent, kept.to(latent)], dim=1)

    def prepared(self, picture: Tensor) -> Tensor:
        """Return the picture (N, 3, H, W) in 0..1 as the VAE is given it."""
        return picture
