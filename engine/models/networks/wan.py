"""How Wan's transformer is called: videos (B, C, T, h, w), with what stands beside, before and after them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from engine.models.errors import ModelError
from engine.models.layers import Stack
from engine.models.network import Network
from engine.models.networks.pooled import even
from engine.models.networks.wan_beside import LAYOUT, STRENGTH, beside, parted, same_size

if TYPE_CHECKING:
    from torch import Tensor

SEEN = "clip_vision_output"
"""Option of a conditioning: what CLIP saw in a picture, or in two, one after the other."""
AFTER = "time_dim_concat"
"""Option of a conditioning: latents (b, C, n, h, w) that stand as further frames behind those of the video."""
REFERENCES = "reference_latents"
_SEEN, _AFTER, _REFERENCE = "seen", "after", "reference"
_TOKENS = 257
"""Of one picture, as CLIP's ViT-H sees it."""


class WanNetwork(Network):
    """Wan 2.1 and 2.2 (Wan team 2025) under text (B, T, D), which they read by cross-attention."""

    double_layers = single_layers = Stack("blocks")
    keeps_clean: ClassVar[bool] = False
    """Whether it was trained to see what a noise mask keeps without noise, at time 0."""

    def inputs(self, options: Mapping[str, Any], latent: Tensor, positive: bool) -> dict[str, Any]:
        """Return what the network takes beside text and time, as far as it has a place for it.

        `seen` (1, T, D): CLIP's tokens, zeros where none were given, as Wan Fun's authors have it; `after` (b, C, n, h, w)
        frames to go by; `reference` (b, C, h, w); and `concat`, whose channels the option `layout` tells
        (`engine.models.networks.wan_beside`).
        Raises ModelError for what is of another shape than the video.
        """
        config, given = self.handle.config, beside(self, options, latent, clean=self.keeps_clean)
        if config.get("image_dim"):
            given[_SEEN] = self._seen(options.get(SEEN))
        after = options.get(AFTER)
        if after is not None:
            given[_AFTER] = self.handle.latent.to_network(self._latents(after, latent, AFTER))
        if config.get("reference_channels"):
            found = options.get(REFERENCES) or ()
            reference = self._latents(found[-1], latent, REFERENCES)[:, :, 0] if found else latent[:1, :, 0] * 0.0
            given[_REFERENCE] = self.handle.latent.to_network(reference) if found else reference
        return given

    def _seen(self, output: Any) -> Tensor:
        width = int(self.handle.config["image_dim"])
        if output is None:
            return torch.zeros(1, _TOKENS, width)
        tokens: Tensor = output["penultimate_hidden_states"]
        places = int(self.handle.config.get("pos_embed_seq_len") or tokens.shape[1])
        if tokens.shape[-1] != width or tokens.shape[1] > places:
            raise ModelError(
                f"{self.handle.source.path}: clip_vision_output: expected what an image encoder of width {width} saw, {places} "
                "tokens "
                f"at most, got {tokens.shape[1]} of width {tokens.shape[-1]}. Use CLIP's ViT-H (clip_vision_h)."
            )
        return tokens

    def _latents(self, value: Tensor, latent: Tensor, name: str) -> Tensor:
        """Latents of a conditioning as (b, C, n, h, w). Raises ModelError for those of another space or size."""
        found = value[:, :, None] if value.ndim == 4 else value
        if found.ndim != 5 or found.shape[1] != latent.shape[1] or found.shape[-2:] != latent.shape[-2:]:
            raise ModelError(
                f"{self.handle.source.path}: {name}: expected latents (b, {latent.shape[1]}, n, {latent.shape[-2]}, "
                f"{latent.shape[-1]}), as large as the video, got {tuple(value.shape)}. Encode them with the model's VAE at the "
                "video's width and height."
            )
        return found

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
        """Return the velocity (B, C, T, h, w), or of one frame (B, C, h, w), in the shape and dtype and on the device of `x`.

        `t` (B,) from 0 to 1000; `context` (B, T, D); `options` is what `inputs` made, with a row for each of B. Sides that are
        odd are filled up from the other side for the call.

        Raises ModelError when the widths of `x` or `context` are not the network's.
        """
        self._check(x, context)
        given = options or {}
        video = x if x.ndim == 5 else x[:, :, None]
        parts = parted(concat, given.get(LAYOUT, ()), video)
        times = t
        if (kept := parts.get("kept")) is not None:
            mask = parts["mask"]
            video, times = torch.lerp(kept, video, mask), _times(t, even_sides(mask))
        video = even_sides(torch.cat([video, parts["channels"]], dim=1) if "channels" in parts else video)
        frames = x.shape[2] if x.ndim == 5 else 1
        before, video, times = self._with_frames(video, times, given)
        velocity = self._called(video, times, context, parts, given)[:, :, before : before + frames]
        return velocity[..., : x.shape[-2], : x.shape[-1]].reshape(x.shape).to(x)

    def _check(self, x: Tensor, context: Tensor) -> None:
        file, width = self.handle.source.path, int(self.handle.config["text_dim"])
        channels = self.handle.latent.channels
        if context.shape[-1] != width:
            raise ModelError(
                f"{file}: expected a conditioning of width {width}, got {context.shape[-1]}: it was made by the text encoder of "
                "another model. Encode the prompt with this family's text encoder."
            )
        if x.shape[1] != channels:
            raise ModelError(f"{file}: expected a latent of {channels} channels, got {x.shape[1]}.")

    def _with_frames(self, video: Tensor, times: Tensor, given: Mapping[str, Any]) -> tuple[int, Tensor, Tensor]:
        """Frames that stand before the video (of zeros: their tokens come from elsewhere), the whole, and the whole's times."""
        before = int(_REFERENCE in given)
        if before:
            video = torch.cat([torch.zeros_like(video[:, :, :1]), video], dim=2)
        if (after := given.get(_AFTER)) is not None:
            after = even_sides(same_size(after, video))
            blank = after.new_zeros(*after.shape[:1], video.shape[1] - after.shape[1], *after.shape[2:])
            video = torch.cat([video, torch.cat([after, blank], dim=1).to(video)], dim=2)
        if times.ndim == 3:  # of each token: frames to go by are as noisy as the last one, as Wan Fun's authors have it
            behind = after.shape[2] if after is not None else 0
            last = times[:, -1:]
            times = torch.cat([*[last] * before, times, *[last] * behind], dim=1)
        return before, video, times

    def _called(
        self, video: Tensor, times: Tensor, context: Tensor, parts: Mapping[str, Tensor], given: Mapping[str, Any]
    ) -> Tensor:
        module: Any = self.module
        told: dict[str, Any] = {}
        if (seen := given.get(_SEEN)) is not None:
            told["encoder_hidden_states_image"] = seen.to(self.device, self.dtype)
            module.seen_tokens["count"] = seen.shape[1]
        if layers := self.handle.config.get("vace_layers"):
            told["control_hidden_states"] = even_sides(parts["control"]).to(self.device, self.dtype)
            strengths = [float(given[STRENGTH])] * len(layers)
            told["control_hidden_states_scale"] = torch.tensor(strengths, device=self.device, dtype=self.dtype)
        with ExitStack() as held:
            hook = module.patch_embedding.register_forward_hook(
                lambda _layer, _given, made: self._tokens(made, parts, given)
            )
            held.callback(hook.remove)
            velocity: Tensor = module(
                hidden_states=video.to(self.device, self.dtype),
                timestep=times.flatten(1).to(self.device) if times.ndim > 1 else times.to(self.device),
                encoder_hidden_states=context.to(self.device, self.dtype),
                return_dict=False,
                **told,
            )[0]
        return velocity

    def _tokens(self, made: Tensor, parts: Mapping[str, Tensor], given: Mapping[str, Any]) -> Tensor:
        """Tokens (B, W, T, h, w): the first frame's are those of the picture to go by; a camera's path adds to the others."""
        module: Any = self.module
        before = int(_REFERENCE in given)
        if (path := parts.get("camera")) is not None:
            added = module.control_adapter(even_sides(path).to(self.device, self.dtype))
            end = before + added.shape[2]
            made = torch.cat([made[:, :, :before], made[:, :, before:end] + added, made[:, :, end:]], dim=2)
        if before:
            reference = even(same_size(given[_REFERENCE][:, :, None], parts["video"])[:, :, 0]).to(
                self.device, self.dtype
            )
            made = torch.cat([module.ref_conv(reference)[:, :, None].to(made), made[:, :, 1:]], dim=2)
        return made


class Wan22Network(WanNetwork):
    """Wan 2.2 5B, for which the frames that are given are clean among those with noise."""

    keeps_clean = True


def _times(t: Tensor, mask: Tensor) -> Tensor:
    """(B, T, tokens): the time of each token, 0 where the mask (B, 1, T, h, w) keeps what is there."""
    return (mask[:, 0, :, ::2, ::2] * t.to(mask)[:, None, None, None]).flatten(2)


def even_sides(video: Tensor) -> Tensor:
    """Return (B, C, T, h, w) with odd sides filled up from the other side."""
    if not (video.shape[-2] % 2 or video.shape[-1] % 2):
        return video
    return torch.unflatten(even(video.flatten(1, 2)), 1, video.shape[1:3])
