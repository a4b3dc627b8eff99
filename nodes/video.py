"""Videos from files and to files, made of pictures and taken apart."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from engine.api import Audio, Choice, Choosing, Context, Files, Image, In, Out, Video, WithUi, node
from engine.media.numbered import told_of, write_named
from engine.media.sound import sound_parts
from engine.media.video import ColorSpace, VideoValue, facts, sound, tensor, video_file
from engine.media.video_writing import Codec, Container, Wish, write_video

_IN_FILES = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
FilePrefix = Annotated[
    str, In(tip="Beginning of the file name; a/b makes folders, %date:yyyy-MM-dd% and %Node.input% are filled in.")
]
InputVideo = Annotated[
    str,
    In(
        choices=Files("input", kind="video"),
        options={"video_upload": True},
        tip="A video in the input folder; upload or drop one.",
    ),
]
BitDepth = Annotated[str | int, In(choices=("auto", 8, 10), tip="Bits of a colour; auto: 8, and 10 for HDR.")]


@node("LoadVideo", category="image/video", display_name="Load Video")
def load_video(ctx: Context, file: InputVideo) -> Video:
    """Load a video: its head is read, frames are decoded when a node asks for them. Raises MediaError for what is none."""
    return video_file(ctx.paths.find("input", file))


@node("CreateVideo", category="image/video", display_name="Create Video")
def create_video(
    images: Image,
    fps: Annotated[float, In(ge=1, le=120, step=1, tip="Frames a second.")] = 30.0,
    audio: Annotated[Audio | None, In(tip="The sound of the video.")] = None,
    bit_depth: BitDepth | None = "auto",
    color_space: Annotated[
        ColorSpace | None, In(tip="What the numbers of the pictures mean. HDR: BT.2020 with HLG; HDR PQ: with PQ.")
    ] = "sRGB",
    codec: Annotated[
        Literal["none", "auto", "h264", "av1"] | None,
        In(tip="Kept for saved workflows: videos are encoded when they are saved.", options={"advanced": True}),
    ] = "none",
) -> Video:
    """Make a video of pictures (F, H, W, C), as they follow one another. Raises ValueError for none at all."""
    if not len(images):
        raise ValueError("images: a video needs at least one picture, got none.")
    if audio is not None:
        sound_parts(audio)
    space = color_space or "sRGB"
    bits = (8 if space == "sRGB" else 10) if bit_depth in (None, "auto") else int(bit_depth)
    rate = Fraction(fps).limit_denominator(1001)
    return VideoValue(images=images, audio=audio, rate=(rate.numerator, rate.denominator), bits=bits, space=space)


class Parts(NamedTuple):
    """What a video consists of."""

    images: Image
    audio: Audio
    fps: float
    bit_depth: Annotated[Choice, Out(tip="Bits of a colour: 8 or 10.")]
    color_space: Annotated[Choice, Out(tip="sRGB, HDR or HDR PQ.")]


@node("GetVideoComponents", category="image/video", display_name="Get Video Components")
def get_video_components(video: Video) -> Parts:
    """Give the frames (F, H, W, 3) of a video, its sound (nothing where it has none), and frames a second.

    Raises MediaError where all frames need more memory than is free.
    """
    found = facts(video)
    bits: Any = found.bits
    return Parts(tensor(video), sound(video), float(found.rate), bits, found.space)  # type: ignore[arg-type]


def _encoding(crf: float, most: float) -> dict[str, Any]:
    quality = {"default": crf, "min": 0.0, "max": most, "step": 1.0, "tooltip": "The lower, the better and the larger."}
    again = {"key": "re-encode", "inputs": {"required": {"crf": ["FLOAT", quality]}}}
    return {
        "options": [{"key": "auto", "inputs": {"required": {}}}, again],
        "tooltip": "auto takes a stream of this codec over as it is.",
    }


_CODECS: Final[dict[str, dict[str, Any]]] = {
    "auto": {"key": "auto", "inputs": {"required": {}}},
    "h264": {"key": "h264", "inputs": {"optional": {"encoding": ["COMFY_DYNAMICCOMBO_V3", _encoding(23.0, 51.0)]}}},
    "av1": {"key": "av1", "inputs": {"optional": {"encoding": ["COMFY_DYNAMICCOMBO_V3", _encoding(30.0, 63.0)]}}},
}


def _format(key: str, *codecs: str) -> dict[str, Any]:
    facts_ = {
        "options": [_CODECS[one] for one in codecs],
        "tooltip": "auto takes the source's stream over where it can.",
    }
    return {"key": key, "inputs": {"optional": {"codec": ["COMFY_DYNAMICCOMBO_V3", facts_]}}}


VIDEO_FORMATS: Final[list[dict[str, Any]]] = [
    _format("auto", "auto", "h264", "av1"),
    _format("mp4", "auto", "h264", "av1"),
    _format("mkv", "auto", "h264", "av1"),
    _format("webm", "auto", "av1"),
]
"""Containers, each with the codecs that go into it, and these with their options, as editors read them."""

PassedOn = Annotated[Video, Out(name="video", tip="The same video, for whatever comes after.")]


@node("SaveVideo", category="image/video", display_name="Save Video", output=True, hidden=_IN_FILES)
def save_video(
    ctx: Context,
    video: Video,
    filename_prefix: FilePrefix = "video/ComfyUI",
    *,
    format: Annotated[
        Choosing, In(tip="Kind of file; auto: MP4, and WebM for AV1.", options={"options": VIDEO_FORMATS})
    ],
    codec: Annotated[
        Literal["auto", "h264", "av1"] | None,
        In(tip="Kept for graphs that name it beside the format.", options={"advanced": True}),
    ] = "auto",
) -> WithUi[PassedOn]:
    """Save a video in the output folder, with the workflow inside, and pass it on.

    With `auto`, a file whose stream the container can hold is taken over without loss, unless a part of it is meant; the
    rest is encoded frame by frame.
    """
    wish = wished(format, codec or "auto")
    return WithUi(video, ui=saved(ctx, video, filename_prefix, wish))


def wished(format: Choosing, codec: str) -> Wish:
    """What the choices mean. Raises ValueError for a codec that the container cannot hold."""
    inner = format.get("codec") or {}
    told = inner if isinstance(inner, dict) else {"codec": inner}
    named = told.get("codec", "auto") if told.get("codec", "auto") != "auto" else codec
    container: Container = format["format"] if format["format"] != "auto" else "webm" if named == "av1" else "mp4"
    if container == "webm" and named == "h264":
        raise ValueError("codec: WebM files hold no H.264. Choose av1 or auto, or another format.")
    encoding = told.get("encoding") or {}
    encoding = encoding if isinstance(encoding, dict) else {"encoding": encoding}
    chosen: Codec | None = named if named in ("h264", "av1") else None  # type: ignore[assignment]
    return Wish(container, chosen, encoding.get("crf"), encoding.get("encoding") == "re-encode")


def saved(ctx: Context, video: VideoValue, prefix: str, wish: Wish, folder: str = "output") -> dict[str, Any]:
    """Write it under the next free number; what editors are told of it."""
    told, seal = ctx.embedded, ctx.seal if folder == "output" else None
    home = ctx.paths.directory(folder).resolve()

    def write(part: Path) -> None:
        write_video(video, part, wish, told)

    found = facts(video)
    size = found.width, found.height
    path = write_named(home, prefix, f".{wish.container}", write, ctx.prompt, size=size, seal=seal)
    return {"images": [told_of(path, home, folder)], "animated": [True]}


@node("SaveWEBM", category="image/video", display_name="Save WEBM", output=True, hidden=_IN_FILES, experimental=True)
def save_webm(
    ctx: Context,
    images: Image,
    filename_prefix: FilePrefix = "ComfyUI",
    codec: Annotated[Literal["vp9", "av1"], In(tip="vp9 keeps what is see-through.")] = "vp9",
    fps: Annotated[float, In(ge=0.01, le=1000, step=0.01, tip="Frames a second.")] = 24.0,
    crf: Annotated[float, In(ge=0, le=63, step=1, tip="The lower, the better and the larger.")] = 32.0,
) -> WithUi[Annotated[Image, Out(name="images")]]:
    """Save pictures (F, H, W, C) as a WebM video in the output folder, with the workflow inside, and pass them on."""
    if not len(images):
        raise ValueError("images: a video needs at least one picture, got none.")
    rate = Fraction(fps).limit_denominator(1001)
    video = VideoValue(images=images, rate=(rate.numerator, rate.denominator))
    wish = Wish("webm", codec, crf, again=True, alpha=True)
    return WithUi(images, ui=saved(ctx, video, filename_prefix, wish))
