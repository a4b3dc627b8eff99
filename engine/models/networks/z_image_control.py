"""How control networks of Z-Image are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import torch

from engine.models.errors import ModelError
from engine.models.network import fill, repeat_to
from engine.models.networks.control import LatentControl
from engine.models.networks.pooled import even
from engine.models.networks.z_image import ZImageNetwork

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.datatypes.parameterization import LatentFormat
    from engine.models.handles import ControlNetHandle
    from engine.models.network import Company

_SHARED: Final = (
    *("t_scale", "t_embedder", "all_x_embedder", "cap_embedder", "rope_embedder", "noise_refiner", "context_refiner"),
    *("x_pad_token", "cap_pad_token"),
)
"""What the library's control network takes of the denoiser."""


def z_image_control_net(**config: Any) -> nn.Module:
    """Return the library's ZImageControlNetModel."""
    from diffusers.models.controlnets.controlnet_z_image import ZImageControlNetModel

    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in config.items()}
    return cast("nn.Module", ZImageControlNetModel(**lists))


class ZImageControl(LatentControl):
    """A control network of Z-Image, which works with modules of the denoiser of the run, LoRAs and all."""

    steers: ClassVar[str] = "Z-Image"

    def __init__(self, module: nn.Module, handle: ControlNetHandle, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(module, handle, device, dtype)
        self._fill: tuple[Tensor, torch.Size, Tensor] | None = None

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
        """Return {"layers": [{layer: added}], "refiner": [{layer: added}]}, times `strength`.

        For x (B, C, h, w), t (B,) from 0 to 1000 and context (B, T, D). Newer networks are given the mask's inverse, 0 without
        one, and the latent of a picture to fill, grey where the mask is at least 0.5, which without one is everywhere. What is
        not there is a latent of zeros.

        Raises ModelError when the denoiser is not Z-Image of this size, where a VAE is missing, and without a control picture for
        a network that takes nothing else.
        """
        beside, config = self.check(company, ZImageNetwork), self.handle.config
        if beside.network.module.config.dim != config["dim"]:
            raise ModelError(
                f"{self.handle.source.path}: made for a model of width {config['dim']}, got {beside.network.module.config.dim}. "
                "Use the model that it was trained for."
            )
        filled = even(x)
        seen = self._with_mask(self._picture(hint, beside, filled), beside)
        share = t / beside.network.handle.parameterization.timesteps
        with self._lent(beside.network.module), self._refined(strength) as refiner:
            layers = self.module(
                list(filled.to(self.device, self.dtype)[:, :, None]),
                (1.0 - share).to(self.device),
                list(context.to(self.device, self.dtype)),
                list(seen[:, :, None]),
                conditioning_scale=strength,
            )
        return {"layers": [layers], "refiner": [refiner]}

    def _with_mask(self, seen: Tensor, company: Company) -> Tensor:
        """(B, C, h, w) as (B, C', h, w) with as many channels as the network takes: what is kept, and an empty picture."""
        batch, channels, height, width = seen.shape
        rest = int(self.handle.config["control_in_dim"]) - channels
        if not rest:
            return seen
        beside = seen.new_zeros(batch, rest, height, width)
        space = company.network.handle.latent
        if company.mask is not None:
            beside[:, :1] = 1.0 - repeat_to(fill(self._made(company.mask, seen, space), height, width), batch)
        if company.fill is not None:
            beside[:, 1:] = self._filled(company.fill, company, seen)
        return torch.cat([seen, beside], dim=1)

    def _picture(self, hint: Tensor, company: Company, x: Tensor) -> Tensor:
        """The control picture as a latent of the size of x (B, C, h, w); zeros where there is none."""
        if hint.shape[1] or int(self.handle.config["control_in_dim"]) == x.shape[1]:
            return self.seen(hint, company, x, company.network.handle.latent)
        return torch.zeros_like(x, device=self.device, dtype=self.dtype)

    def _made(self, mask: Tensor, seen: Tensor, space: LatentFormat) -> Tensor:
        """A mask (N, 1, H, W) as one of 0 and 1 in the size of the picture that a latent is of."""
        height, width = (side * space.downscale for side in seen.shape[-2:])
        return (fill(mask.to(seen), height, width) >= 0.5).to(seen)

    def _filled(self, picture: Tensor, company: Company, seen: Tensor) -> Tensor:
        """The picture to fill (N, 3, H, W) as a latent like `seen` (B, C, h, w), encoded once for a size."""
        size = seen.shape[-2:]
        if self._fill is None or self._fill[0] is not picture or self._fill[1] != size:
            height, width = (side * company.network.handle.latent.downscale for side in size)
            shown = fill(picture.to(seen), height, width)
            made = torch.ones_like(shown[:, :1])
            if company.mask is not None:
                made = self._made(company.mask, seen, company.network.handle.latent)
                shown, made = (repeat_to(one, max(len(shown), len(made))) for one in (shown, made))
            grey = torch.where(made > 0.0, torch.full_like(shown, 0.5), shown)
            alone = replace(company, mask=None, fill=None)
            self._fill = (picture, size, self._encoded(grey, alone, (size[0], size[1]), company.network.handle.latent))
        return repeat_to(self._fill[2].to(seen), len(seen))

    @contextmanager
    def _lent(self, denoiser: Any) -> Iterator[None]:
        """Let the network have the denoiser's modules for a call; it does not keep them, so that no weight is there twice."""
        try:
            for name in _SHARED:
                setattr(self.module, name, getattr(denoiser, name))
            yield
        finally:
            for name in _SHARED:
                setattr(self.module, name, None)

    @contextmanager
    def _refined(self, strength: float) -> Iterator[dict[int, Tensor]]:
        """What it adds within its own copy of the refiner's run, {layer: (B, T, D)}; filled by a call in the block.

        The library leaves it out of the denoiser's run, its authors' code has it there too.
        """
        found: dict[int, Tensor] = {}
        config, module = self.handle.config, cast("Any", self.module)
        kind = config["add_control_noise_refiner"]
        if kind is None:
            yield found
            return

        def first(_: Any, __: Any, given: Tensor) -> None:
            if not found:
                parts = torch.unbind(given)[:-1]
                found.update(
                    {place: parts[i] * strength for i, place in enumerate(config["control_refiner_layers_places"])}
                )

        hook = getattr(module, kind)[-1].register_forward_hook(first)
        try:
            yield found
        finally:
            hook.remove()
