"""SAM 3 through a video: following things, masks of what was followed, and a look at it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from engine.api import Context, Image, In, Mask, Model, Out, Socket, WithUi, node
from nodes.detection import of_kind
from nodes.sam3 import EXPECTED, Asked

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.networks.following import Frame

    TrackData: TypeAlias = dict[str, Any]
else:

    class TrackData(Socket, io_type="SAM3_TRACK_DATA"):
        """What was followed through a video: `packed_masks` (T, N, H, bytes of a row), `orig_size` [H, W], `n_frames`, `scores`.

        A bit of a byte is a pixel, the highest the leftmost; `scores` are T lists of N, how sure the tracker is.
        """


_MOST = 64
_COLOURS = (
    (0.90, 0.10, 0.29), (0.24, 0.71, 0.29), (0.00, 0.51, 0.78), (1.00, 0.88, 0.10), (0.96, 0.51, 0.19), (0.57, 0.12, 0.71),
    (0.27, 0.94, 0.94), (0.94, 0.20, 0.90), (0.82, 0.96, 0.24), (0.98, 0.75, 0.83), (0.00, 0.50, 0.50), (0.67, 0.43, 0.16),
)  # fmt: skip
"""Far from one another; of more things they begin anew."""


@node("SAM3_VideoTrack", category="detection", display_name="SAM3 Video Track")
def sam3_video_track(
    ctx: Context,
    images: Annotated[Image, In(tip="The frames of a video.")],
    model: Annotated[Model, In(tip="SAM 3, loaded by CheckpointLoaderSimple.")],
    initial_mask: Annotated[
        Mask | None, In(tip="What to follow, as it is in the first frame: a mask for each thing.")
    ] = None,
    conditioning: Asked = None,
    detection_threshold: Annotated[
        float | None, In(ge=0.0, le=1.0, step=0.01, tip="How sure it has to be of what a text asks for, to follow it.")
    ] = 0.5,
    max_objects: Annotated[
        int | None, In(ge=0, le=_MOST, tip="At most so many things, those of the masks too; 0 for 64.")
    ] = 4,
    detect_interval: Annotated[
        int | None, In(ge=1, le=100_000, tip="Look for new things in every such frame; more saves time.")
    ] = 1,
) -> Annotated[TrackData, Out(name="track_data")]:
    """Follow through the frames of a video (T, H, W, C) what masks show or a text asks for, and what the text finds on the way.

    Inferred: a thing that a text finds is followed where it scores above `detection_threshold`. What a text finds and then no
    more within 15 frames is dropped, as the library does it. Raises ValueError without masks and text, and ModelError for a
    model without a tracker that is known, as SAM 3.1's.
    """
    from engine.models.networks.following import Follower, Wanted

    network = of_kind(model, "sam3", "SAM3_VideoTrack", EXPECTED)
    if initial_mask is None and not conditioning:
        raise ValueError(
            "SAM3_VideoTrack: nothing to follow. Link masks of the first frame, or a conditioning of CLIPTextEncode."
        )
    if conditioning is not None and len(conditioning) > 1:
        raise ValueError(
            f"SAM3_VideoTrack: conditioning holds {len(conditioning)} texts, expected one. Ask for one thing."
        )
    most, masks = max_objects or _MOST, initial_mask
    if masks is not None and len(masks) > most:
        ctx.warn(
            f"SAM3_VideoTrack: initial_mask has {len(masks)} masks; the first {most} are followed, as max_objects says."
        )
        masks = masks[:most]
    tokens, options = conditioning[0] if conditioning else (None, {})
    wanted = Wanted(
        masks, tokens, options.get("attention_mask"), detection_threshold or 0.0, most, detect_interval or 1
    )
    with ctx.models.use(network) as segmenter:
        found = Follower(segmenter, wanted).follow(images, ctx.progress)
    return _packed(found, images.shape[1], images.shape[2])


def _packed(found: list[Frame], height: int, width: int) -> dict[str, Any]:
    """What was followed as bits. Where two things are in one place, the surer one has it."""
    import torch
    from torch.nn import functional

    things = sorted({thing for frame in found for thing in frame.masks})
    bits = torch.zeros(len(found), len(things), height, -(-width // 8), dtype=torch.uint8)
    for number, frame in enumerate(found):
        there = [thing for thing in things if thing in frame.masks]
        if there:
            logits = torch.stack([frame.masks[thing] for thing in there])[:, None]
            masks = functional.interpolate(logits, (height, width), mode="bilinear", align_corners=False)[:, 0] > 0
            places = [things.index(thing) for thing in there]
            bits[number, places] = _as_bits(_without_overlaps(masks, [frame.scores.get(thing, 0.0) for thing in there]))
    scores = [[frame.scores.get(thing, 0.0) if thing in frame.masks else 0.0 for thing in things] for frame in found]
    return {"packed_masks": bits, "orig_size": [height, width], "n_frames": len(found), "scores": scores}


def _without_overlaps(masks: Tensor, scores: list[float]) -> Tensor:
    import torch

    free, kept = torch.ones_like(masks[0]), torch.zeros_like(masks)
    for place in sorted(range(len(scores)), key=lambda place: -scores[place]):
        kept[place] = masks[place] & free
        free = free & ~masks[place]
    return kept


def _as_bits(masks: Tensor) -> Tensor:
    """Masks (N, H, W) of bool as bytes (N, H, ceil(W / 8))."""
    import torch

    wide = torch.nn.functional.pad(masks.to(torch.uint8), (0, -masks.shape[-1] % 8))
    weights = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8)
    eights = wide.reshape(*wide.shape[:-1], -1, 8)
    return (eights * weights).sum(dim=-1, dtype=torch.uint8)


def _as_masks(bits: Tensor, width: int) -> Tensor:
    """Bytes (…, H, bytes) as masks (…, H, W) of bool."""
    import torch

    shifts = torch.arange(7, -1, -1, dtype=torch.uint8)
    return ((bits[..., None] >> shifts) & 1).flatten(-2)[..., :width].bool()


@node("SAM3_TrackToMask", category="detection", display_name="SAM3 Track to Mask")
def sam3_track_to_mask(
    ctx: Context,
    track_data: Annotated[TrackData, In(tip="What SAM3_VideoTrack followed.")],
    object_indices: Annotated[str | None, In(tip="Numbers of the things from 0, as 0,2,3; empty for all.")] = "",
) -> Annotated[Mask, Out(name="masks")]:
    """Join the masks of some of the things that were followed to one for each frame (T, H, W), 0 or 1.

    Numbers that no thing has are told of, and left out (inferred). Raises ValueError for what is no list of numbers.
    """
    bits, (height, width) = _read(track_data, "SAM3_TrackToMask")
    import torch

    chosen = _numbers(object_indices or "")
    there = (
        [number for number in chosen if number < bits.shape[1]] if chosen is not None else list(range(bits.shape[1]))
    )
    if chosen is not None and len(there) < len(chosen):
        ctx.warn(
            f"SAM3_TrackToMask: object_indices is {object_indices}; {bits.shape[1]} things were followed, from 0 on."
        )
    joined = torch.zeros(bits.shape[0], height, bits.shape[3], dtype=torch.uint8)
    for number in there:
        joined |= bits[:, number]
    return _as_masks(joined, width).float()


def _numbers(text: str) -> list[int] | None:
    """Numbers between commas; None for none at all. Raises ValueError."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and len(part) < 7 for part in parts):
        raise ValueError(f"SAM3_TrackToMask: object_indices is {text[:80]!r}; expected whole numbers from 0, as 0,2,3.")
    return sorted({int(part) for part in parts}) or None


