"""How IP-Adapters are called: what an image encoder saw becomes tokens, and these keys and values for each cross-attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import torch
from torch import nn
from torch.nn import functional

from engine.models.errors import ModelError
from engine.models.network import repeat_to
from engine.models.networks.control import LatentControl
from engine.models.networks.image_prompts import PROMPTS, ImagePrompt, Place, cross_attentions
from engine.models.networks.unet import UNet

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.handles import ControlNetHandle
    from engine.models.network import Company

_TRAINED_FOR: Final = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}
"""By the width of its texts."""


class _Layer(nn.Module):
    def __init__(self, width: int, text: int) -> None:
        super().__init__()
        self.to_k_ip, self.to_v_ip = (nn.Linear(text, width, bias=False) for _ in range(2))


class ImagePrompts(nn.Module):
    """The network: `layers` [width, text] of each cross-attention; `kind` and `sizes` of what makes tokens."""

    def __init__(self, layers: Sequence[Sequence[int]], kind: str, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.projection = _projection(kind, sizes)
        self.layers = nn.ModuleList([_Layer(width, text) for width, text in layers])


def _projection(kind: str, sizes: Mapping[str, int]) -> nn.Module:
    from diffusers.models import embeddings

    seen, made = sizes["seen"], sizes["made"]
    if kind == "plain":
        return cast("nn.Module", embeddings.ImageProjection(seen, made, sizes["tokens"]))
    if kind == "full":
        return cast("nn.Module", embeddings.IPAdapterFullImageProjection(seen, made))
    told = {"depth": sizes["depth"], "heads": sizes["heads"], "num_queries": sizes["tokens"]}
    return cast("nn.Module", embeddings.IPAdapterPlusImageProjection(seen, made, sizes["width"], **told))


class IpAdapter(LatentControl):
    """How it is called; what a picture's tokens are to each layer is the same at each step."""

    steers: ClassVar[str] = "U-Nets of Stable Diffusion"

    def __init__(self, module: nn.Module, handle: ControlNetHandle, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(module, handle, device, dtype)
        self._places: tuple[Any, list[Place]] | None = None
        self._keys: tuple[Tensor, int, list[tuple[Tensor, Tensor]]] | None = None

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
        """Return {"image prompts": [ImagePrompt]}, times `strength`.

        `hint` (N, I, T, D): of each picture of the run, what was seen of I pictures, whose tokens stand beside one another. A
        mask (N, 1, H, W) weighs what is added to each place.

        Raises ModelError when the denoiser is not a U-Net with such layers, and for what an encoder of another width saw.
        """
        beside = self.check(company, UNet)
        places = self._fitting(beside.network)
        width = int(self.handle.config["sizes"]["seen"])
        if hint.shape[-1] != width:
            raise ModelError(
                f"{self.handle.source.path}: this IP-Adapter wants what an image encoder of width {width} saw, got "
                f"{hint.shape[-1]}. Load the image encoder that it was trained with (CLIP ViT-H of width 1024 or 1280, or "
                "ViT-bigG of 1280 or 1664)."
            )
        keys, mask = self._keys_of(hint, len(x)), beside.mask

        def look(number: int, query: Tensor, heads: int, size: tuple[int, int]) -> Tensor:
            key, value = (_apart(one, heads) for one in keys[number])
            asked = _apart(query.to(self.device, self.dtype), heads)
            found = functional.scaled_dot_product_attention(asked, key, value).transpose(1, 2).flatten(2)
            if mask is not None:
                weights = functional.interpolate(mask.to(found), size=size, mode="bicubic").flatten(1)[..., None]
                found = found * repeat_to(weights, len(found))
            return (found * strength).to(query)

        return {PROMPTS: [ImagePrompt(places, look)]}

    def _keys_of(self, hint: Tensor, rows: int) -> list[tuple[Tensor, Tensor]]:
        """Keys and values (B, I T, D) of each layer, made once for pictures."""
        if self._keys is None or self._keys[0] is not hint or self._keys[1] != rows:
            module = cast("ImagePrompts", self.module)
            seen = hint.to(self.device, self.dtype)
            if self.handle.config["kind"] == "plain":
                seen = seen[..., 0, :]
            tokens: Tensor = module.projection(seen.flatten(0, 1))
            tokens = repeat_to(tokens.reshape(len(hint), -1, tokens.shape[-1]), rows)
            layers: Any = module.layers
            self._keys = (hint, rows, [(one.to_k_ip(tokens), one.to_v_ip(tokens)) for one in layers])
        return self._keys[2]

    def _fitting(self, network: Any) -> list[Place]:
        """The places of the denoiser; ModelError when they are not those that it was trained for."""
        if self._places is None or self._places[0] is not network.module:
            places = cross_attentions(network.module)
            layers = [network.module.get_submodule(one.attention) for one in places]
            own = [tuple(layer) for layer in self.handle.config["layers"]]
            text = own[0][1]
            if own != [(one.to_q.out_features, network.handle.context_dim) for one in layers]:
                trained = _TRAINED_FOR.get(text, "other models")
                raise ModelError(
                    f"{self.handle.source.path}: this IP-Adapter is for {trained}, {len(own)} layers under texts of width "
                    f"{text}; {network.family.title} has {len(layers)} of other sizes, under texts of width "
                    f"{network.handle.context_dim}. Use one that was trained for the model's family."
                )
            self._places = (network.module, places)
        return self._places[1]


def _apart(tokens: Tensor, heads: int) -> Tensor:
    """(B, T, D) as (B, heads, T, D / heads)."""
    return tokens.reshape(*tokens.shape[:2], heads, -1).transpose(1, 2)
