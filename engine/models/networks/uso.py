"""USO's projector (Wu et al. 2025): a picture's style as tokens before FLUX.1's text, in the width of the network itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import torch
from torch import nn

from engine.models.errors import ModelError
from engine.models.networks.control import LatentControl
from engine.models.networks.flux import FluxNetwork

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.network import Company

_LEVELS: Final = ("high", "mid", "low")


class StyleProjector(nn.Module):
    """Of each of three layers of SigLIP `seen` tokens of `dims` numbers become `made` tokens of `width`.

    f(S) = P norm(silu(E S)), where E mixes tokens; without norm unless `normed`.
    """

    def __init__(self, seen: int, made: int, dims: int, width: int, normed: bool) -> None:
        super().__init__()
        for level in _LEVELS:
            self.add_module(f"{level}_embedding_linear", nn.Sequential(nn.Linear(seen, made), nn.SiLU()))
            self.add_module(f"{level}_layer_norm", nn.LayerNorm(dims) if normed else nn.Identity())
            self.add_module(f"{level}_projection", nn.Linear(dims, width))

    def forward(self, states: Tensor) -> Tensor:
        """Return (B, 3 * made, width) of the states (B, 3, seen, dims) of a high, a middle and a low layer."""
        return torch.cat([self._level(level, one) for level, one in zip(_LEVELS, states.unbind(1), strict=True)], dim=1)

    def _level(self, level: str, states: Tensor) -> Tensor:
        mixed = self.get_submodule(f"{level}_embedding_linear")(states.transpose(1, 2)).transpose(1, 2)
        found: Tensor = self.get_submodule(f"{level}_projection")(self.get_submodule(f"{level}_layer_norm")(mixed))
        return found


class Uso(LatentControl):
    """How it is called: what it gives does not depend on the picture that is made."""

    steers: ClassVar[str] = "FLUX.1"

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
        """Return {"before text": [tokens (1, T, D)]} of what was seen in pictures, `hint` (1, N, 3, tokens, dims).

        Raises ModelError when the denoiser is not FLUX.1 of this width, or another image encoder has seen the pictures.
        """
        beside, config = self.check(company, FluxNetwork), self.handle.config
        width = beside.network.module.inner_dim
        if width != config["width"] or hint.shape[-2:] != (config["seen"], config["dims"]):
            raise ModelError(
                f"{self.handle.source.path}: makes tokens of width {config['width']} of {config['seen']} tokens of width "
                f"{config['dims']}, got {hint.shape[-2]} of {hint.shape[-1]} for a model of width {width}. Use FLUX.1 and the "
                "image encoder that it was trained with (SigLIP So400m)."
            )
        tokens: Tensor = self.module(hint[0].to(self.device, self.dtype))
        return {"before text": [tokens.flatten(0, 1)[None] * strength]}
