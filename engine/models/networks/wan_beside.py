"""What Wan's networks are given beside a latent, all of it on channels, cut as the latent is where a text has an area.

The option `layout` names the parts in their order, each with its channels:

| part | channels | what it is |
| --- | --- | --- |
| `channels` | those that the first layer takes beyond the latent's | mask and picture, control and first frame … |
| `control` | `vace_in_channels` | VACE's control and mask |
| `camera` | `camera_channels` | the path of a camera |
| `kept`, `mask` | the latent's, and one | what is kept, and where: 1 is to be made anew |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.nn import functional

from engine.models.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.network import Network

LAYOUT: Final = "layout"
STRENGTH: Final = "strength"
RUN_MASK: Final = "run_mask"
"""Among the options of a run: where the latent is to be made anew, (B, 1, …, h, w), or None."""

_MASK: Final = 4
"""Channels of a mask: one for each picture that a latent frame stands for."""


def beside(network: Network, options: Mapping[str, Any], latent: Tensor, *, clean: bool = False) -> dict[str, Any]:
    """Return `concat` (b, C', T, h, w) with its `layout`, and `strength` of VACE's control; neither where nothing stands beside.

    `clean`: the network is told what a noise mask keeps. Raises ModelError for what does not have the video's shape.
    """
    config = network.handle.config
    found: dict[str, Tensor] = {}
    if network.handle.extra_channels:
        found["channels"] = _channels(network, options, latent)
    given: dict[str, Any] = {}
    if config.get("vace_layers"):
        found["control"], given[STRENGTH] = _control(network, options, latent)
    if config.get("camera_channels") and options.get("camera_conditions") is not None:
        found["camera"] = _camera(network, options["camera_conditions"], latent)
    mask = options.get(RUN_MASK)
    if mask is not None and clean:
        found["kept"] = latent
        found["mask"] = mask.to(latent).expand(-1, 1, *latent.shape[2:])
    if not found:
        return given
    rows = max(one.shape[0] for one in found.values())
    whole = torch.cat([_rows(one.to(latent), rows) for one in found.values()], dim=1)
    return {**given, "concat": whole, LAYOUT: tuple((name, one.shape[1]) for name, one in found.items())}


def parted(concat: Tensor | None, layout: tuple[tuple[str, int], ...], video: Tensor) -> dict[str, Tensor]:
    """Return the parts of `concat` (B, C', T, h, w) by name, and `video` itself."""
    if concat is None:
        return {"video": video}
    pieces = torch.split(concat, [channels for _, channels in layout], dim=1)
    return {"video": video, **{name: piece for (name, _), piece in zip(layout, pieces, strict=True)}}


def same_size(value: Tensor, video: Tensor) -> Tensor:
    """Return (b, C, n, h, w) at the sides of a video, resized bilinearly where a text has an area of it."""
    if value.shape[-2:] == video.shape[-2:]:
        return value
    return torch.unflatten(
        functional.interpolate(value.flatten(1, 2), size=video.shape[-2:], mode="bilinear"), 1, value.shape[1:3]
    )


def _channels(network: Network, options: Mapping[str, Any], latent: Tensor) -> Tensor:
    """Picture and mask for the channels beyond the latent's: the mask is 1 where the picture is known.

    It stands at the channel that the option `concat_mask_index` tells; a network without room for it does without. What is
    missing is zero.
    """
    wanted, space = network.handle.extra_channels, network.handle.latent
    picture: Tensor | None = options.get("concat_latent_image")
    if picture is None:
        return latent.new_zeros(1, wanted, *latent.shape[2:])
    _check(network, "concat_latent_image", picture, latent, picture.shape[1] % space.channels == 0)
    pictures = torch.cat(
        [space.to_network(one) for one in torch.split(picture.to(latent), space.channels, dim=1)], dim=1
    )
    room = wanted % space.channels == _MASK
    seen = _fitted(pictures, wanted - _MASK * room)
    if not room:
        return seen
    mask, place = _mask(network, options, latent), int(options.get("concat_mask_index", 0))
    rows = max(seen.shape[0], mask.shape[0])
    return torch.cat([_rows(one, rows) for one in (seen[:, :place], mask, seen[:, place:])], dim=1)


def _mask(network: Network, options: Mapping[str, Any], latent: Tensor) -> Tensor:
    """(b, 4, T, h, w), 1 where the picture is known; zeros without a mask."""
    mask: Tensor | None = options.get("concat_mask")
    if mask is None:
        return latent.new_zeros(1, _MASK, *latent.shape[2:])
    _check(network, "concat_mask", mask, latent, mask.ndim == 5 and mask.shape[1] in (1, _MASK))
    return (1.0 - mask.to(latent)).expand(-1, _MASK, -1, -1, -1)


def _control(network: Network, options: Mapping[str, Any], latent: Tensor) -> tuple[Tensor, float]:
    """VACE's control (b, 96, T, h, w), and its strength: all is to be made where no node says otherwise."""
    frames: Sequence[Tensor] = options.get("vace_frames") or ()
    masks: Sequence[Tensor] = options.get("vace_mask") or ()
    channels, space = int(network.handle.config["vace_in_channels"]), network.handle.latent
    if len(frames) > 1:
        raise ModelError(
            f"{network.handle.source.path}: {len(frames)} controls of WanVaceToVideo behind one another; this network "
            "is given one. Put what they show into one control video."
        )
    if not frames or not masks:
        blank = latent.new_zeros(1, 2 * space.channels, *latent.shape[2:])
        everywhere = latent.new_ones(1, channels - 2 * space.channels, *latent.shape[2:])
        return torch.cat([blank, everywhere], dim=1), 1.0
    video, mask = frames[0].to(latent), masks[0].to(latent)
    whole = video.shape[1] == 2 * space.channels and video.shape[1] + mask.shape[1] == channels
    _check(network, "vace_frames", video, latent, whole)
    _check(network, "vace_mask", mask, latent, whole)
    parts = [space.to_network(one) for one in torch.split(video, space.channels, dim=1)]
    return torch.cat([*parts, mask], dim=1), float((options.get("vace_strength") or (1.0,))[0])


def _camera(network: Network, path: Tensor, latent: Tensor) -> Tensor:
    """A path (b, 24, T, H, W) with the pixels of each latent pixel among its channels."""
    side = network.handle.latent.downscale
    wanted = (latent.shape[2], latent.shape[-2] * side, latent.shape[-1] * side)
    if path.ndim != 5 or path.shape[2:] != wanted:
        raise ModelError(
            f"{network.handle.source.path}: camera_conditions: expected the path of a camera for {wanted[0]} latent frames of "
            f"{wanted[2]} × {wanted[1]} pixels, got {tuple(path.shape)}. Give WanCameraEmbedding the width, height "
            "and length of the video."
        )
    frames = functional.pixel_unshuffle(path.to(latent).movedim(2, 1).flatten(0, 1), side)
    return torch.unflatten(frames, 0, (path.shape[0], path.shape[2])).movedim(1, 2)


def _check(network: Network, name: str, value: Tensor, latent: Tensor, fits: bool) -> None:
    if not fits or value.ndim != latent.ndim or value.shape[2:] != latent.shape[2:]:
        raise ModelError(
            f"{network.handle.source.path}: {name}: expected frames like those of the video, (b, …, "
            f"{', '.join(map(str, latent.shape[2:]))}), got {tuple(value.shape)}. Give the node that made it the "
            "model's VAE and the width, height and length of the video."
        )


def _fitted(picture: Tensor, channels: int) -> Tensor:
    """Return the first channels; zeros where there are fewer."""
    short = channels - picture.shape[1]
    return functional.pad(picture, (0, 0, 0, 0, 0, 0, 0, short)) if short > 0 else picture[:, :channels]


def _rows(value: Tensor, rows: int) -> Tensor:
    """Repeat (b, …) to so many rows."""
    return value if value.shape[0] == rows else value.repeat(-(-rows // value.shape[0]), *[1] * (value.ndim - 1))[:rows]
