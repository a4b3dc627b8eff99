"""How FLUX.1's transformer is called: latents as tokens of two by two pixels, with their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.nn import functional

from engine.models.errors import ModelError
from engine.models.layers import STREAMS, Stack
from engine.models.network import fill, repeat_to
from engine.models.networks.added import added_to, before_text, per_layer
from engine.models.networks.pooled import PooledTextNetwork, even
from engine.models.networks.references import picture_beside, placing, references_of
from engine.models.networks.turns import Turns
from engine.models.networks.unguided import told_guidance

if TYPE_CHECKING:
    from torch import Tensor

_REFERENCE = "reference "
_STYLES = "styles"
_MASK_SIDE = 8
_METHOD = "placed by"
_METHODS = ("offset", "index", "uxo")
"""Ways to place pictures to go by."""
_GUIDANCE = 3.5
"""What a distilled network is told where a conditioning says nothing."""


class FluxNetwork(PooledTextNetwork):
    """FLUX.1 (Black Forest Labs 2024) under text (B, T, D) and a pooled text (B, P)."""

    double_layers = Stack("transformer_blocks", STREAMS)
    single_layers = Stack("single_transformer_blocks", STREAMS)

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return `pooled` (1, P), and `guidance` (1,) for a network that was distilled to take it.

        And `reference 0`… (1, C, h, w), pictures to go by (FLUX.1 Kontext; Black Forest Labs 2025), in network space, with the
        way to place them. And `concat` (1, C', h, w) for a network that takes a picture, and a mask, beside the latent
        (FLUX.1 tools; 2024). And `styles` (1, K, 3): first token, tokens and bias of each style model's part of the text.

        Raises ModelError for a conditioning whose pooled text is not of this family, for a way that is not known here, and
        for pictures that have no place.
        """
        given = super().inputs(options, latent, positive)
        references = references_of(self, options)
        if references and self.handle.extra_channels:
            raise ModelError(
                f"{self.handle.source.path}: a network that takes a picture beside the latent has no place for "
                f"{len(references)} pictures to go by. Leave out ReferenceLatent, or load FLUX.1 dev or Kontext."
            )
        for number, reference in enumerate(references):
            given[f"{_REFERENCE}{number}"] = even(self.handle.latent.to_network(reference))
        if references:
            given[_METHOD] = placing(options, _METHODS, _METHODS[0], self.family.title)
        if styles := options.get("style_tokens"):
            given[_STYLES] = torch.tensor([styles])
        if self.handle.extra_channels:
            given["concat"] = self._beside(options, latent)
        guidance = options.get("guidance", _GUIDANCE)
        if self.handle.config["guidance_embeds"] and guidance is not None:
            given["guidance"] = torch.tensor([float(guidance)])
        return given

    def _beside(self, options: Mapping[str, Any], latent: Tensor) -> Tensor:
        """The picture, and where there is one to fill the mask, whose 8 × 8 pixels of each latent pixel are channels.

        Without a picture it is an empty one, and without a mask all of it is to be made.
        """
        picture = picture_beside(self, options, latent)
        rows, columns = latent.shape[-2:]
        seen = self.handle.latent.to_network(fill(picture.to(latent), rows, columns, mode="bilinear"))
        if self.handle.extra_channels == latent.shape[1]:
            return seen
        height, width = rows * _MASK_SIDE, columns * _MASK_SIDE
        mask = options.get("concat_mask", torch.ones(1, 1, height, width))
        fitted = fill(mask.to(latent).reshape(-1, 1, *mask.shape[-2:]), height, width, mode="bilinear")
        squares = functional.pixel_unshuffle(fitted, _MASK_SIDE)
        batch = max(len(seen), len(squares))
        return torch.cat([repeat_to(seen, batch), repeat_to(squares, batch)], dim=1)

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

        `t` (B,) from 0 to the schedule's number of timesteps; `context` (B, T, D); `options` is what `inputs` made, with
        a row for each of B; `concat` (B, C', h, w) is appended on channels; `control` is what ControlNets add ("double",
        "single", "before text"). Sides that are odd are filled up from the other
        side for the call.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        inputs = x if concat is None else torch.cat([x, concat.to(x)], dim=1)
        self.check(inputs, context)
        height, width = x.shape[-2:]
        filled = even(inputs)
        given = options or {}
        references = [value for name, value in given.items() if name.startswith(_REFERENCE)]
        own = packed(filled)
        hidden = torch.cat([own, *map(packed, references)], dim=1)
        pictures = _all_places(filled, references, given.get(_METHOD, _METHODS[0]))
        with before_text(cast("Any", self.module).context_embedder, control) as ahead:
            words = ahead + context.shape[1]
            turns = Turns.of(self.module)
            pooled = given["pooled"].to(self.device, self.dtype)
            with (
                turns.at(pictures, torch.zeros(words, 3), device=self.device, dtype=self.dtype) as (pictured, written),
                told_guidance(
                    self.module, given.get("guidance"), pooled, self.handle.config["guidance_embeds"]
                ) as guidance,
            ):
                velocity: Tensor = self.module(
                    hidden_states=hidden.to(self.device, self.dtype),
                    encoder_hidden_states=context.to(self.device, self.dtype),
                    pooled_projections=pooled,
                    timestep=(t / self.handle.parameterization.timesteps).to(self.device, self.dtype),
                    img_ids=pictured,
                    txt_ids=written,
                    guidance=guidance,
                    return_dict=False,
                    **self._biased(given.get(_STYLES), ahead, words, hidden.shape[1]),
                    **self._controlled(control, hidden),
                )[0]
        return unpacked(velocity[:, : own.shape[1]], filled.shape[-2], filled.shape[-1])[..., :height, :width].to(x)

    def _biased(self, styles: Tensor | None, ahead: int, words: int, others: int) -> dict[str, Any]:
        """How much is looked at parts of the text, of which `ahead` tokens stand before what `styles` counts from."""
        if styles is None:
            return {}
        mask = style_bias(styles + styles.new_tensor([ahead, 0.0, 0.0]), words, others)
        return {"joint_attention_kwargs": {"attention_mask": mask.to(self.device, self.dtype)}}

    def _controlled(self, control: Mapping[str, Any] | None, hidden: Tensor) -> dict[str, Any]:
        """What ControlNets add after each layer; `hidden` (B, T, C): the tokens of the picture and of those to go by."""
        module, place = cast("Any", self.module), torch.empty(0, device=self.device, dtype=self.dtype)
        stacks = (
            ("double", "block", module.transformer_blocks),
            ("single", "single_block", module.single_transformer_blocks),
        )
        return {
            f"controlnet_{name}_samples": per_layer(added_to(control, kind), len(blocks), hidden.shape[1], place)
            for kind, name, blocks in stacks
        }


