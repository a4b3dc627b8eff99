"""Sound from files and to files, by FFmpeg (PyAV): bounded before decoding, written whole or not at all.

A sound is what nodes pass as AUDIO: a dict with `waveform`, float32 (B, C, T) in -1..1, and `sample_rate` in Hz.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from engine.media.errors import MediaError
from engine.media.types import TYPES, sniffed

if TYPE_CHECKING:
    from av.container import InputContainer
    from torch import Tensor

SoundKind = Literal["flac", "mp3", "opus"]

MAX_SAMPLES: Final = 1 << 28
"""Numbers that a sound may have, all channels together: 1 GiB as float32, 50 minutes of stereo at 44.1 kHz."""

MAX_RATE: Final = 768_000
OPUS_RATES: Final = (8_000, 12_000, 16_000, 24_000, 48_000)

_FORMATS: Final = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "audio/mp4": "mp4",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
    "video/ogg": "ogg",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/mpeg": "mp3",
    "audio/aac": "aac",
    "image/gif": "gif",
    "video/x-msvideo": "avi",
}
"""Media type → FFmpeg's name of the reader: it is never left to guess, as some readers open further files that a file names."""

_WRITERS: Final[Mapping[SoundKind, tuple[str, str]]] = {
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "opus": ("ogg", "libopus"),
}


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """The file open for reading, by the reader that its first bytes call for.

    Raises MediaError for a file that is not there, is none of the kinds that are read, or is broken (also while it is read
    in the block).
    """
    import av

    try:
        with path.open("rb") as file:
            head = file.read(64)
            file.seek(0)
            with av.open(file, format=_reader(path, head), metadata_errors="ignore") as container:
                yield container
    except av.FFmpegError as error:
        raise MediaError(f"{path.name} cannot be read: {error.strerror or error}. Is the file whole?") from error
    except OSError as error:
        raise MediaError(f"{path.name} cannot be opened: {error.strerror or error}.") from error


def _reader(path: Path, head: bytes) -> str:
    kind = (
        "video/x-msvideo"
        if head[:4] == b"RIFF" and head[8:12] == b"AVI "
        else sniffed(head, TYPES.get(path.suffix, ""))
    )
    if kind not in _FORMATS:
        raise MediaError(
            f"{path.name} is no sound or video: its first bytes are those of {kind or 'no known kind'}. "
            f"Give a file of one of these kinds: mp4, mov, mkv, webm, avi, gif, flac, mp3, ogg, opus, wav, m4a, aac."
        )
    return _FORMATS[kind]


def read_sound(path: Path) -> dict[str, Any]:
    """The sound of a file, of a video its first track, as AUDIO (1, C, T).

    Raises MediaError when there is none, it is broken, or longer than MAX_SAMPLES.
    """
    with opened(path) as container:
        sound = sound_of(container, path.name)
    if sound is None:
        raise MediaError(f"{path.name} has no sound.")
    return sound


def sound_of(container: InputContainer, name: str, start: float = 0.0, stop: float = math.inf) -> dict[str, Any] | None:
    """The first track of sound from `start` to `stop` seconds as AUDIO (1, C, T), or None where there is none.

    Raises MediaError for more than MAX_SAMPLES.
    """
    import av
    import numpy as np
    import torch

    if not container.streams.audio:
        return None
    stream = container.streams.audio[0]
    rate, layout = stream.codec_context.sample_rate, stream.codec_context.layout
    if not 0 < rate <= MAX_RATE:
        raise MediaError(f"{name}: a sample rate of {rate} Hz is none that is read (1 to {MAX_RATE}).")
    resampler = av.AudioResampler(format="fltp", layout=layout.name, rate=rate)
    pieces: list[Any] = []
    place, total = None, 0
    for frame in _decoded(container, stream, start):
        for even in resampler.resample(frame):
            if place is None:
                place = (frame.time or 0.0) * rate
            array = even.to_ndarray()
            begin, end = place, place + array.shape[1]
            place = end
            cut = array[:, max(0, round(start * rate - begin)) : max(0, _until(stop, rate, begin, array.shape[1]))]
            pieces.append(cut)
            total += cut.size
            if total > MAX_SAMPLES:
                raise MediaError(
                    f"{name} has more than {MAX_SAMPLES:,} samples of sound ({MAX_SAMPLES / rate / 60:.0f} minutes of one "
                    f"channel at its rate), which would need more than 1 GiB. Cut it first."
                )
        if place is not None and place >= stop * rate:
            break
    if not total:
        return {"waveform": torch.zeros(1, max(1, layout.nb_channels), 0), "sample_rate": rate}
    return {"waveform": torch.from_numpy(np.concatenate(pieces, axis=1))[None], "sample_rate": rate}


