"""The denoiser and the ControlNet as callables of tensors, which is all that sampling knows of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from engine.models.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import ControlNetHandle, ModelHandle


class Network:
    """A denoiser: what it predicts (eps, v…) is said by its handle's parameterization."""

    def __init__(self, module: nn.Module, handle: ModelHandle, device: torch.device, dtype: torch.dtype) -> None:
        self.module = module
        self.handle = handle
        self.device = device
        self.dtype = dtype
        self._extra = handle.extra_channels

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
        """Return the network's prediction (B, C, h, w) in the dtype and on the device of `x`.

        `x` (B, C, h, w) is already scaled for the network; `t` (B,) timesteps, whole or not; `context` (B, T, D);
        `concat` (B, C', h, w) is appended on channels (inpainting checkpoints need it); `control` holds ControlNet
        residuals {"down": tensors, "mid": tensor}; `options` may hold `class_labels` or `added_cond_kwargs`, passed on.

        Raises ModelError when the widths of `x`, `concat` or `context` are not the network's.
        """
        inputs = x if concat is None else torch.cat([x, concat.to(x)], dim=1)
        if inputs.shape[1] != self.handle.in_channels or context.shape[-1] != self.handle.context_dim:
            raise ModelError(self._misfit(x, concat, context))
        arguments: dict[str, Any] = {} if not options else {k: options[k] for k in _PASSED_ON if k in options}
        if control is not None:
            arguments["down_block_additional_residuals"] = tuple(r.to(self.device, self.dtype) for r in control["down"])
            arguments["mid_block_additional_residual"] = control["mid"].to(self.device, self.dtype)
        predicted: Tensor = self.module(
            inputs.to(self.device, self.dtype),
            t.to(self.device),
            encoder_hidden_states=context.to(self.device, self.dtype),
            return_dict=False,
            **arguments,
        )[0]
        return predicted.to(x)

    def _misfit(self, x: Tensor, concat: Tensor | None, context: Tensor) -> str:
        file, handle = self.handle.source.path, self.handle
        if context.shape[-1] != handle.context_dim:
            return (
                f"{file}: expected a conditioning of width {handle.context_dim}, got {context.shape[-1]}: it was made by the "
                "text encoder of another model. Encode the prompt with this checkpoint's text encoder."
            )
        if concat is None and self._extra > 0 and x.shape[1] == handle.latent.channels:
            return (
                f"{file}: this inpainting model wants {self._extra} more channels (mask and masked picture). "
                "Use InpaintModelConditioning (or VAEEncodeForInpaint's mask) on its conditioning."
            )
        got = x.shape[1] + (0 if concat is None else concat.shape[1])
        return (
            f"{file}: expected a latent of {handle.latent.channels} channels ({handle.in_channels} in all), got {got}."
        )


_PASSED_ON = ("class_labels", "added_cond_kwargs")


class ControlNetwork:
    """A ControlNet (Zhang et al. 2023): residuals for a denoiser from a hint picture."""

    def __init__(self, module: nn.Module, handle: ControlNetHandle, device: torch.device, dtype: torch.dtype) -> None:
        self.module = module
        self.handle = handle
        self.device = device
        self.dtype = dtype
        self._downscale = 2 ** (len(handle.config["conditioning_embedding_out_channels"]) - 1)
        self._fitted: tuple[Tensor, tuple[int, int, int], Tensor] | None = None

    @torch.no_grad()
    def __call__(self, x: Tensor, t: Tensor, context: Tensor, hint: Tensor, strength: float = 1.0) -> dict[str, Any]:
        """Return {"down": [tensors], "mid": tensor}, times `strength`, on the device and in the dtype of `x`.

        `x` (B, C, h, w), `t` (B,) and `context` (B, T, D) as the denoiser gets them, without `concat`. `hint`
        (N, 3, H, W) in 0..1 is cropped about its centre and resized to the picture size of `x` by nearest pixels, and
        repeated to B.

        Raises ModelError when `context` or `x` does not have this ControlNet's width.
        """
        self._check(x, context)
        down, mid = self.module(
            x.to(self.device, self.dtype),
            t.to(self.device),
            encoder_hidden_states=context.to(self.device, self.dtype),
            controlnet_cond=self._fit_hint(hint, (x.shape[0], x.shape[-2], x.shape[-1])),
            conditioning_scale=strength,
            return_dict=False,
        )
        return {"down": [residual.to(x) for residual in down], "mid": mid.to(x)}

    def _check(self, x: Tensor, context: Tensor) -> None:
        width, channels = int(self.handle.config["cross_attention_dim"]), int(self.handle.config["in_channels"])
        if context.shape[-1] != width or x.shape[1] != channels:
            raise ModelError(
                f"{self.handle.source.path}: this ControlNet is for models with {channels} latent channels and conditioning of "
                f"width {width}, got {x.shape[1]} and {context.shape[-1]}. Use one that was trained for the checkpoint's family."
            )

    def _fit_hint(self, hint: Tensor, shape: tuple[int, int, int]) -> Tensor:
        if self._fitted is not None and self._fitted[0] is hint and self._fitted[1] == shape:
            return self._fitted[2]
        batch, height, width = shape
        fitted = fill(hint, height * self._downscale, width * self._downscale)
        fitted = repeat_to(fitted, batch).to(self.device, self.dtype)
        self._fitted = (hint, shape, fitted)
        return fitted


def fill(picture: Tensor, height: int, width: int) -> Tensor:
    """Crop (B, C, H, W) about its centre to the shape of `height` x `width`, then resize to it by nearest pixels."""
    have_height, have_width = picture.shape[-2:]
    if (have_height, have_width) == (height, width):
        return picture
    if have_width * height > have_height * width:
        cut = round((have_width - have_height * width / height) / 2)
        picture = picture[..., cut : have_width - cut]
    else:
        cut = round((have_height - have_width * height / width) / 2)
        picture = picture[..., cut : have_height - cut, :]
    return functional.interpolate(picture, size=(height, width), mode="nearest-exact")


def repeat_to(tensor: Tensor, batch: int) -> Tensor:
    """Repeat (N, …) in order until there are `batch` items, or cut to the first `batch`."""
    if tensor.shape[0] == batch:
        return tensor
    indices: Sequence[int] = [i % tensor.shape[0] for i in range(batch)]
    return tensor[list(indices)]
