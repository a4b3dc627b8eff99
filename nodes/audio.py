"""Sounds made, cut, joined, mixed and equalised, without models."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Tensor

from engine.api import Audio, In, node
from engine.media.sound import MAX_SAMPLES, resampled, sound_parts
from engine.media.sound_mixing import fitted, repeated

LONGEST = float(0xFFFFFFFFFFFFFFFF)


def _sound(waveform: Tensor, rate: int) -> dict[str, Any]:
    return {"waveform": waveform, "sample_rate": rate}


@node("EmptyAudio", category="audio", display_name="Empty Audio")
def empty_audio(
    duration: Annotated[float, In(ge=0, le=LONGEST, step=0.01, tip="Seconds.")] = 60.0,
    sample_rate: Annotated[int, In(ge=1, le=192000, tip="Samples a second.")] = 44100,
    channels: Annotated[int, In(ge=1, le=2, tip="1 for mono, 2 for stereo.")] = 2,
) -> Audio:
    """Make silence (1, channels, duration × sample_rate). Raises ValueError for more than 1 GiB of it."""
    length = round(duration * sample_rate)
    if length * channels > MAX_SAMPLES:
        most = MAX_SAMPLES / sample_rate / channels
        raise ValueError(
            f"duration: {duration:g} s would need more than 1 GiB; at this rate at most {most:.0f} s are made."
        )
    return _sound(torch.zeros(1, channels, length), sample_rate)


@node("TrimAudioDuration", category="audio", display_name="Trim Audio Duration")
def trim_audio_duration(
    audio: Audio,
    start_index: Annotated[
        float, In(ge=-LONGEST, le=LONGEST, step=0.01, tip="Seconds from the start; below 0 from the end.")
    ] = 0.0,
    duration: Annotated[float, In(ge=0, le=LONGEST, step=0.01, tip="Seconds.")] = 60.0,
) -> Audio:
    """Cut a piece out of a sound (B, C, T), as far as it goes. Raises ValueError where nothing is left."""
    waveform, rate = sound_parts(audio)
    length = waveform.shape[-1]
    first = round(start_index * rate)
    start = min(max(first + length if first < 0 else first, 0), length)
    stop = min(start + round(duration * rate), length)
    if start >= stop:
        raise ValueError(
            f"Nothing is left of the sound: it has {length / rate:g} s, and the piece from {start_index:g} s of "
            f"{duration:g} s is empty. Start earlier or take more."
        )
    return _sound(waveform[..., start:stop].clone(), rate)


@node("AudioConcat", category="audio", display_name="Concatenate Audio")
def audio_concat(
    audio1: Audio,
    audio2: Audio,
    direction: Annotated[Literal["after", "before"], In(tip="Where the second one comes.")] = "after",
) -> Audio:
    """Put two sounds (B, C, T) behind one another, at the higher of their rates; one channel counts as two."""
    first, second, rate = fitted(audio1, audio2)
    return _sound(torch.cat([first, second] if direction == "after" else [second, first], dim=-1), rate)


@node("AudioMerge", category="audio", display_name="Merge Audio")
def audio_merge(
    audio1: Audio,
    audio2: Audio,
    merge_method: Annotated[
        Literal["add", "mean", "subtract", "multiply"], In(tip="What is done with each two samples.")
    ] = "add",
) -> Audio:
    """Lay a second sound over the first (B, C, T), whose length it is cut or filled with silence to.

    At the higher of their rates. What gets louder than 1 is made quieter as a whole.
    """
    first, second, rate = fitted(audio1, audio2)
    length = first.shape[-1]
    second = torch.nn.functional.pad(second[..., :length], (0, max(0, length - second.shape[-1])))
    match merge_method:
        case "add":
            merged = first + second
        case "mean":
            merged = (first + second) / 2
        case "subtract":
            merged = first - second
        case "multiply":
            merged = first * second
    peak = merged.abs().max() if merged.numel() else torch.tensor(0.0)
    return _sound(merged / peak if peak > 1 else merged, rate)


@node("AudioAdjustVolume", category="audio", display_name="Audio Adjust Volume")
def audio_adjust_volume(
    audio: Audio,
    volume: Annotated[int, In(ge=-100, le=100, tip="Decibels: 6 is twice as loud, -6 half.")] = 1,
) -> Audio:
    """Make a sound (B, C, T) louder or quieter: × 10^(volume / 20). Nothing is cut off here, but in files beyond 1."""
    waveform, rate = sound_parts(audio)
    return _sound(waveform * 10 ** (volume / 20), rate)


class Sides(NamedTuple):
    """Both channels."""

    left: Audio
    right: Audio


@node("SplitAudioChannels", category="audio", display_name="Split Audio Channels")
def split_audio_channels(audio: Audio) -> Sides:
    """Give the two channels of a sound (B, 2, T) as sounds (B, 1, T). Raises ValueError for another number of them."""
    waveform, rate = sound_parts(audio)
    if waveform.shape[1] != 2:
        raise ValueError(f"audio: two channels are split, this sound has {waveform.shape[1]}.")
    return Sides(_sound(waveform[:, :1].clone(), rate), _sound(waveform[:, 1:].clone(), rate))


@node("JoinAudioChannels", category="audio", display_name="Join Audio Channels")
def join_audio_channels(audio_left: Audio, audio_right: Audio) -> Audio:
    """Make two sounds (B, 1, T) the channels of one (B, 2, T), at the higher rate and the shorter length."""
    (left, rate1), (right, rate2) = sound_parts(audio_left), sound_parts(audio_right)
    for name, one in (("audio_left", left), ("audio_right", right)):
        if one.shape[1] != 1:
            raise ValueError(f"{name}: a channel is a sound of one channel, this one has {one.shape[1]}.")
    rate = max(rate1, rate2)
    left, right = resampled(left, rate1, rate), resampled(right, rate2, rate)
    batch, length = max(left.shape[0], right.shape[0]), min(left.shape[-1], right.shape[-1])
    pair = [repeated(left, batch)[..., :length], repeated(right, batch)[..., :length].to(left)]
    return _sound(torch.cat(pair, dim=1), rate)


Gain = Annotated[float, In(ge=-24, le=24, step=0.1, tip="Decibels.")]


@node("AudioEqualizer3Band", category="audio", display_name="Audio Equalizer (3-Band)")
def audio_equalizer_3_band(
    audio: Audio,
    low_gain_dB: Gain = 0.0,
    low_freq: Annotated[int, In(ge=20, le=500, tip="Hz below which the first gain holds.")] = 100,
    mid_gain_dB: Gain = 0.0,
    mid_freq: Annotated[int, In(ge=200, le=4000, tip="Hz about which the second gain holds.")] = 1000,
    mid_q: Annotated[float, In(ge=0.1, le=10, step=0.1, tip="How narrow the second band is.")] = 0.707,
    high_gain_dB: Gain = 0.0,
    high_freq: Annotated[int, In(ge=1000, le=15000, tip="Hz above which the third gain holds.")] = 5000,
) -> Audio:
    """Change low, middle and high tones of a sound (B, C, T): a low shelf, a peak and a high shelf, one after another.

    Biquad filters of Bristow-Johnson's Audio EQ Cookbook; both shelves have a Q of 0.707 (inferred). A gain of 0 is no
    filter. Raises ValueError for a band at or above half the sample rate.
    """
    from engine.media.equalizer import equalized

    waveform, rate = sound_parts(audio)
    bands = [("lowshelf", low_freq, low_gain_dB, 0.707), ("peak", mid_freq, mid_gain_dB, mid_q)]
    bands.append(("highshelf", high_freq, high_gain_dB, 0.707))
    return _sound(equalized(waveform, rate, [band for band in bands if band[2]]), rate)
