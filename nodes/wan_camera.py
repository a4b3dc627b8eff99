"""Videos of Wan Fun along the path of a camera."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import torch

from engine.api import Conditioning, Context, Image, In, Out, Socket, Vae, node
from engine.media.camera_paths import MOTIONS, by_latent_frames, lines_of_sight, poses
from nodes.dimensions import BatchSize
from nodes.video_latents import Length, Side
from nodes.wan import FRAMES, Seen, WanInputs, empty_video, encoded, fitted, given, nothing
from nodes.wan import by_latent_frames as mask_by_latent_frames

Pose = Literal[
    "Static",
    "Pan Up",
    "Pan Down",
    "Pan Left",
    "Pan Right",
    "Zoom In",
    "Zoom Out",
    "Anti Clockwise (ACW)",
    "ClockWise (CW)",
]
Focal = Annotated[float, In(ge=0.0, le=1.0, step=1e-9, tip="Focal length as a share of the picture's side.")]
Centre = Annotated[float, In(ge=0.0, le=1.0, step=0.01, tip="Where the line of sight meets the picture.")]


if TYPE_CHECKING:
    from torch import Tensor as WanCameraEmbedding
else:

    class WanCameraEmbedding(Socket, io_type="WAN_CAMERA_EMBEDDING"):
        """Lines of sight (1, 24, T, H, W): six numbers of each pixel in each of the four pictures of a latent frame."""


class CameraPath(NamedTuple):
    """A path, and the sizes that it was made for."""

    camera_embedding: Annotated[WanCameraEmbedding, Out(name="camera_embedding")]
    width: Annotated[int, Out(name="width")]
    height: Annotated[int, Out(name="height")]
    length: Annotated[int, Out(name="length")]


@node("WanCameraEmbedding", category="camera", display_name=None)
def wan_camera_embedding(
    camera_pose: Pose = "Static",
    width: Side = 832,
    height: Side = 480,
    length: Length = 81,
    speed: Annotated[float | None, In(ge=0.0, le=10.0, step=0.1, tip="How far the camera goes or turns.")] = 1.0,
    fx: Focal | None = 0.5,
    fy: Focal | None = 0.5,
    cx: Centre | None = 0.5,
    cy: Centre | None = 0.5,
) -> CameraPath:
    """Describe the path of a camera by the line of sight of each pixel, in Plücker coordinates (Sitzmann et al. 2021).

    The camera moves evenly; at speed 1 it turns by 60 degrees, or goes 1.5 units to a side or 3 along its line of sight.
    """
    focal = (0.5 if fx is None else fx, 0.5 if fy is None else fy)
    centre = (0.5 if cx is None else cx, 0.5 if cy is None else cy)
    cameras = poses(MOTIONS[camera_pose], length, 1.0 if speed is None else speed)
    path = by_latent_frames(lines_of_sight(cameras, width, height, focal, centre), FRAMES)
    return CameraPath(path, width, height, length)


@node("WanCameraImageToVideo", category="conditioning/video_models", display_name=None)
def wan_camera_image_to_video(
    ctx: Context,
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    width: Side = 832,
    height: Side = 480,
    length: Length = 81,
    batch_size: BatchSize = 1,
    clip_vision_output: Seen = None,
    start_image: Annotated[Image | None, In(tip="The first frame of the video, or its first frames.")] = None,
    camera_conditions: Annotated[WanCameraEmbedding | None, In(tip="The path, of WanCameraEmbedding.")] = None,
) -> WanInputs:
    """Let a video go on from `start_image` (F, H, W, 3) along a camera's path.

    Only the known frames are encoded; the others are zero for the network.
    """
    options: dict[str, Any] = {}
    if start_image is not None:
        start = fitted(start_image[:length], width, height)
        known, mask = nothing(vae, width, height, length), torch.ones(length)
        first = encoded(ctx, vae, start)
        known[:, :, : first.shape[2]] = first
        mask[: len(start)] = 0.0
        options |= {"concat_latent_image": known, "concat_mask": mask_by_latent_frames(mask, known)}
    if camera_conditions is not None:
        options["camera_conditions"] = camera_conditions
    return given(positive, negative, empty_video(vae, width, height, length, batch_size), clip_vision_output, options)
