"""Videos as values: a file of which a part is meant, or frames in memory. Files are decoded by frames, when somebody asks."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from engine.media.errors import MediaError
from engine.media.sound import opened, sound_of
from engine.media.video_methods import VideoMethods

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

ColorSpace = Literal["sRGB", "HDR", "HDR PQ"]

MAX_FRAME_PIXELS: Final = 1 << 26
"""Pixels of one frame that is decoded: 8192 × 8192."""

_SLACK: Final = 1e-6
"""Seconds by which the time of a frame may miss the beginning of a part: containers round times."""


@dataclass(frozen=True, eq=False)
class VideoValue(VideoMethods):
    """What a VIDEO link carries; the functions of this module read it. Never changed, only replaced.

    `file` with `size` and `changed` (bytes, nanoseconds), of which the frames from `start` on count, `duration` seconds of
    them (0: all), cut to `crop` (x, y, width, height; width 0: not at all). Or `images` (F, H, W, 3 or 4), 0..1, at
    `rate` frames a second (numerator, denominator) with a sound (AUDIO). `bits` of a colour and `space` are what a file of
    it is written with where nothing else is asked for; of a file they are read off it.
    """

    file: str = ""
    size: int = 0
    changed: int = 0
    start: float = 0.0
    duration: float = 0.0
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    images: Tensor | None = None
    audio: dict[str, Any] | None = None
    rate: tuple[int, int] = (0, 1)
    bits: int = 8
    space: ColorSpace = "sRGB"


class Facts(NamedTuple):
    """Of a video, after its crop: pixels, frames a second, how many frames (estimated where the file does not say), seconds."""

    width: int
    height: int
    rate: Fraction
    frames: int
    seconds: float
    bits: int
    space: ColorSpace
    codec: str
    """Of the file; empty in memory."""


def video_file(path: Path) -> VideoValue:
    """A whole file as a video; its head is read. Raises MediaError for what is no video."""
    try:
        state = path.stat()
    except OSError as error:
        raise MediaError(f"{path.name} cannot be opened: {error.strerror or error}.") from error
    video = VideoValue(file=str(path), size=state.st_size, changed=state.st_mtime_ns)
    facts(video)
    return video


def video_of_bytes(data: bytes) -> VideoValue:
    """A file's bytes as a video in memory: all frames are decoded. Raises MediaError as `tensor` does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        path.write_bytes(data)
        video = video_file(path)
        found = facts(video)
        rate = (found.rate.numerator, found.rate.denominator)
        return VideoValue(images=tensor(video), audio=sound(video), rate=rate, bits=found.bits, space=found.space)


def is_as_loaded(video: VideoValue) -> bool:
    """Whether the file of a video is still the one that was loaded."""
    try:
        state = Path(video.file).stat()
    except OSError:
        return False
    return (state.st_size, state.st_mtime_ns) == (video.size, video.changed)


def facts(video: VideoValue) -> Facts:
    """What is known of it without decoding a frame. Raises MediaError for a file that is gone, has changed or is no video."""
    if video.images is not None:
        count, height, width = video.images.shape[:3]
        rate = Fraction(*video.rate)
        return Facts(width, height, rate, count, float(count / rate), video.bits, video.space, "")
    with opened(_file(video)) as container:
        stream = _stream(container, video)
        whole = _seconds(container, stream)
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        seconds = max(0.0, whole - video.start)
        seconds = min(seconds, video.duration) if video.duration else seconds
        width, height = _upright(stream.codec_context.width, stream.codec_context.height, _turns(container, stream))
        if video.crop[2]:
            width, height = video.crop[2:]
        count = stream.frames if stream.frames and not video.start and not video.duration else round(seconds * rate)
        bits = 10 if "10" in (stream.format.name if stream.format else "") else 8
        return Facts(
            width, height, rate, count, seconds, bits, _space(stream), stream.codec_context.codec.canonical_name
        )


def frames(video: VideoValue) -> Iterator[NDArray[np.uint8] | NDArray[np.uint16]]:
    """Its frames (H, W, 3 or 4), one by one: 8 bits a colour, or 16 of a video that has more than 8 and of one in memory.

    Raises MediaError for a file that is gone, has changed, is broken or has frames of more than MAX_FRAME_PIXELS.
    """
    if video.images is not None:
        for image in video.images:
            yield _levels(image, video.bits)
        return
    with opened(_file(video)) as container:
        stream = _stream(container, video)
        stream.thread_type = "AUTO"
        stop = video.start + video.duration if video.duration else math.inf
        first = _first_time(stream)
        for frame in _decoded(container, stream, video.start + first):
            at = float(frame.time or 0.0) - first
            if at < video.start - _SLACK:
                continue
            if at >= stop - _SLACK:
                return
            yield _cropped(_array(frame), video.crop)


