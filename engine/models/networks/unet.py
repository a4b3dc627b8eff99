"""How the U-Nets of Stable Diffusion are called."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from engine.models.errors import ModelError
from engine.models.handles import HYPERNETWORKS
from engine.models.hypernetworks import Hypernetworks
from engine.models.network import Network
from engine.models.networks.gated import grounded
from engine.models.networks.image_prompts import looked_at
from engine.models.networks.pushed import pushed
from engine.models.networks.references import picture_beside

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import ModelHandle

CLASSES = "class_labels"
"""Among what a U-Net is given: the class of each row, as a number (1,), or a vector in its place (1, P)."""

_AESTHETIC = {True: 6.0, False: 2.5}
"""The score that Stable Diffusion XL's refiner is told for a positive and another conditioning that say none."""


class UNet(Network):
    """A U-Net under text (B, T, D); with sizes and a pooled text where its family takes them (Podell et al. 2023)."""

    repeats_text: ClassVar[bool] = True

    def __init__(self, module: nn.Module, handle: ModelHandle, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(module, handle, device, dtype)
        told = handle.options.get(HYPERNETWORKS)
        self._hypernetworks = Hypernetworks(told, module, device, dtype) if told else None

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return {} for Stable Diffusion 1 and 2, else `text_embeds` (1, P) and `time_ids` (1, 5 or 6), sizes in pixels.

        And `concat` (1, C, h, w), the picture to edit, for a network of twice the latent's channels (Brooks et al. 2023).

        Raises ModelError for a conditioning whose pooled text is not of this family.
        """
        return self._sizes(options, latent, positive=positive) | self._picture(options, latent)

    def _picture(self, options: Mapping[str, Any], latent: Tensor) -> dict[str, Tensor]:
        """As the VAE gives it: these networks were trained on its latents without the scale. Zeros where there is none."""
        if self.handle.extra_channels != latent.shape[1]:
            return {}
        return {"concat": picture_beside(self, options, latent)}

    def _sizes(self, options: Mapping[str, Any], latent: Tensor, *, positive: bool) -> dict[str, Tensor]:
        facts = self.family.size_facts
        if not facts:
            return {}
        factor = self.handle.latent.downscale
        height, width = (options.get(name, side * factor) for name, side in zip(("height", "width"), latent.shape[-2:]))
        sizes = [height, width, options.get("crop_h", 0), options.get("crop_w", 0)]
        if facts == 5:
            sizes.append(options.get("aesthetic_score", _AESTHETIC[positive]))
        else:
            sizes += [options.get("target_height", height), options.get("target_width", width)]
        return {"text_embeds": self._pooled(options), "time_ids": torch.tensor([sizes], dtype=torch.float32)}

    def _pooled(self, options: Mapping[str, Any]) -> Tensor:
        config = self.handle.config
        facts = self.family.size_facts * int(config["addition_time_embed_dim"])
        wanted = int(config["projection_class_embeddings_input_dim"]) - facts
        return self.pooled(options, wanted)

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
        """Return the prediction (B, C, h, w) in the dtype and on the device of `x`.

        `x` (B, C, h, w) is already scaled for the network; `t` (B,) timesteps, whole or not; `context` (B, T, D);
        `concat` (B, C', h, w) is appended on channels (inpainting checkpoints need it); `control` holds ControlNet
        residuals {"down": tensors, "mid": tensor} and an adapter's {"levels": tensors}; `options` is what `inputs` made, with a
        row for each of B.

        Raises ModelError when the widths of `x`, `concat` or `context` are not the network's.
        """
        inputs = x if concat is None else torch.cat([x, concat.to(x)], dim=1)
        if inputs.shape[1] != self.in_channels or context.shape[-1] != self.handle.context_dim:
            raise ModelError(self._misfit(x, concat, context))
        given = dict(options or {})
        arguments: dict[str, Any] = {}
        if (classes := given.pop(CLASSES, None)) is not None:
            arguments["class_labels"] = classes.to(self.device, self.dtype if classes.is_floating_point() else None)
        if given:
            arguments["added_cond_kwargs"] = {name: value.to(self.device, self.dtype) for name, value in given.items()}
        if control is not None:
            arguments |= self._residuals(control)
        with ExitStack() as held:
            if self._hypernetworks:
                held.enter_context(self._hypernetworks.at_work())
            held.enter_context(pushed(self.module, control))
            held.enter_context(looked_at(self.module, control))
            more = held.enter_context(self._grounded(control))
            predicted: Tensor = self.module(
                inputs.to(self.device, self.dtype),
                t.to(self.device),
                encoder_hidden_states=context.to(self.device, self.dtype),
                return_dict=False,
                **arguments,
                **more,
            )[0]
        return predicted.to(x)

    def _grounded(self, control: Mapping[str, Any] | None) -> AbstractContextManager[dict[str, Any]]:
        """Let texts in boxes be looked at in the block."""
        if control is None or "grounding" not in control:
            return nullcontext({})
        return grounded(self.module, control["grounding"])

    def _residuals(self, control: Mapping[str, Any]) -> dict[str, Any]:
        """The library's arguments for what is added: after each layer, and before a level is made smaller."""
        found: dict[str, Any] = {}
        if "down" in control:
            found["down_block_additional_residuals"] = tuple(r.to(self.device, self.dtype) for r in control["down"])
            found["mid_block_additional_residual"] = control["mid"].to(self.device, self.dtype)
        if "levels" in control:  # a list of its own, as the library empties it
            found["down_intrablock_additional_residuals"] = [r.to(self.device, self.dtype) for r in control["levels"]]
        return found

    def _misfit(self, x: Tensor, concat: Tensor | None, context: Tensor) -> str:
        file, handle = self.handle.source.path, self.handle
        if context.shape[-1] != handle.context_dim:
            return (
                f"{file}: expected a conditioning of width {handle.context_dim}, got {context.shape[-1]}: it was made by the "
                "text encoder of another model. Encode the prompt with this checkpoint's text encoder."
            )
        if concat is None and self.handle.extra_channels > 0 and x.shape[1] == handle.latent.channels:
            return (
                f"{file}: this inpainting model wants {self.handle.extra_channels} more channels (mask and masked picture). "
                "Use InpaintModelConditioning (or VAEEncodeForInpaint's mask) on its conditioning."
            )
        got = x.shape[1] + (0 if concat is None else concat.shape[1])
        return (
            f"{file}: expected a latent of {handle.latent.channels} channels ({handle.in_channels} in all), got {got}."
        )