def _read(track_data: Any, where: str) -> tuple[Tensor, tuple[int, int]]:
    """The bits and the size of what was followed. Raises ValueError for anything else."""
    try:
        bits, (height, width) = track_data["packed_masks"], track_data["orig_size"]
        if bits.ndim == 4 and bits.shape[2:] == (height, -(-width // 8)):
            return bits, (height, width)
    except (TypeError, KeyError, ValueError, AttributeError):
        pass
    raise ValueError(f"{where}: track_data is {str(track_data)[:60]}; expected what SAM3_VideoTrack gives.")


@node("SAM3_TrackPreview", category="detection", display_name="SAM3 Track Preview", output=True)
def sam3_track_preview(
    ctx: Context,
    track_data: Annotated[TrackData, In(tip="What SAM3_VideoTrack followed.")],
    images: Annotated[Image | None, In(tip="The video below; without it all is black.")] = None,
    opacity: Annotated[float | None, In(ge=0.0, le=1.0, step=0.05, tip="Of the colours over the video.")] = 0.5,
    fps: Annotated[float | None, In(ge=1.0, le=120.0, step=1.0, tip="Frames a second.")] = 24.0,
) -> WithUi[None]:
    """Show a video of what was followed: every thing in a colour of its own, with its number.

    The video is written to the temporary folder, as MP4. Frames past the last picture are black.
    """
    from engine.media.video import VideoValue
    from nodes.video import saved, wished

    bits, (height, width) = _read(track_data, "SAM3_TrackPreview")
    painted = _painted(bits, (height, width), images, 0.5 if opacity is None else opacity)
    rate = Fraction(fps or 24.0).limit_denominator(1001)
    video = VideoValue(images=painted, rate=(rate.numerator, rate.denominator))
    return WithUi(ui=saved(ctx, video, "sam3_track", wished({"format": "mp4"}, "h264"), "temp"))


def _painted(bits: Tensor, size: tuple[int, int], images: Tensor | None, opacity: float) -> Tensor:
    """Frames (T, H, W, 3) with colours over things and their numbers."""
    import torch
    from torch.nn import functional

    height, width = size
    painted = torch.zeros(max(len(bits), 1), height, width, 3)
    if images is not None and len(images):
        count = min(len(images), len(bits))
        below = images[:count, ..., :3].expand(-1, -1, -1, 3).movedim(-1, 1)
        if tuple(below.shape[2:]) != size:
            below = functional.interpolate(below, size, mode="bilinear", antialias=True)
        painted[:count] = below.movedim(1, -1)
    for number, frame in enumerate(bits):
        masks = _as_masks(frame, width)
        for thing, mask in enumerate(masks):
            colour = torch.tensor(_COLOURS[thing % len(_COLOURS)])
            painted[number][mask] = painted[number][mask] * (1 - opacity) + colour * opacity
        for thing, mask in enumerate(masks):
            if mask.any():
                _number(painted[number], str(thing), mask)
    return painted


def _number(picture: Tensor, text: str, mask: Tensor) -> None:
    """Write a number into a picture (H, W, 3), in the middle of a mask (H, W)."""
    import numpy as np
    import torch
    from PIL import Image as Pictures
    from PIL import ImageDraw, ImageFont

    height, width = mask.shape
    rows, columns = mask.nonzero(as_tuple=True)
    ink = Pictures.new("L", (width, height))
    font = ImageFont.load_default(max(10, height // 24))
    middle = float(columns.float().mean()), float(rows.float().mean())
    ImageDraw.Draw(ink).text(middle, text, fill=255, font=font, anchor="mm")
    share = torch.from_numpy(np.asarray(ink, np.float32) / 255.0)[..., None]
    picture.copy_(picture * (1 - share) + share)