def _until(stop: float, rate: int, begin: float, length: int) -> int:
    return length if math.isinf(stop) else min(length, round(stop * rate - begin))


def _decoded(container: InputContainer, stream: Any, start: float) -> Iterator[Any]:
    if start > 1.0:  # seeking is to a place before the one that is meant
        container.seek(int((start - 1.0) / stream.time_base), stream=stream)
    yield from container.decode(stream)


def resampled(waveform: Tensor, rate: int, wanted: int) -> Tensor:
    """The waveform (B, C, T) at another rate (B, C, ceil(T × wanted / rate)), by a polyphase filter (scipy's, Kaiser window)."""
    if rate == wanted:
        return waveform
    import torch
    from scipy.signal import resample_poly

    common = math.gcd(rate, wanted)
    changed = resample_poly(waveform.float().cpu().numpy(), wanted // common, rate // common, axis=-1)
    return torch.from_numpy(changed).to(torch.float32)


def encoded_sound(
    audio: Mapping[str, Any], kind: SoundKind, quality: str = "", told: Mapping[str, Any] | None = None
) -> list[bytes]:
    """One file's bytes for each sound of a batch. FLAC has 16 bits; Opus the next of its rates.

    `quality`: "V0" (variable bit rate) or bits a second, "128k". `told`: documents that the file carries, by name.
    Raises MediaError for what is no sound, and for more channels than the kind can have.
    """
    waveform, rate = sound_parts(audio)
    if kind == "opus" and rate not in OPUS_RATES:
        wanted = next((one for one in OPUS_RATES if one > rate), OPUS_RATES[-1])
        waveform, rate = resampled(waveform, rate, wanted), wanted
    return [_encoded(one, rate, kind, quality, told or {}) for one in waveform]


def sound_parts(audio: Any) -> tuple[Tensor, int]:
    """Waveform (B, C, T) and rate in Hz of a value. Raises MediaError for what is no sound or has no channel."""
    from torch import Tensor

    if not isinstance(audio, Mapping) or not isinstance(audio.get("waveform"), Tensor):
        raise MediaError(f"Here should be a sound (AUDIO); it is {_named(audio)}. Is the video one without sound?")
    waveform, rate = audio["waveform"], int(audio["sample_rate"])
    if waveform.ndim != 3 or not waveform.shape[1]:
        raise MediaError(
            f"A sound is (batch, channels, samples) with a channel at least; this is {tuple(waveform.shape)}."
        )
    return waveform, rate


def _named(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _encoded(waveform: Tensor, rate: int, kind: SoundKind, quality: str, told: Mapping[str, Any]) -> bytes:
    import av

    form, codec = _WRITERS[kind]
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=form) as container:
            container.metadata.update({name: json.dumps(value) for name, value in told.items()})
            stream = container.add_stream(codec, rate=rate, layout=layout_of(waveform.shape[0]))
            if quality == "V0":
                stream.codec_context.options = {"qscale": "0"}
            elif quality:
                stream.bit_rate = int(quality.removesuffix("k")) * 1000
            write_sound(container, stream, waveform, rate)
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"The sound ({waveform.shape[0]} channels, {rate} Hz) cannot be written as {kind}: {error}."
        ) from error
    return file.getvalue()


def layout_of(channels: int) -> str:
    """FFmpeg's name of an arrangement of channels. Raises MediaError for more than eight."""
    names = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1")
    if not 0 < channels <= len(names):
        raise MediaError(f"A sound of {channels} channels cannot be written to a file: it may have 1 to {len(names)}.")
    return names[channels - 1]


_CHUNK: Final = 1 << 16


def write_sound(container: Any, stream: Any, waveform: Tensor, rate: int) -> None:
    """Encode a waveform (C, T) into an open file, a piece at a time."""
    import av
    import numpy as np

    layout = layout_of(waveform.shape[0])
    samples = waveform.detach().float().clamp(-1, 1).cpu().numpy()
    for start in range(0, samples.shape[1], _CHUNK):
        piece = np.ascontiguousarray(samples[:, start : start + _CHUNK])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
