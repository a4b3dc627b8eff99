"""Sounds from files and to files: what was written comes back, with the workflow."""

from __future__ import annotations

import wave
from typing import Any

import pytest
import torch

from engine.media.embedded import read_embedded
from engine.media.errors import MediaError
from nodes.audio_io import (
    load_audio,
    preview_audio,
    record_audio,
    save_audio,
    save_audio_advanced,
    save_audio_mp3,
    save_audio_opus,
)
from tests.nodes.test_audio import tone


@pytest.fixture
def told(bench) -> Any:
    bench.prompt, bench.workflow = {"1": {"class_type": "X", "inputs": {}}}, {"nodes": []}
    return bench


def paths_of(bench: Any, made: Any) -> list[Any]:
    return [bench.paths.directory(one["type"]) / one["subfolder"] / one["filename"] for one in made.ui["audio"]]


def load(bench: Any, path: Any) -> dict[str, Any]:
    home = bench.paths.directory("input")
    (home / path.name).write_bytes(path.read_bytes())
    return load_audio(bench, path.name)


def stereo(rate: int) -> dict[str, Any]:
    return {
        "waveform": torch.cat([tone(440, 0.5, rate)["waveform"], tone(880, 0.5, rate)["waveform"]], 1),
        "sample_rate": rate,
    }


def test_flac_gives_back_what_was_saved_to_sixteen_bits(told):
    given = stereo(44100)
    [path] = paths_of(told, save_audio(told, given, "a/flac"))
    assert (path.parent.name, path.suffix) == ("a", ".flac")
    back = load(told, path)
    assert (back["sample_rate"], back["waveform"].shape) == (44100, given["waveform"].shape)
    assert float((back["waveform"] - given["waveform"]).abs().max()) <= 1 / 32768
    assert read_embedded(path.read_bytes(), "it").prompt == told.prompt


@pytest.mark.parametrize(
    ("save", "rate", "kept"),
    [
        (lambda told, given: save_audio_mp3(told, given, "mp3"), 44100, 44100),
        (lambda told, given: save_audio_mp3(told, given, "mp3b", "320k"), 44100, 44100),
        (lambda told, given: save_audio_opus(told, given, "opus", "128k"), 44100, 48000),
        (
            lambda told, given: save_audio_advanced(told, given, "adv", format={"format": "opus", "quality": "64k"}),
            48000,
            48000,
        ),
    ],
)
def test_lossy_files_sound_alike_and_carry_the_workflow(told, save, rate, kept):
    given = stereo(rate)
    [path] = paths_of(told, save(told, given))
    found = read_embedded(path.read_bytes(), "it")
    assert (found.prompt, found.workflow) == (told.prompt, told.workflow)
    back = load(told, path)
    assert back["sample_rate"] == kept
    for channel, hertz in ((0, 440), (1, 880)):
        spectrum = torch.fft.rfft(back["waveform"][0, channel, : kept // 2]).abs()
        assert abs(int(spectrum.argmax()) * 2 - hertz) <= 4


def test_each_of_a_batch_is_a_file_of_its_own(told):
    batch = {"waveform": torch.cat([tone(300, 0.1)["waveform"]] * 3), "sample_rate": 8000}
    paths = paths_of(told, save_audio(told, batch, "batch"))
    assert len({path.name for path in paths}) == 3
    assert all(path.name.startswith("batch_") for path in paths)
    [*heard] = paths_of(told, preview_audio(told, batch))
    assert {path.parent.name for path in heard} == {"temp"}


def test_wave_files_are_read(told):
    with wave.open(str(told.paths.directory("input") / "w.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((torch.arange(-100, 100) * 100).to(torch.int16).numpy().tobytes())
    found = record_audio(told, "w.wav")
    torch.testing.assert_close(found["waveform"][0, 0], torch.arange(-100, 100) * 100 / 32768)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("text.mp3", b"not a sound", "no sound or video"),
        ("list.m4a", b"#EXTM3U\nsomething\n", "no sound or video"),
        ("cut.flac", b"fLaC\0\0", "cannot be read"),
        ("empty.wav", b"", "no sound or video"),
    ],
)
def test_files_that_are_no_sound_are_told_by_name(told, name, data, words):
    (told.paths.directory("input") / name).write_bytes(data)
    with pytest.raises(MediaError, match=rf"{name}.*{words}"):
        load_audio(told, name)


def test_nothing_recorded_and_no_sound_are_told(told):
    with pytest.raises(ValueError, match="nothing has been recorded"):
        record_audio(told, "")
    with pytest.raises(MediaError, match="it is nothing"):
        save_audio(told, None, "x")
    with pytest.raises(MediaError, match="9 channels"):
        save_audio(told, {"waveform": torch.zeros(1, 9, 10), "sample_rate": 8000}, "x")
