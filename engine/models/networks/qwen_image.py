"""How Qwen-Image's transformer is called: pictures, layers and pictures to go by as tokens on sheets, and no pooled text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from engine.models.layers import STREAMS, Stack
from engine.models.network import Network
from engine.models.networks.added import added_to, per_layer, within
from engine.models.networks.flux import packed, unpacked
from engine.models.networks.pooled import even
from engine.models.networks.references import placing, references_of
from engine.models.networks.sheets import METHODS, SheetAngles, laid_out
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import ModelHandle

_REFERENCE = "reference "
_METHOD = "placed by"


class QwenImageNetwork(Network):
    """Qwen-Image, its Edit models and Qwen-Image-Layered (Wu et al. 2025) under text (B, T, D)."""

    double_layers = Stack("transformer_blocks", STREAMS)

    def __init__(self, module: nn.Module, handle: ModelHandle, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(module, handle, device, dtype)
        module.pos_embed = SheetAngles(handle.config["axes_dims_rope"])
        self._layered = bool(handle.config["use_additional_t_cond"])

    @property
    def _usual_method(self) -> str:
        if self._layered:
            return "negative_index"
        return "index_timestep_zero" if self.handle.config["zero_cond_t"] else "index"

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `reference 0`… (b, C, 1, h, w), pictures to go by in network space, and how they are placed.

        Raises ModelError for a way to place them that is not known here.
        """
        references = references_of(self, options)
        if not references:
            return {}
        method = placing(options, METHODS, self._usual_method, self.family.title)
        space = self.handle.latent
        given = {f"{_REFERENCE}{i}": _with_frames(space.to_network(one)) for i, one in enumerate(references)}
        return {**given, _METHOD: method}

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
        """Return the velocity (B, C, h, w) or (B, C, L, h, w) in the shape and dtype and on the device of `x`.

        L counts layers. `t` (B,) from 0 to the schedule's number of timesteps; `context` (B, T, D); `options` is what
        `inputs` made, with a row for each of B; `control` is what ControlNets add ("double",
        "between"). Sides that are odd are filled
        up from the other side for the call.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["joint_attention_dim"]))
        given = options or {}
        references = [value for name, value in given.items() if name.startswith(_REFERENCE)]
        own, rows, columns = _tokens(_with_frames(x))
        others = [_tokens(one) for one in references]
        method = str(given.get(_METHOD, self._usual_method))
        layers = [(rows, columns)] * (x.shape[2] if x.ndim == 5 else 1)
        frames = [(h, w) for one, (_, h, w) in zip(references, others, strict=True) for _ in range(one.shape[2])]
        self._take_references_as_clean(wanted=bool(references) and method == "index_timestep_zero")
        hidden = torch.cat([own, *(tokens for tokens, _, _ in others)], dim=1).to(self.device, self.dtype)
        blocks: Any = self.module.transformer_blocks
        with within(blocks, control, own.shape[1]):
            velocity: Tensor = self.module(
                hidden_states=hidden,
                encoder_hidden_states=context.to(self.device, self.dtype),
                timestep=(t / self.handle.parameterization.timesteps).to(self.device, self.dtype),
                img_shapes=[laid_out(layers, frames, method)] * x.shape[0],
                additional_t_cond=torch.zeros_like(t, dtype=torch.long, device=self.device) if self._layered else None,
                controlnet_block_samples=per_layer(added_to(control, "double"), len(blocks), hidden.shape[1], hidden),
                return_dict=False,
            )[0]
        made = velocity[:, : own.shape[1]].reshape(x.shape[0] * len(layers), rows * columns, -1)
        pictures = unpacked(made, 2 * rows, 2 * columns)[..., : x.shape[-2], : x.shape[-1]]
        whole = pictures.reshape(x.shape[0], len(layers), *pictures.shape[1:]).movedim(2, 1)
        return whole.reshape(x.shape).to(x)

    def _take_references_as_clean(self, *, wanted: bool) -> None:
        """Whether what follows the picture itself is modulated as at the end of the run (Qwen-Image-Edit 2511)."""
        blocks: Any = self.module.transformer_blocks
        for part in (self.module, *blocks):
            part.zero_cond_t = wanted


def _with_frames(x: Tensor) -> Tensor:
    """(B, C, h, w) as (B, C, 1, h, w); what has frames or layers as it is."""
    return x if x.ndim == 5 else x[:, :, None]


def _tokens(x: Tensor) -> tuple[Tensor, int, int]:
    """Return (B, C, L, h, w) as tokens (B, L * rows * columns, 4 C), one layer after the other, and its rows and columns."""
    filled = even(x.movedim(2, 1).flatten(0, 1))
    tokens = packed(filled).reshape(x.shape[0], -1, 4 * x.shape[1])
    return tokens, filled.shape[-2] // 2, filled.shape[-1] // 2
