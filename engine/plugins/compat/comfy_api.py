"""`comfy_api.latest` and its versioned names: what V3 packs declare themselves with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from engine.media.video import VideoValue, trimmed, video_file, video_of_bytes
from engine.plugins.compat import comfy_io, comfy_ui
from engine.plugins.compat.absent import absent_class
from engine.plugins.compat.io_nodes import ComfyNode
from engine.plugins.compat.running import check_cancelled, current_context

io = comfy_io
_io = comfy_io
IO = comfy_io
ui = comfy_ui
UI = comfy_ui


class ComfyExtension(ABC):
    """What a pack's `comfy_entrypoint` gives."""

    async def on_load(self) -> None:  # noqa: B027 - there to be overridden, and mostly not
        """Called once, before the nodes are asked for."""

    @abstractmethod
    async def get_node_list(self) -> list[type[ComfyNode]]:
        """The node classes."""


VideoInput = VideoValue
"""What sockets of type VIDEO carry."""


class VideoFromFile(VideoValue):
    """A video in a file, or the bytes of one in memory, which are decoded at once."""

    def __init__(self, file: Any, *, start_time: float = 0.0, duration: float = 0.0) -> None:
        kept = video_file(Path(file)) if isinstance(file, str | Path) else video_of_bytes(file.getvalue())
        _become(self, trimmed(kept, start_time, duration, strict=False) if start_time or duration else kept)


class VideoFromComponents(VideoValue):
    """A video of frames (B, H, W, 3), a sound, and a frame rate."""

    def __init__(self, components: Any) -> None:
        rate = Fraction(components.frame_rate).limit_denominator(100_000)
        parts = {"images": components.images, "audio": components.audio}
        _become(self, VideoValue(rate=(rate.numerator, rate.denominator), **parts))


def _become(video: VideoValue, other: VideoValue) -> None:
    for name in VideoValue.__dataclass_fields__:
        object.__setattr__(video, name, getattr(other, name))


class VideoComponents:
    """Frames (B, H, W, 3), a sound or None, a frame rate, and what else is known."""

    def __init__(self, images: Any, frame_rate: Any, audio: Any = None, metadata: Any = None) -> None:
        self.images = images
        self.frame_rate = frame_rate
        self.audio = audio
        self.metadata = metadata


class _Execution:
    """Progress of the running node."""

    async def set_progress(
        self, value: float, max_value: float, node_id: str | None = None, preview_image: Any = None, **kwargs: Any
    ) -> None:
        """Report `value` of `max_value` done, with a picture if there is one."""
        ctx = current_context()
        if ctx is None:
            return
        ctx.progress(value, max_value)
        if preview_image is not None:
            ctx.preview(preview_image)

    def check_cancelled(self) -> None:
        """Raise when the job was cancelled."""
        check_cancelled()


class ComfyAPI:
    """What a node may ask of the engine."""

    VERSION = "latest"
    STABLE = False

    def __init__(self) -> None:
        self.execution = _Execution()


class ComfyAPISync:
    """As ComfyAPI, for functions that are not coroutines."""

    class _SyncExecution:
        def set_progress(
            self, value: float, max_value: float, node_id: str | None = None, preview_image: Any = None, **kwargs: Any
        ) -> None:
            """Report `value` of `max_value` done, with a picture if there is one."""
            ctx = current_context()
            if ctx is not None:
                ctx.progress(value, max_value)
                if preview_image is not None:
                    ctx.preview(preview_image)

    def __init__(self) -> None:
        self.execution = self._SyncExecution()


ComfyAPI_latest = ComfyAPI
ComfyAPIAdapter_v0_0_1 = ComfyAPI
ComfyAPIAdapter_v0_0_2 = ComfyAPI
ComfyAPISyncStub = ComfyAPISync

Input = SimpleNamespace(Image=Any, Audio=dict, Mask=Any, Latent=dict, Video=VideoInput)


class _Chosen(StrEnum):
    """Choices of a combo box."""

    @classmethod
    def as_input(cls) -> list[str]:
        """Every choice."""
        return [one.value for one in cls]


class VideoContainer(_Chosen):
    """Kinds of video files."""

    AUTO = "auto"
    MP4 = "mp4"

    @classmethod
    def get_extension(cls, value: str) -> str:
        """The suffix of such files, without its dot."""
        return "mp4" if cls(value) in (cls.AUTO, cls.MP4) else ""


class VideoCodec(_Chosen):
    """How the pictures in a video file are packed."""

    AUTO = "auto"
    H264 = "h264"


InputImpl = SimpleNamespace(VideoFromFile=VideoFromFile, VideoFromComponents=VideoFromComponents)
Types = SimpleNamespace(
    VideoComponents=VideoComponents,
    VideoCodec=VideoCodec,
    VideoContainer=VideoContainer,
    MESH=absent_class("comfy_api.latest.Types.MESH", "meshes"),
    VOXEL=absent_class("comfy_api.latest.Types.VOXEL", "voxels"),
    File3D=absent_class("comfy_api.latest.Types.File3D", "files of models in space"),
)
