"""Sounds cut, joined, mixed and equalised: what comes out, sample by sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.media.errors import MediaError
from nodes.audio import (
    audio_adjust_volume,
    audio_concat,
    audio_equalizer_3_band,
    audio_merge,
    empty_audio,
    join_audio_channels,
    split_audio_channels,
    trim_audio_duration,
)

RATE = 8000


def sound(*shape: int, rate: int = RATE, seed: int = 1) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    return {"waveform": torch.rand(*shape, generator=generator) - 0.5, "sample_rate": rate}


def tone(hertz: float, seconds: float = 1.0, rate: int = RATE) -> dict[str, Any]:
    at = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return {"waveform": torch.sin(2 * torch.pi * hertz * at).float()[None, None] * 0.5, "sample_rate": rate}


def loudness(audio: dict[str, Any]) -> float:
    """Root of the mean square of the second half, where filters have settled."""
    waveform = audio["waveform"][..., audio["waveform"].shape[-1] // 2 :]
    return float(waveform.double().square().mean().sqrt())


def test_silence_is_as_long_as_asked_for():
    made = empty_audio(0.5, 44100, 2)
    assert (made["waveform"].shape, made["sample_rate"], float(made["waveform"].abs().sum())) == (
        (1, 2, 22050),
        44100,
        0,
    )
    assert empty_audio(0.0, 44100, 1)["waveform"].shape == (1, 1, 0)
    with pytest.raises(ValueError, match="more than 1 GiB"):
        empty_audio(1e9, 192000, 2)


@pytest.mark.parametrize(
    ("start", "length", "first", "last"),
    [
        (0.0, 0.25, 0, 2000),
        (0.5, 0.25, 4000, 6000),
        (-0.25, 9.0, 6000, 8000),
        (-5.0, 0.5, 0, 4000),
        (0.9, 60.0, 7200, 8000),
    ],
)
def test_a_piece_is_cut_out_in_seconds_from_either_end(start, length, first, last):
    given = sound(2, 2, RATE)
    made = trim_audio_duration(given, start, length)
    assert torch.equal(made["waveform"], given["waveform"][..., first:last])


@pytest.mark.parametrize(("start", "length"), [(1.0, 1.0), (5.0, 1.0), (0.0, 0.0)])
def test_a_piece_of_nothing_is_told(start, length):
    with pytest.raises(ValueError, match="Nothing is left of the sound: it has 1 s"):
        trim_audio_duration(sound(1, 1, RATE), start, length)


def test_sounds_follow_one_another_with_two_channels_and_the_higher_rate():
    one, two = sound(1, 1, 100), sound(1, 2, 50, seed=2)
    made = audio_concat(one, two, "after")["waveform"]
    assert torch.equal(made, torch.cat([one["waveform"].expand(-1, 2, -1), two["waveform"]], -1))
    assert torch.equal(audio_concat(one, two, "before")["waveform"], torch.cat([two["waveform"], made[..., :100]], -1))
    mixed = audio_concat(tone(200, 0.1, 4000), tone(200, 0.1, 8000))
    assert (mixed["sample_rate"], mixed["waveform"].shape) == (8000, (1, 2, 1600))
    middle = mixed["waveform"][0, 0, 200:600] - tone(200, 0.1, 8000)["waveform"][0, 0, 200:600]
    assert float(middle.abs().max()) < 5e-3, "the slower one is the same tone at the higher rate"


@pytest.mark.parametrize(
    ("method", "formula"),
    [
        ("add", lambda a, b: a + b),
        ("mean", lambda a, b: (a + b) / 2),
        ("subtract", lambda a, b: a - b),
        ("multiply", lambda a, b: a * b),
    ],
)
def test_sounds_are_laid_over_one_another(method, formula):
    one, two = sound(1, 2, 100), sound(1, 2, 60, seed=2)
    made = audio_merge(one, two, method)["waveform"]
    a, b = one["waveform"].numpy(), np.pad(two["waveform"].numpy(), ((0, 0), (0, 0), (0, 40)))
    np.testing.assert_allclose(made.numpy(), formula(a, b), atol=1e-7)


def test_what_gets_too_loud_is_made_quieter_as_a_whole():
    loud = {"waveform": torch.tensor([[[0.9, -0.3, 0.1]]]), "sample_rate": 10}
    made = audio_merge(loud, loud, "add")["waveform"]
    torch.testing.assert_close(made[0, 0], torch.tensor([1.8, -0.6, 0.2]) / 1.8)


def test_channels_that_cannot_be_matched_are_told():
    with pytest.raises(ValueError, match="3 and 4 channels"):
        audio_concat(sound(1, 3, 10), sound(1, 4, 10))
    with pytest.raises(ValueError, match="batches of 2 and 3"):
        audio_concat(sound(2, 1, 10), sound(3, 1, 10))


def test_decibels():
    given = sound(1, 2, 10)
    assert torch.equal(audio_adjust_volume(given, 20)["waveform"], given["waveform"] * 10)
    assert torch.equal(audio_adjust_volume(given, 0)["waveform"], given["waveform"])


def test_channels_are_split_and_joined():
    given = sound(2, 2, 50)
    left, right = split_audio_channels(given)
    assert torch.equal(join_audio_channels(left, right)["waveform"], given["waveform"])
    short = {"waveform": right["waveform"][..., :20], "sample_rate": RATE}
    assert join_audio_channels(left, short)["waveform"].shape == (2, 2, 20)
    with pytest.raises(ValueError, match="this sound has 1"):
        split_audio_channels(left)
    with pytest.raises(ValueError, match="audio_left: a channel is a sound of one channel, this one has 2"):
        join_audio_channels(given, right)


@pytest.mark.parametrize(
    ("band", "inside", "outside"),
    [
        ({"low_gain_dB": 12.0, "low_freq": 400}, 20, 3000),
        ({"mid_gain_dB": -12.0, "mid_freq": 1000, "mid_q": 2.0}, 1000, 20),
        ({"high_gain_dB": 6.0, "high_freq": 1000}, 3900, 20),
    ],
)
def test_each_band_changes_its_tones_by_its_gain_and_leaves_the_others(band, inside, outside):
    gain = next(value for name, value in band.items() if "gain" in name)
    for hertz, wanted in ((inside, gain), (outside, 0.0)):
        given = tone(hertz, 2.0)
        made = audio_equalizer_3_band(given, **band)
        assert 20 * np.log10(loudness(made) / loudness(given)) == pytest.approx(wanted, abs=0.3), hertz


def test_no_gain_is_no_filter_and_a_band_past_the_sound_is_told():
    given = sound(1, 2, 100)
    torch.testing.assert_close(audio_equalizer_3_band(given)["waveform"], given["waveform"])
    with pytest.raises(
        ValueError, match="highshelf at 5000 Hz: a sound of 8000 samples a second has tones up to 4000 Hz"
    ):
        audio_equalizer_3_band(given, high_gain_dB=3.0)


@pytest.mark.parametrize("wrong", [None, {"waveform": torch.zeros(3), "sample_rate": 1}, torch.zeros(1)])
def test_what_is_no_sound_is_told(wrong):
    with pytest.raises(MediaError, match="sound"):
        audio_adjust_volume(wrong, 1)
