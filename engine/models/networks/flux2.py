"""How FLUX.2's transformer is called: every latent pixel is a token, with four numbers for its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.weak import WeakIdKeyDictionary

from engine.models.errors import ModelError
from engine.models.layers import STREAMS, Stack
from engine.models.network import Network
from engine.models.networks.references import placing, references_of
from engine.models.networks.turns import Turns
from engine.models.networks.widths import check_widths

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import ModelHandle

KEEPS_OPTION = "keeps_references"
"""Option of a model handle: references see themselves alone, so that what they come to is kept for all steps."""

_REFERENCE = "reference "
_GUIDANCE = 3.5
"""What a distilled network is told where a conditioning says nothing."""
_SHEETS = 10
"""How far apart the sheets of the picture and of each reference lie, along the first number of a place."""


class Flux2Network(Network):
    """FLUX.2 dev and klein (Black Forest Labs 2025) under text (B, T, D)."""

    double_layers = Stack("transformer_blocks", STREAMS)
    single_layers = Stack("single_transformer_blocks")

    def __init__(self, module: nn.Module, handle: ModelHandle, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(module, handle, device, dtype)
        self._keeps = bool(handle.options.get(KEEPS_OPTION, False))
        self._kept: Any = WeakIdKeyDictionary()
        if self._keeps:
            _let_keep(module)

    @contextmanager
    def without_layers(self, double: Sequence[int], single: Sequence[int]) -> Iterator[None]:
        """Leave layers out. Raises ModelError when it has none of them, or where references are kept, which every layer does."""
        if self._keeps:
            raise ModelError(
                f"{self.handle.source.path}: layers cannot be skipped where references are kept for all steps, since layers "
                "left out would keep nothing. Leave out the skip-layer guidance, or the node that keeps references."
            )
        with super().without_layers(double, single):
            yield

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `guidance` (1,) for a network that was distilled to take it, and `reference 0`… (1, C, h, w) to go by.

        Raises ModelError where these are to be placed in another way than on sheets of their own.
        """
        references = references_of(self, options)
        given: dict[str, Any] = {
            f"{_REFERENCE}{number}": self.handle.latent.to_network(reference)
            for number, reference in enumerate(references)
        }
        if references:
            placing(options, ("index",), "index", self.family.title)
        guidance = options.get("guidance", _GUIDANCE)
        if self.handle.config["guidance_embeds"] and guidance is not None:
            given["guidance"] = torch.tensor([float(guidance)])
        return given

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
        """Return the velocity (B, C, h, w) in the dtype and on the device of `x`.

        `t` (B,) from 0 to the schedule's number of timesteps; `context` (B, T, D), of a run the same tensor at every step;
        `options` is what `inputs` made, with a row for each of B.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        check_widths(self, x, context, int(self.handle.config["joint_attention_dim"]))
        given = options or {}
        guidance = given.get("guidance")
        references = [value for name, value in given.items() if name.startswith(_REFERENCE)]
        told = {
            "encoder_hidden_states": context.to(self.device, self.dtype),
            "timestep": (t / self.handle.parameterization.timesteps).to(self.device, self.dtype),
            "guidance": None if guidance is None else guidance.to(self.device, self.dtype),
            "return_dict": False,
        }
        if references and self._keeps:
            velocity = self._with_kept(x, references, context, told)
        else:
            velocity = self._called([x, *references], range(1 + len(references)), told)[0]
        return velocity[:, : x.shape[-2] * x.shape[-1]].mT.reshape(x.shape).to(x)

    def _called(self, pictures: Sequence[Tensor], sheets: Iterable[int], told: Mapping[str, Any], **more: Any) -> Any:
        """What the network makes of pictures, one after the other, each on its sheet."""
        where = [_places(one, sheet * _SHEETS) for one, sheet in zip(pictures, sheets, strict=True)]
        tokens = torch.cat([one.flatten(2).mT for one in pictures], dim=1).to(self.device, self.dtype)
        length = told["encoder_hidden_states"].shape[1]
        words = torch.zeros(length, 4)
        words[:, 3] = torch.arange(length)
        with Turns.of(self.module).at(torch.cat(where), words, device=self.device) as (pictured, written):
            return self.module(hidden_states=tokens, img_ids=pictured, txt_ids=written, **told, **more)

    def _with_kept(self, x: Tensor, references: list[Tensor], context: Tensor, told: Mapping[str, Any]) -> Tensor:
        """Let references see themselves alone, as without noise, which is the same at every step: the first one keeps it."""
        kept = self._kept.get(context)
        if kept is not None:
            found: Tensor = self._called([x], [0], told, kv_cache=kept, kv_cache_mode="cached")[0]
            return found
        sheets = [*range(1, 1 + len(references)), 0]
        count = sum(one.shape[-2] * one.shape[-1] for one in references)
        velocity: Tensor
        keep = {"kv_cache_mode": "extract", "num_ref_tokens": count}
        velocity, self._kept[context] = self._called([*references, x], sheets, told, **keep)
        return velocity


def _let_keep(module: Any) -> None:
    """Give a network's attention the library's form that can keep keys and values, and is the same for whom nothing is kept."""
    from diffusers.models.transformers.transformer_flux2 import Flux2KVAttnProcessor, Flux2KVParallelSelfAttnProcessor

    for block in module.transformer_blocks:
        block.attn.set_processor(Flux2KVAttnProcessor())
    for block in module.single_transformer_blocks:
        block.attn.set_processor(Flux2KVParallelSelfAttnProcessor())


def _places(x: Tensor, sheet: float) -> Tensor:
    """Where each pixel of (B, C, h, w) stands, (h * w, 4): its sheet, row and column, and 0 where words are counted."""
    height, width = x.shape[-2:]
    grid = torch.zeros(height, width, 4)
    grid[..., 0] = sheet
    grid[..., 1] = torch.arange(height)[:, None]
    grid[..., 2] = torch.arange(width)
    return grid.reshape(-1, 4)