def style_bias(styles: Tensor, words: int, others: int) -> Tensor:
    """Return what is added to the scores of attention, (B, 1, L, L) with L = `words` + `others` tokens, text first.

    `styles` (B, K, 3): first token, tokens and bias of each style model's part of the text. The bias holds for what looks at
    the part: the text before it, and what is no text; but not for the part itself, nor for text that was added after it.
    """
    bias = styles.new_zeros(len(styles), words + others, words + others)
    for item, parts in zip(bias, styles.tolist(), strict=True):
        for start, count, value in parts:
            first, end = int(start), int(start + count)
            item[:first, first:end] = item[words:, first:end] = value
    return bias[:, None]


def packed(x: Tensor) -> Tensor:
    """Return (B, C, h, w) as tokens (B, h / 2 * w / 2, 4 C): the four pixels of each square side by side, by channel."""
    batch, channels, height, width = x.shape
    squares = x.reshape(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return squares.reshape(batch, (height // 2) * (width // 2), channels * 4)


def unpacked(tokens: Tensor, height: int, width: int) -> Tensor:
    """Return tokens (B, h / 2 * w / 2, 4 C) as (B, C, h, w), the inverse of `packed`."""
    batch, _, channels = tokens.shape
    squares = tokens.reshape(batch, height // 2, width // 2, channels // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return squares.reshape(batch, channels // 4, height, width)


def _all_places(x: Tensor, references: Sequence[Tensor], method: str = "offset") -> Tensor:
    """Where the tokens of the picture stand, then those of the references.

    `offset`: on another sheet, beside or below one another; `index`: each on a sheet of its own; `uxo`: on the picture's own,
    each to the lower right of all before it (UNO; Wu et al. 2025).
    """
    found = [places(x.shape[-2] // 2, x.shape[-1] // 2)]
    height = width = 0
    if method == "uxo":
        height, width = x.shape[-2] // 2, x.shape[-1] // 2
    for number, one in enumerate(references, start=1):
        rows, columns = one.shape[-2] // 2, one.shape[-1] // 2
        if method == "offset":
            below, beside = (0, width) if rows + height > columns + width else (height, 0)
            at = (1, below, beside)
            height, width = max(height, rows + below), max(width, columns + beside)
        elif method == "uxo":
            at = (0, height, width)
            height, width = height + rows, width + columns
        else:
            at = (number, 0, 0)
        found.append(places(rows, columns) + torch.tensor(at, dtype=torch.float32))
    return torch.cat(found)


def places(rows: int, columns: int) -> Tensor:
    """Return where each token stands, (rows * columns, 3): 0, its row, its column."""
    grid = torch.zeros(rows, columns, 3)
    grid[..., 1] = torch.arange(rows)[:, None]
    grid[..., 2] = torch.arange(columns)[None, :]
    return grid.reshape(-1, 3)
