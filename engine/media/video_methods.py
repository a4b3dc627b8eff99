"""What packs may ask of a video, by the field's names (`comfy_api`'s VideoInput): thin ways to the functions of `video`."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from engine.media.video import VideoValue


class Components(NamedTuple):
    """Frames (F, H, W, 3), a sound or None, frames a second, and what the file says of itself."""

    images: Any
    audio: dict[str, Any] | None
    frame_rate: Fraction
    metadata: dict[str, Any] | None = None


class VideoMethods:
    """The methods; `self` is a `VideoValue`. They raise MediaError as the functions do."""

    def get_components(self) -> Components:
        """All frames, the sound and the rate: frames are decoded here."""
        from engine.media.video import facts, sound, tensor

        video = cast("VideoValue", self)
        return Components(tensor(video), sound(video), facts(video).rate)

    def get_dimensions(self) -> tuple[int, int]:
        """Width and height in pixels."""
        from engine.media.video import facts

        found = facts(cast("VideoValue", self))
        return found.width, found.height

    def get_duration(self) -> float:
        """Seconds."""
        from engine.media.video import facts

        return facts(cast("VideoValue", self)).seconds

    def get_frame_count(self) -> int:
        """How many frames; estimated where a file does not say."""
        from engine.media.video import facts

        return facts(cast("VideoValue", self)).frames

    def get_frame_rate(self) -> Fraction:
        """Frames a second."""
        from engine.media.video import facts

        return facts(cast("VideoValue", self)).rate

    def get_stream_source(self) -> Any:
        """The path of the file, or the bytes of one that is made, open for reading, of a video in memory or a part of a file."""
        import io
        import tempfile

        video = cast("VideoValue", self)
        if video.file and not (video.start or video.duration or video.crop[2]):
            return video.file
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "video.mp4"
            self.save_to(str(path))
            return io.BytesIO(path.read_bytes())

    def as_trimmed(self, start_time: float = 0.0, duration: float = 0.0, strict_duration: bool = True) -> Any:
        """A part of it, or None where that cannot be had."""
        from engine.media.video import trimmed

        try:
            return trimmed(cast("VideoValue", self), start_time, duration, strict_duration)
        except ValueError:
            return None

    def save_to(
        self, path: str, format: Any = "auto", codec: Any = "auto", metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Write it to a path: MP4 with H.264 unless told otherwise, `metadata` inside."""
        from engine.media.video_writing import Container, Wish, write_video

        named = str(getattr(format, "value", format))
        container = cast("Container", named if named in ("mp4", "mkv", "webm") else "mp4")
        write_video(cast("VideoValue", self), Path(path), Wish(container), metadata)
