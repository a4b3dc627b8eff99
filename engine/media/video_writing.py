"""Videos to files: H.264, AV1 and VP9 by FFmpeg (PyAV), with the sound and the documents that the file carries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal

from engine.media.errors import MediaError
from engine.media.sound import layout_of, opened, resampled, sound_parts, write_sound
from engine.media.video import ColorSpace, Facts, VideoValue, facts, frames, sound

Codec = Literal["h264", "av1", "vp9"]
Container = Literal["mp4", "mkv", "webm"]

CRF: Final[Mapping[Codec, float]] = {"h264": 23.0, "av1": 30.0, "vp9": 32.0}
"""How much may be lost where nobody says: the codecs' own scales, on which 0 is nothing."""

_ENCODERS: Final[Mapping[Codec, str]] = {"h264": "libx264", "av1": "libsvtav1", "vp9": "libvpx-vp9"}
_FORMATS: Final[Mapping[Container, str]] = {"mp4": "mp4", "mkv": "matroska", "webm": "webm"}
_CODECS: Final[Mapping[Container, frozenset[str]]] = {
    "mp4": frozenset({"h264", "av1"}),
    "mkv": frozenset({"h264", "av1", "vp9", "vp8", "hevc", "mpeg4"}),
    "webm": frozenset({"av1", "vp9", "vp8"}),
}
_SOUNDS: Final[Mapping[Container, tuple[str, frozenset[str]]]] = {
    "mp4": ("aac", frozenset({"aac", "mp3"})),
    "mkv": ("aac", frozenset({"aac", "mp3", "opus", "flac", "vorbis"})),
    "webm": ("libopus", frozenset({"opus", "vorbis"})),
}
"""How sound is written, and which kinds can be taken over as they are."""

_TAGS: Final[Mapping[ColorSpace, tuple[int, int, int]]] = {"sRGB": (1, 1, 1), "HDR": (9, 18, 9), "HDR PQ": (9, 16, 9)}
"""Primaries, transfer and matrix of ISO/IEC 23091-2: BT.709, BT.2020 with HLG, BT.2020 with PQ."""

_OPUS_RATE: Final = 48_000


@dataclass(frozen=True)
class Wish:
    """How a file is to be written. `codec` None: the source's own stream where it can be taken over, else H.264 (WebM: AV1)."""

    container: Container = "mp4"
    codec: Codec | None = None
    crf: float | None = None
    again: bool = False
    """Encode even what could be taken over."""
    alpha: bool = False
    """Keep the see-through parts of pictures with alpha (VP9 alone can)."""
    bits: int | None = None


def write_video(video: VideoValue, path: Path, wish: Wish, told: Mapping[str, Any] | None = None) -> None:
    """Write `video` to `path`, frame by frame; `told` are documents that the file carries, by name.

    Sizes that are odd are made even by a repeated row or column, as H.264 and AV1 need it. Raises MediaError for what
    cannot be encoded, and for a source that is gone or broken; what stands at `path` then is not whole.
    """
    import av

    try:
        if _can_be_copied(video, wish):
            _copy(Path(video.file), path, wish, told or {})
        else:
            _encode(video, path, wish, told or {})
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"The video cannot be written as {wish.container}: {error}.") from error


def _can_be_copied(video: VideoValue, wish: Wish) -> bool:
    if not video.file or video.start or video.duration or video.crop[2] or wish.again or wish.alpha:
        return False
    codec = facts(video).codec
    return codec in _CODECS[wish.container] and wish.codec in (None, codec)


def _copy(source: Path, path: Path, wish: Wish, told: Mapping[str, Any]) -> None:
    with opened(source) as container, _writer(path, wish, told) as out:
        streams = [stream for kind in (container.streams.video, container.streams.audio) for stream in kind[:1]]
        taken: dict[Any, Any] = {
            stream: out.add_stream_from_template(stream)
            for stream in streams
            if stream.type == "video" or stream.codec_context.codec.canonical_name in _SOUNDS[wish.container][1]
        }
        for packet in container.demux(list(taken)):
            if packet.dts is not None:
                packet.stream = taken[packet.stream]
                out.mux(packet)


def _writer(path: Path, wish: Wish, told: Mapping[str, Any]) -> Any:
    import av

    options = {"movflags": "use_metadata_tags+faststart"} if wish.container == "mp4" else {}
    out = av.open(str(path), "w", format=_FORMATS[wish.container], options=options)
    out.metadata.update({name: json.dumps(value) for name, value in told.items()})
    return out


def _encode(video: VideoValue, path: Path, wish: Wish, told: Mapping[str, Any]) -> None:
    found = facts(video)
    codec: Codec = wish.codec or ("av1" if wish.container == "webm" else "h264")
    pictures = frames(video)
    first = next(iter(pictures), None)
    if first is None:
        raise MediaError("A video needs at least one frame, and this one has none.")
    audio = sound(video)
    with ExitStack() as stack:
        out = stack.enter_context(_writer(path, wish, told))
        stream = _picture_stream(out, codec, wish, found, first)
        heard = _sound_stream(out, wish, audio) if audio is not None and audio["waveform"].shape[-1] else None
        _write_frames(out, stream, chain([first], pictures), found)
        if heard is not None:
            write_sound(out, *heard)


def _picture_stream(out: Any, codec: Codec, wish: Wish, found: Facts, first: Any) -> Any:
    bits = wish.bits or found.bits
    crf = CRF[codec] if wish.crf is None else wish.crf
    options = {"crf": f"{crf:g}"}
    if codec == "vp9":
        options["b"] = "0"
    if codec == "av1":
        options |= {"crf": f"{round(crf)}", "preset": "8"}
    stream = out.add_stream(_ENCODERS[codec], rate=found.rate, options=options)
    height, width = first.shape[:2]
    stream.width, stream.height = width + width % 2, height + height % 2
    alpha = wish.alpha and codec == "vp9" and first.shape[2] == 4
    stream.pix_fmt = "yuva420p" if alpha else "yuv420p10le" if bits > 8 else "yuv420p"
    context = stream.codec_context
    context.color_primaries, context.color_trc, context.colorspace = _TAGS[found.space]
    context.color_range = 1
    return stream


def _write_frames(out: Any, stream: Any, pictures: Iterable[Any], found: Facts) -> None:
    import av
    import numpy as np
    from av.video.reformatter import Colorspace

    matrix = Colorspace.ITU709 if found.space == "sRGB" else Colorspace.BT2020
    for index, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        deep, alpha = even.dtype == np.uint16, even.shape[2] == 4
        kind = ("rgba64le" if alpha else "rgb48le") if deep else ("rgba" if alpha else "rgb24")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format=kind)
        frame = frame.reformat(format=stream.pix_fmt, dst_colorspace=matrix, dst_color_range="MPEG")
        frame.pts, frame.time_base = index, Fraction(1) / found.rate
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def _sound_stream(out: Any, wish: Wish, audio: Any) -> tuple[Any, Any, int]:
    waveform, rate = sound_parts(audio)
    codec = _SOUNDS[wish.container][0]
    one = waveform[:1]
    if codec == "libopus" and rate != _OPUS_RATE:
        one, rate = resampled(one, rate, _OPUS_RATE), _OPUS_RATE
    stream = out.add_stream(codec, rate=rate, layout=layout_of(one.shape[1]))
    return stream, one[0], rate
