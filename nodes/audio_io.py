"""Sounds from files and to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from engine.api import Audio, Choosing, Context, Files, In, Out, Socket, WithUi, node
from engine.media.numbered import told_of, write_named
from engine.media.sound import SoundKind, encoded_sound, read_sound

if TYPE_CHECKING:
    Recording: TypeAlias = str
else:

    class Recording(Socket, io_type="AUDIO_RECORD"):
        """The name of a file that a widget of the editor recorded."""


_IN_FILES = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}

InputSound = Annotated[
    str,
    In(
        choices=Files("input", kind="audio"),
        options={"audio_upload": True},
        tip="A sound in the input folder, or a video for its sound; upload or drop one.",
    ),
]
FilePrefix = Annotated[
    str, In(tip="Beginning of the file name; a/b makes folders, %date:yyyy-MM-dd% and %Node.input% are filled in.")
]
Mp3Quality = Annotated[
    Literal["V0", "128k", "320k"], In(tip="V0: as many bits as each moment needs; else bits a second.")
]
OpusQuality = Annotated[Literal["64k", "96k", "128k", "192k", "320k"], In(tip="Bits a second.")]
PassedOn = Annotated[Audio, Out(name="audio", tip="The same sound, for whatever comes after.")]


@node("LoadAudio", category="audio", display_name="Load Audio")
def load_audio(ctx: Context, audio: InputSound) -> Audio:
    """Load a sound (1, C, T), or the first track of a video's. Raises MediaError for a file without, or of more than 1 GiB."""
    return read_sound(ctx.paths.find("input", audio))


@node("RecordAudio", category="audio", display_name="Record Audio")
def record_audio(
    ctx: Context,
    audio: Annotated[Recording, In(tip="What was recorded in the editor, as a file of the input folder.")],
) -> Audio:
    """Load what was recorded (1, C, T). Raises ValueError when nothing has been."""
    if not audio.strip():
        raise ValueError("audio: nothing has been recorded yet. Record something on the node, then run again.")
    return read_sound(ctx.paths.find("input", audio))


@node("SaveAudio", category="audio", display_name="Save Audio (FLAC)", output=True, hidden=_IN_FILES, deprecated=True)
def save_audio(ctx: Context, audio: Audio, filename_prefix: FilePrefix = "audio/ComfyUI") -> WithUi[PassedOn]:
    """Save each sound of a batch (B, C, T) as a FLAC file (16 bits) in the output folder, with the workflow inside."""
    return _saved(ctx, audio, filename_prefix, "flac")


@node("SaveAudioMP3", category="audio", display_name="Save Audio (MP3)", output=True, hidden=_IN_FILES, deprecated=True)
def save_audio_mp3(
    ctx: Context, audio: Audio, filename_prefix: FilePrefix = "audio/ComfyUI", quality: Mp3Quality = "V0"
) -> WithUi[PassedOn]:
    """Save each sound of a batch (B, C, T) as an MP3 file in the output folder, with the workflow inside."""
    return _saved(ctx, audio, filename_prefix, "mp3", quality)


@node(
    "SaveAudioOpus", category="audio", display_name="Save Audio (Opus)", output=True, hidden=_IN_FILES, deprecated=True
)
def save_audio_opus(
    ctx: Context, audio: Audio, filename_prefix: FilePrefix = "audio/ComfyUI", quality: OpusQuality = "128k"
) -> WithUi[PassedOn]:
    """Save each sound of a batch (B, C, T) as an Opus file in the output folder, with the workflow inside.

    Opus knows few sample rates: others are changed to the next higher one, up to 48 kHz.
    """
    return _saved(ctx, audio, filename_prefix, "opus", quality)


def _qualities(default: str, options: list[str]) -> dict[str, Any]:
    facts = {
        "default": default,
        "options": options,
        "tooltip": "V0: as many bits as each moment needs; else bits a second.",
    }
    return {"required": {"quality": ["COMBO", facts]}}


FORMATS: Final[list[dict[str, Any]]] = [
    {"key": "flac", "inputs": {"required": {}}},
    {"key": "mp3", "inputs": _qualities("V0", ["V0", "128k", "320k"])},
    {"key": "opus", "inputs": _qualities("128k", ["64k", "96k", "128k", "192k", "320k"])},
]
"""Kinds of files, each with the inputs that it brings, as editors read them."""


@node("SaveAudioAdvanced", category="audio", display_name="Save Audio", output=True, hidden=_IN_FILES)
def save_audio_advanced(
    ctx: Context,
    audio: Audio,
    filename_prefix: FilePrefix = "audio/ComfyUI",
    *,
    format: Annotated[Choosing, In(tip="Kind of file.", options={"options": FORMATS})],
) -> WithUi[PassedOn]:
    """Save each sound of a batch (B, C, T) as a file of a chosen kind in the output folder, with the workflow inside."""
    return _saved(ctx, audio, filename_prefix, format["format"], format.get("quality", ""))


@node("PreviewAudio", category="audio", display_name="Preview Audio", output=True, hidden=_IN_FILES)
def preview_audio(ctx: Context, audio: Audio) -> WithUi[PassedOn]:
    """Let a sound (B, C, T) be heard without keeping it, and pass it on."""
    return _saved(ctx, audio, "preview", "flac", folder="temp")


def _saved(
    ctx: Context, audio: Audio, prefix: str, kind: SoundKind, quality: str = "", folder: str = "output"
) -> WithUi[Audio]:
    told = ctx.embedded
    home = ctx.paths.directory(folder).resolve()

    def write(data: bytes) -> Path:
        return write_named(home, prefix, f".{kind}", lambda part: part.write_bytes(data), ctx.prompt)

    files = [told_of(write(data), home, folder) for data in encoded_sound(audio, kind, quality, told)]
    return WithUi(audio, ui={"audio": files})
