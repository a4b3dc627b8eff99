"""Parts of videos, and videos put together. A file stays a file: what is meant of it is decoded when somebody asks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch

from engine.api import Audio, Growing, In, Seed, Video, node
from engine.media.sound_mixing import joined
from engine.media.video import VideoValue, facts, frames_between, picked, sound, tensor, trimmed

START = Annotated[float, In(ge=-1e5, le=1e5, step=0.001, tip="Seconds from the start; below 0 from the end.")]


@node("Video Slice", category="image/video", display_name="Video Slice")
def video_slice(
    video: Video,
    start_time: START = 0.0,
    duration: Annotated[float, In(ge=0, le=1e5, step=0.001, tip="Seconds; 0: to the end.")] = 0.0,
    strict_duration: Annotated[bool, In(tip="Fail where the video has less than that.")] = False,
) -> Video:
    """Take a part of a video, with its sound. Raises ValueError where nothing is left, or, strictly, less than asked for."""
    return trimmed(video, start_time, duration, strict_duration)


@node("VideoTemporalCrop", category="image/video", display_name="Crop Video (Temporal)")
def video_temporal_crop(
    video: Video,
    start_frame: Annotated[int, In(ge=0, le=99999, tip="The first frame; past the end: the last one.")] = 0,
    length: Annotated[int, In(ge=1, le=99999, tip="How many frames, as far as there are.")] = 16,
) -> Video:
    """Take frames of a video that follow one another, with their sound."""
    return frames_between(video, start_frame, length)


@node("VideoRandomTemporalCrop", category="image/video", display_name="Crop Video (Temporal Random)")
def video_random_temporal_crop(
    video: Video,
    length: Annotated[int, In(ge=1, le=99999, tip="How many frames, as far as there are.")] = 16,
    seed: Seed = 0,
) -> Video:
    """Take frames of a video that follow one another, from a place that the seed says on."""
    import random

    most = max(0, facts(video).frames - length)
    return frames_between(video, random.Random(seed).randint(0, most), length)


@node("VideoFrameSample", category="image/video", display_name="Sample Video Frame")
def video_frame_sample(
    video: Video,
    num_frames: Annotated[int, In(ge=1, le=9999, tip="How many frames, as far as there are.")] = 16,
    strategy: Annotated[
        Literal["uniform", "head", "tail", "random"],
        In(tip="Evenly spread over the video; its first; its last; any, in their order."),
    ] = "uniform",
    seed: Annotated[int, In(ge=0, le=2**64 - 1, tip="Of random.")] = 0,
) -> Video:
    """Take some frames of a video. `head` and `tail` keep its sound; what is not in a row has none."""
    total = facts(video).frames
    if not total:
        raise ValueError("video: it has no frames, so none can be taken. See what is linked.")
    count = min(num_frames, total)
    if strategy == "head":
        return frames_between(video, 0, count)
    if strategy == "tail":
        return frames_between(video, total - count, count)
    return picked(video, _places(total, count, strategy, seed))


def _places(total: int, count: int, strategy: str, seed: int) -> list[int]:
    import random

    if strategy == "random":
        return sorted(random.Random(seed).sample(range(total), count))
    if count == 1:
        return [total // 2]
    return [round(index * (total - 1) / (count - 1)) for index in range(count)]


VIDEOS: dict[str, Any] = {
    "input": {"required": {"video": ["VIDEO", {}]}},
    "names": [f"video_{index}" for index in range(1, 101)],
    "min": 1,
}


@node("ConcatenateVideo", category="image/video", display_name="Concatenate Video")
def concatenate_video(
    videos: Annotated[Growing, In(tip="Up to 100 videos, in their order.", options={"template": VIDEOS})],
    codec: Annotated[
        Literal["auto", "h264", "av1"],
        In(tip="Kept for saved workflows: videos are encoded when they are saved."),
    ] = "auto",
    complete_audio: Annotated[Audio | None, In(tip="The sound of the whole, in the place of the videos' own.")] = None,
) -> Video:
    """Put videos of one size behind one another; frames a second are those of the first.

    A video whose frames come at another rate keeps its frames, and its sound is changed in length with them (inferred).
    Raises ValueError for videos of different sizes, MediaError where the frames need more memory than is free.
    """
    parts: list[VideoValue] = [
        videos[name] for name in sorted(videos, key=lambda name: int(name.rpartition("_")[2])) if videos[name]
    ]
    if len(parts) == 1 and complete_audio is None:
        return parts[0]
    found = [facts(part) for part in parts]
    for index, one in enumerate(found[1:], 2):
        if (one.width, one.height) != (found[0].width, found[0].height):
            raise ValueError(
                f"videos: video {index} has {one.width} × {one.height} pixels and the first {found[0].width} × "
                f"{found[0].height}. Give videos of one size, or resize their frames before."
            )
    images = [tensor(part) for part in parts]
    pictures = torch.cat([one[..., :3] for one in images])
    rate = found[0].rate
    audio = (
        complete_audio
        if complete_audio is not None
        else joined([sound(part) for part in parts], [float(len(one) / rate) for one in images])
    )
    return VideoValue(
        images=pictures, audio=audio, rate=(rate.numerator, rate.denominator), bits=found[0].bits, space=found[0].space
    )