def sound(video: VideoValue) -> dict[str, Any] | None:
    """The sound of the part that is meant, as AUDIO, or None. Raises MediaError as `frames` does."""
    if video.images is not None:
        return video.audio
    with opened(_file(video)) as container:
        first = _first_time(_stream(container, video))
        stop = first + video.start + video.duration if video.duration else math.inf
        return sound_of(container, Path(video.file).name, first + video.start, stop)


def tensor(video: VideoValue) -> Tensor:
    """Its frames as pictures (F, H, W, 3), 0..1.

    Raises MediaError when there is none, and when they would need more memory than there is.
    """
    if video.images is not None:
        return video.images
    import torch

    found = facts(video)
    _refuse_more_than_memory(found, found.frames)
    pieces = []
    for index, frame in enumerate(frames(video)):
        pieces.append(_picture(frame))
        if index > found.frames + 64 and index % 64 == 0:  # the file said less than it has
            _refuse_more_than_memory(found, index + 64)
    if not pieces:
        raise MediaError(f"{Path(video.file).name} has no frame in this part ({_part(video)}).")
    return torch.stack(pieces)


def picked(video: VideoValue, places: Sequence[int]) -> VideoValue:
    """The frames at `places`, which rise, as a video in memory without sound; of a file no others are kept."""
    import torch

    if video.images is not None:
        return replace(video, images=video.images[list(places)], audio=None)
    found, wanted = facts(video), set(places)
    several = islice(frames(video), places[-1] + 1)
    taken = torch.stack([_picture(frame) for index, frame in enumerate(several) if index in wanted])
    rate = (found.rate.numerator, found.rate.denominator)
    return VideoValue(images=taken, rate=rate, bits=found.bits, space=found.space)


def _picture(frame: NDArray[np.uint8] | NDArray[np.uint16]) -> Tensor:
    import numpy as np
    import torch

    return torch.from_numpy(frame.astype(np.float32) / np.iinfo(frame.dtype).max)


def trimmed(video: VideoValue, start: float, duration: float, strict: bool) -> VideoValue:
    """The part from `start` seconds on (below 0: from the end), of `duration` seconds (0: to the end).

    Raises ValueError for a part without a frame, and, where it is `strict`, for one that is longer than what there is.
    """
    found = facts(video)
    begin = max(0.0, start + found.seconds if start < 0 else start)
    left = found.seconds - begin
    frame = float(1 / found.rate)
    if left <= 0 or (duration and duration < frame / 2):
        raise ValueError(
            f"Nothing is left of the video: it has {found.seconds:g} s, and the part begins at {begin:g} s and has "
            f"{duration:g} s. Start earlier or take more."
        )
    if strict and duration > left + frame / 2:
        raise ValueError(f"The video has only {left:g} s from {begin:g} s on; {duration:g} s are asked for, strictly.")
    length = min(duration, left) if duration else 0.0
    if video.images is None:
        return replace(video, start=video.start + begin, duration=length or (left if video.duration else 0.0))
    first = round(begin * found.rate)
    return frames_between(video, first, round(length * found.rate) if length else found.frames - first)


def frames_between(video: VideoValue, first: int, count: int) -> VideoValue:
    """`count` frames from `first` on, as far as there are, with their sound. A file stays one."""
    found = facts(video)
    first = min(max(0, first), max(0, found.frames - 1))
    count = max(1, min(count, found.frames - first))
    begin, length = float(first / found.rate), float(count / found.rate)
    if video.images is None:
        half = 0.5 * float(1 / found.rate)  # times of frames are rounded: a part begins between two of them
        return replace(video, start=video.start + begin - half if first else video.start, duration=length)
    return replace(video, images=video.images[first : first + count], audio=_sound_between(video.audio, begin, length))


def _sound_between(audio: dict[str, Any] | None, start: float, length: float) -> dict[str, Any] | None:
    if audio is None:
        return None
    rate = audio["sample_rate"]
    first = round(start * rate)
    return {**audio, "waveform": audio["waveform"][..., first : first + round(length * rate)]}


