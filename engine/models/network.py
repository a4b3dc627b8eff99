"""The denoiser and the ControlNet as callables of tensors, which is all that sampling knows of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch.nn import functional

from engine.models.errors import ModelError
from engine.models.families import family_named
from engine.models.layers import Stack, left_out

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.models.handles import ControlNetHandle, ModelHandle


class Network:
    """A denoiser, ready to be called; a class of `engine.models.networks` for each kind of network.

    What it predicts (eps, v…) is said by its handle's parameterization.
    """

    repeats_text: ClassVar[bool] = False
    """Whether a text that is repeated says the same: true of cross-attention, not where text stands among other tokens."""

    double_layers: ClassVar[Stack | None] = None
    """Layers with weights of their own for text and picture, which a call can leave out."""

    single_layers: ClassVar[Stack | None] = None
    """Layers in which both are one. Networks that have but one kind, not parted by text and picture, name it as both."""

    def __init__(self, module: nn.Module, handle: ModelHandle, device: torch.device, dtype: torch.dtype) -> None:
        self.module = module
        self.handle = handle
        self.device = device
        self.dtype = dtype
        self.family = family_named(handle.family)
        self.in_channels = handle.in_channels

    def pooled(self, options: Mapping[str, Any], width: int) -> Tensor:
        """Return the pooled text (1, `width`) of a conditioning's options. Raises ModelError where it is another's, or none."""
        found: Tensor | None = options.get("pooled_output")
        if found is None or found.shape[-1] != width:
            got = "none" if found is None else f"one of width {found.shape[-1]}"
            towers = " and ".join(tower.name for tower in self.family.towers)
            raise ModelError(
                f"{self.handle.source.path}: {self.family.title} wants a conditioning with a pooled text of width {width}, got "
                f"{got}. Encode the prompt with its text encoders, {towers}."
            )
        return found

    @contextmanager
    def without_layers(self, double: Sequence[int], single: Sequence[int]) -> Iterator[None]:
        """Leave layers, numbered from 0, out of the calls in the block; numbers that the network lacks are passed over.

        Raises ModelError when it has none of them.
        """
        kinds = ((self.double_layers, double), (self.single_layers, single))
        wanted: dict[Stack, set[int]] = {}
        for stack, numbers in kinds:
            if stack is not None:
                wanted.setdefault(stack, set()).update(numbers)
        if not any(number < stack.count(self.module) for stack, named in wanted.items() for number in named):
            double_count, single_count = (stack.count(self.module) if stack else 0 for stack, _ in kinds)
            raise ModelError(
                f"{self.handle.source.path}: none of the layers to skip is there: asked for double layers {list(double)} and "
                f"single layers {list(single)}; {self.family.title} has {double_count} double and {single_count} single ones, "
                "counted from 0. Name layers that it has."
            )
        with ExitStack() as held:
            for stack, named in wanted.items():
                held.enter_context(left_out(self.module, stack, sorted(named)))
            yield

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return what this network takes beside text and time, of a conditioning's options; made once for a run.

        `latent` (B, C, h, w): of the run, in network space. Tensors have one row, or B.
        """
        return {}

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
        """Return the prediction (B, C, h, w) for x (B, C, h, w), t (B,) timesteps and context (B, T, D)."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Company:
    """What a ControlNet may need beside its picture: the denoiser of the run, an autoencoder, and a mask.

    `encode` makes latents of pictures (N, H, W, 3); `mask` (N, 1, H, W) is 1 where the picture is to be made; `fill` (N, 3, H, W)
    in 0..1 is that picture.
    """

    network: Network
    encode: Callable[[Tensor], Tensor] | None = None
    mask: Tensor | None = None
    fill: Tensor | None = None


class ControlNetwork:
    """A ControlNet (Zhang et al. 2023): residuals for a denoiser from a hint picture."""

    def __init__(self, module: nn.Module, handle: ControlNetHandle, device: torch.device, dtype: torch.dtype) -> None:
        self.module = module
        self.handle = handle
        self.device = device
        self.dtype = dtype
        self._fitted: tuple[Tensor, tuple[int, int, int], Tensor] | None = None

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
        """Return {"down": [tensors], "mid": tensor}, times `strength`, on the device and in the dtype of `x`.

        `x` (B, C, h, w), `t` (B,) and `context` (B, T, D) as the denoiser gets them, without `concat`. `hint`
        (N, 3, H, W) in 0..1 is cropped about its centre and resized to the picture size of `x` by nearest pixels, and
        repeated to B. `options`: what the denoiser's `inputs` made, for a family that takes more than text and time.

        Raises ModelError when `context` or `x` does not have this ControlNet's width.
        """
        self._check(x, context)
        down, mid = self.module(
            x.to(self.device, self.dtype),
            t.to(self.device),
            encoder_hidden_states=context.to(self.device, self.dtype),
            controlnet_cond=self._fit_hint(hint, (x.shape[0], x.shape[-2], x.shape[-1])),
            conditioning_scale=strength,
            added_cond_kwargs=self._sizes(options),
            return_dict=False,
        )
        return {"down": [residual.to(x) for residual in down], "mid": mid.to(x)}

    def _sizes(self, options: Mapping[str, Any] | None) -> dict[str, Tensor] | None:
        """What a network that takes more than text and time is given of the denoiser's `options`."""
        return moved(options, self.device, self.dtype) if "addition_embed_type" in self.handle.config else None

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
        downscale = 2 ** (len(self.handle.config["conditioning_embedding_out_channels"]) - 1)
        fitted = fill(hint, height * downscale, width * downscale)
        fitted = repeat_to(fitted, batch).to(self.device, self.dtype)
        self._fitted = (hint, shape, fitted)
        return fitted


def moved(options: Mapping[str, Any] | None, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Return the tensors among what a network is given on its device in its dtype."""
    return {name: value.to(device, dtype) for name, value in (options or {}).items() if isinstance(value, torch.Tensor)}


def fill(picture: Tensor, height: int, width: int, mode: str = "nearest-exact") -> Tensor:
    """Crop (B, C, H, W) about its centre to the shape of `height` x `width`, then resize to it, by nearest pixels if not told."""
    have_height, have_width = picture.shape[-2:]
    if (have_height, have_width) == (height, width):
        return picture
    if have_width * height > have_height * width:
        cut = round((have_width - have_height * width / height) / 2)
        picture = picture[..., cut : have_width - cut]
    else:
        cut = round((have_height - have_width * height / width) / 2)
        picture = picture[..., cut : have_height - cut, :]
    return functional.interpolate(picture, size=(height, width), mode=mode)


def repeat_to(tensor: Tensor, batch: int) -> Tensor:
    """Repeat (N, …) in order until there are `batch` items, or cut to the first `batch`."""
    if tensor.shape[0] == batch:
        return tensor
    indices: Sequence[int] = [i % tensor.shape[0] for i in range(batch)]
    return tensor[list(indices)]
