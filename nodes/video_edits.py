"""Videos cut by a widget: to a rectangle, and to a part of their time. A file stays a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from engine.api import Context, In, Out, Socket, Video, WithUi, node
from engine.media.video import VideoValue, cropped, trimmed
from engine.media.video_writing import Wish
from nodes.video import saved

if TYPE_CHECKING:
    VideoEdit: TypeAlias = Mapping[str, Any]
else:

    class VideoEdit(Socket, io_type="VIDEO_EDIT"):
        """What is cut away, as JSON: `x`, `y`, `width`, `height` in pixels, or `start_time`, `duration` in seconds."""


Edited = Annotated[Video, Out(name="video")]
_SHOWN = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}


@node("VideoCrop", category="image/video", display_name="Crop Video", output=True, hidden=_SHOWN)
def video_crop(
    ctx: Context,
    video: Video,
    crop: Annotated[VideoEdit, In(tip="x, y, width and height in pixels; a size of 0 keeps the whole.")],
) -> WithUi[Edited]:
    """Cut every frame of a video to a rectangle, and show it. Raises ValueError for one that is not inside the frames."""
    x, y, width, height = (int(_number(crop, name)) for name in ("x", "y", "width", "height"))
    return _shown(ctx, cropped(video, x, y, width, height))


@node("VideoTrim", category="image/video", display_name="Trim Video (Advanced)", output=True, hidden=_SHOWN)
def video_trim(
    ctx: Context,
    video: Video,
    trim: Annotated[VideoEdit, In(tip="start_time and duration in seconds; a duration of 0 goes to the end.")],
    strict_duration: Annotated[bool, In(tip="Fail where the video has less than that.")] = False,
) -> WithUi[Edited]:
    """Take a part of a video, with its sound, and show it. Raises ValueError where nothing is left, or less than asked for."""
    start, duration = _number(trim, "start_time"), _number(trim, "duration")
    if not start and not duration:
        return _shown(ctx, video)
    return _shown(ctx, trimmed(video, start, duration, strict_duration))


def _number(edit: Any, name: str) -> float:
    value = (edit or {}).get(name, 0) if isinstance(edit, Mapping | None) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{name}: expected a number from 0 on, got {value!r:.60}.")
    return float(value)


def _shown(ctx: Context, video: VideoValue) -> WithUi[VideoValue]:
    return WithUi(video, ui=saved(ctx, video, "preview", Wish(), "temp"))