def cropped(video: VideoValue, x: int, y: int, width: int, height: int) -> VideoValue:
    """The rectangle of each frame, in pixels; width and height 0: the video as it is.

    Raises ValueError for one that is not inside the frames.
    """
    if not width and not height:
        return video
    found = facts(video)
    if min(x, y) < 0 or min(width, height) < 1 or x + width > found.width or y + height > found.height:
        raise ValueError(
            f"The rectangle of {width} × {height} pixels at ({x}, {y}) is not inside the video, which has "
            f"{found.width} × {found.height}. Choose one that is."
        )
    if video.images is not None:
        return replace(video, images=video.images[:, y : y + height, x : x + width])
    before = video.crop
    return replace(video, crop=(before[0] + x, before[1] + y, width, height))


def _part(video: VideoValue) -> str:
    return f"from {video.start:g} s, {f'{video.duration:g} s' if video.duration else 'to the end'}"


def _file(video: VideoValue) -> Path:
    path = Path(video.file)
    try:
        state = path.stat()
    except OSError as error:
        raise MediaError(f"The video {path.name} is not there any more. Put it back, or load another.") from error
    if (state.st_size, state.st_mtime_ns) != (video.size, video.changed):
        raise MediaError(
            f"The video {path.name} has changed since it was loaded. Run again, so that it is loaded anew."
        )
    return path


def _stream(container: Any, video: VideoValue) -> Any:
    if not container.streams.video:
        raise MediaError(f"{Path(video.file).name} has no pictures: it is no video.")
    stream = container.streams.video[0]
    context = stream.codec_context
    if not 0 < context.width * context.height <= MAX_FRAME_PIXELS:
        raise MediaError(
            f"{Path(video.file).name}: frames of {context.width} × {context.height} pixels cannot be read; there may be "
            f"{MAX_FRAME_PIXELS:,} pixels in one."
        )
    return stream


def _seconds(container: Any, stream: Any) -> float:
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return float((container.duration or 0) / 1_000_000)


def _first_time(stream: Any) -> float:
    return float((stream.start_time or 0) * stream.time_base)


def _decoded(container: Any, stream: Any, start: float) -> Iterator[Any]:
    if start > _first_time(stream) + 1.0:
        container.seek(int(start / stream.time_base), stream=stream)  # to the key frame before it
    yield from container.decode(stream)


def _array(frame: Any) -> Any:
    import numpy as np

    deep = frame.format.components[0].bits > 8
    shape = f"rgb{'a' if frame.format.name.startswith('yuva') else ''}"
    wanted = {"rgb": "rgb48le", "rgba": "rgba64le"}[shape] if deep else {"rgb": "rgb24", "rgba": "rgba"}[shape]
    array = frame.to_ndarray(format=wanted)
    return np.rot90(array, k=frame.rotation // 90) if frame.rotation else array


def _turns(container: Any, stream: Any) -> int:
    """Degrees by which frames are turned, which only a frame tells."""
    for packet in container.demux(stream):
        for frame in packet.decode():
            container.seek(0)
            return int(frame.rotation)
    return 0


def _upright(width: int, height: int, turned: int) -> tuple[int, int]:
    return (height, width) if turned % 180 else (width, height)


def _cropped(frame: Any, crop: tuple[int, int, int, int]) -> Any:
    x, y, width, height = crop
    return frame[y : y + height, x : x + width] if width else frame


def _levels(image: Tensor, bits: int) -> Any:
    import numpy as np

    most = 255 if bits <= 8 else 65535
    levels = (image.detach().float().clamp(0, 1) * most).round().cpu().numpy()
    return levels.astype(np.uint8 if bits <= 8 else np.uint16)


_TRANSFERS: Final[dict[int, ColorSpace]] = {16: "HDR PQ", 18: "HDR"}
"""Of ISO/IEC 23091-2: PQ and HLG."""


def _space(stream: Any) -> ColorSpace:
    return _TRANSFERS.get(int(stream.codec_context.color_trc or 0), "sRGB")


def _refuse_more_than_memory(found: Facts, count: int) -> None:
    import psutil

    needed = count * found.width * found.height * 3 * 4
    free = psutil.virtual_memory().available
    if needed > free:
        raise MediaError(
            f"{count} frames of {found.width} × {found.height} would need {needed / 2**30:.1f} GiB as pictures, and "
            f"{free / 2**30:.1f} GiB are free. Take a part of the video (Video Slice), or make it smaller."
        )
