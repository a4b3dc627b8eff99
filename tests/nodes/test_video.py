"""Videos: frames, sound and times come back from files; parts are exact to a frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import torch

from engine.media.embedded import read_embedded
from engine.media.errors import MediaError
from engine.media.video import VideoValue, facts, frames, is_as_loaded
from nodes.data_set_videos import (
    load_video_data_set,
    load_video_text_data_set,
    shuffle_video_data_set,
    shuffle_video_text_data_set,
)
from nodes.video import create_video, get_video_components, load_video, save_video, save_webm
from nodes.video_edits import video_crop, video_trim
from nodes.video_parts import (
    concatenate_video,
    video_frame_sample,
    video_random_temporal_crop,
    video_slice,
    video_temporal_crop,
)
from tests.nodes.test_audio import tone

FPS = 10
COUNT = 20


def ramp(count: int = COUNT, height: int = 32, width: int = 48, channels: int = 3) -> torch.Tensor:
    """Frames whose grey says which they are: frame n is (n + 1) / 32."""
    level = (torch.arange(count, dtype=torch.float32) + 1) / 32
    return level[:, None, None, None].expand(count, height, width, channels).clone()


def told_by(images: torch.Tensor) -> list[int]:
    """Which frames of `ramp` these are."""
    return [round(float(image[..., :3].mean()) * 32) - 1 for image in images]


@pytest.fixture
def told(bench) -> Any:
    bench.prompt, bench.workflow = {"1": {"class_type": "X", "inputs": {}}}, {"nodes": []}
    return bench


def written(told: Any, video: Any, prefix: str = "v", **choice: Any) -> Any:
    made = save_video(told, video, prefix, format=choice or {"format": "mp4"})
    assert made.values == (video,)
    [one] = made.ui["images"]
    return told.paths.directory("output") / one["subfolder"] / one["filename"]


def loaded(told: Any, path: Any) -> Any:
    (told.paths.directory("input") / path.name).write_bytes(path.read_bytes())
    return load_video(told, path.name)


@pytest.fixture
def file(told) -> Any:
    return loaded(told, written(told, create_video(ramp(), FPS, tone(440, 2.0, 44100)), "ramp"))


@pytest.mark.parametrize(
    ("choice", "suffix", "codec"),
    [
        ({"format": "auto"}, ".mp4", "h264"),
        (
            {"format": "mkv", "codec": {"codec": "h264", "encoding": {"encoding": "re-encode", "crf": 10.0}}},
            ".mkv",
            "h264",
        ),
        ({"format": "auto", "codec": {"codec": "av1"}}, ".webm", "av1"),
        ({"format": "webm"}, ".webm", "av1"),
    ],
)
def test_frames_sound_and_rate_come_back_and_the_workflow_is_inside(told, choice, suffix, codec):
    path = written(told, create_video(ramp(), FPS, tone(440, 2.0, 48000)), "a/b", **choice)
    assert (path.parent.name, path.stem[:6], path.suffix) == ("a", "b_0000", suffix)
    assert read_embedded(path.read_bytes(), "it").workflow == told.workflow
    video = loaded(told, path)
    found = facts(video)
    assert (found.width, found.height, found.rate, found.codec) == (48, 32, FPS, codec)
    images, audio, fps, bits, space = get_video_components(video)
    assert (told_by(images), fps, bits, space) == (list(range(COUNT)), FPS, 8, "sRGB")
    assert audio["waveform"].shape[-1] / audio["sample_rate"] == pytest.approx(2.0, abs=0.06)
    spectrum = torch.fft.rfft(audio["waveform"][0, 0, : audio["sample_rate"]]).abs()
    assert abs(int(spectrum.argmax()) - 440) <= 2


def test_ten_bits_and_high_range_are_kept(told):
    video = create_video(ramp(4), 24.0, color_space="HDR PQ")
    back = get_video_components(loaded(told, written(told, video, "hdr")))
    assert (back.bit_depth, back.color_space) == (10, "HDR PQ")
    assert told_by(back.images) == [0, 1, 2, 3]
    assert float((back.images - ramp(4)).abs().max()) < 3 / 1023


def test_odd_sizes_are_made_even_by_their_edge(told):
    back = get_video_components(loaded(told, written(told, create_video(ramp(3, 31, 47), 5.0), "odd"))).images
    assert (back.shape, told_by(back)) == ((3, 32, 48, 3), [0, 1, 2])


def test_webm_keeps_what_is_see_through(told):
    images = ramp(3, channels=4)
    images[..., 3] = 0.0
    images[:, :16, :, 3] = 1.0
    [one] = save_webm(told, images, "alpha", "vp9", 12.0, 10.0).ui["images"]
    with av.open(str(told.paths.directory("output") / one["filename"])) as opened:
        stream = opened.streams.video[0]
        assert (stream.metadata.get("alpha_mode") or stream.metadata.get("ALPHA_MODE"), stream.average_rate) == (
            "1",
            12,
        )


@pytest.mark.parametrize(
    ("start", "length", "wanted"),
    [
        (0.0, 0.0, range(20)),
        (0.5, 0.5, range(5, 10)),
        (1.0, 0.0, range(10, 20)),
        (-0.3, 0.0, range(17, 20)),
        (1.5, 9.0, range(15, 20)),
    ],
)
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_slice_is_exact_to_a_frame_and_to_its_sound(told, file, start, length, wanted, in_memory):
    given = create_video(ramp(), FPS, tone(440, 2.0, 44100)) if in_memory else file
    part = video_slice(given, start, length, False)
    images, audio, *_ = get_video_components(part)
    assert told_by(images) == list(wanted)
    assert facts(part).frames == len(wanted)
    assert audio["waveform"].shape[-1] / 44100 == pytest.approx(len(wanted) / FPS, abs=0.06)


def test_a_slice_of_a_slice_and_what_is_not_there(told, file):
    inner = video_slice(video_slice(file, 0.5, 1.0, False), 0.2, 0.3, False)
    assert told_by(get_video_components(inner).images) == [7, 8, 9]
    with pytest.raises(ValueError, match="has 2 s, and the part begins at 3 s"):
        video_slice(file, 3.0, 1.0, False)
    with pytest.raises(ValueError, match=r"only 0\.5 s from 1\.5 s on; 1 s are asked for"):
        video_slice(file, 1.5, 1.0, True)


@pytest.mark.parametrize("in_memory", [True, False])
def test_frames_are_counted(told, file, in_memory):
    given = create_video(ramp(), FPS) if in_memory else file

    def of(video: Any) -> list[int]:
        return told_by(get_video_components(video).images)

    assert of(video_temporal_crop(given, 3, 4)) == [3, 4, 5, 6]
    assert of(video_temporal_crop(given, 99, 4)) == [19]
    assert of(video_frame_sample(given, 3, "head", 0)) == [0, 1, 2]
    assert of(video_frame_sample(given, 3, "tail", 0)) == [17, 18, 19]
    assert of(video_frame_sample(given, 5, "uniform", 0)) == [0, 5, 10, 14, 19]
    assert of(video_frame_sample(given, 1, "uniform", 0)) == [10]
    some = of(video_frame_sample(given, 6, "random", 7))
    assert some == sorted(set(some))
    assert len(some) == 6
    assert some == of(video_frame_sample(given, 6, "random", 7)) != of(video_frame_sample(given, 6, "random", 8))
    cut = of(video_random_temporal_crop(given, 5, 3))
    assert cut == list(range(cut[0], cut[0] + 5))
    assert of(video_random_temporal_crop(given, 50, 3)) == list(range(20))


def test_videos_follow_one_another_with_silence_where_one_has_none(told, file):
    made = concatenate_video({"video_1": file, "video_2": create_video(ramp(5), 24.0)})
    images, audio, fps, *_ = get_video_components(made)
    assert (told_by(images), fps) == ([*range(20), *range(5)], FPS)
    assert audio["waveform"].shape[-1] == round(2.5 * 44100)
    assert float(audio["waveform"][..., -20000:].abs().max()) == 0
    assert concatenate_video({"video_1": file}) is file
    with pytest.raises(ValueError, match="video 2 has 64 × 32 pixels and the first 48 × 32"):
        concatenate_video({"video_1": file, "video_2": create_video(ramp(2, 32, 64), 24.0)})


def test_auto_takes_a_stream_over_and_re_encoding_does_not(told, file):
    def packets(path: Any) -> list[bytes]:
        with av.open(str(path)) as opened:
            return [bytes(packet) for packet in opened.demux(video=0) if packet.size]

    source = packets(file.file)
    assert packets(written(told, file, "copied", format="mkv")) == source
    again = {"codec": "h264", "encoding": {"encoding": "re-encode", "crf": 40.0}}
    assert packets(written(told, file, "again", format="mp4", codec=again)) != source
    assert len(packets(written(told, video_slice(file, 0.5, 0.5, False), "part"))) == 5


def test_frames_are_decoded_only_as_far_as_asked(told, file, monkeypatch):
    from engine.media import video as module

    decoded: list[Any] = []
    whole = module._array
    monkeypatch.setattr(module, "_array", lambda frame: decoded.append(frame) or whole(frame))
    taken = frames(file)
    next(taken)
    taken.close()
    assert len(decoded) == 1


def test_a_file_that_changed_or_went_is_told(told, file):
    path = Path(file.file)
    assert is_as_loaded(file)
    path.write_bytes(path.read_bytes() + b"\0")
    assert not is_as_loaded(file)
    with pytest.raises(MediaError, match="has changed since it was loaded"):
        get_video_components(file)
    path.unlink()
    with pytest.raises(MediaError, match="is not there any more"):
        get_video_components(file)


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.mp4", b"text"), ("b.webm", b""), ("c.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0"), ("d.mp4", b"#EXTM3U")],
)
def test_what_is_no_video_is_told_by_name(told, name, data):
    (told.paths.directory("input") / name).write_bytes(data)
    with pytest.raises(MediaError, match=name):
        load_video(told, name)


def test_a_sound_alone_is_no_video_and_no_frames_make_none(told):
    from nodes.audio_io import save_audio

    [one] = save_audio(told, tone(440, 0.1), "alone").ui["audio"]
    path = told.paths.directory("output") / one["filename"]
    (told.paths.directory("input") / "alone.flac").write_bytes(path.read_bytes())
    with pytest.raises(MediaError, match="it is no video"):
        load_video(told, "alone.flac")
    with pytest.raises(ValueError, match="at least one picture"):
        create_video(torch.zeros(0, 8, 8, 3), 24.0)


def test_a_failed_encoding_leaves_no_file(told):
    home = told.paths.directory("output") / "none"
    gone = VideoValue(file=str(home / "x.mp4"))
    with pytest.raises(MediaError):
        save_video(told, gone, "none/x", format={"format": "mp4"})
    assert not home.exists() or list(home.iterdir()) == []
    with pytest.raises(ValueError, match=r"WebM files hold no H\.264"):
        save_video(told, create_video(ramp(1), 24.0), "none/x", format={"format": "webm"}, codec="h264")


def test_rates_are_exact():
    assert Fraction(*create_video(ramp(1), 29.97).rate) == Fraction(2997, 100)


def test_packs_find_the_field_s_methods_and_give_videos_of_their_own(told, file, tmp_path):
    from engine.__main__ import handle_codecs
    from engine.cache.codecs import Codecs
    from engine.plugins.compat.comfy_api import VideoComponents, VideoFromComponents, VideoFromFile, VideoInput

    given = file.get_components()
    assert (told_by(given.images), given.frame_rate, file.get_dimensions()) == (list(range(20)), FPS, (48, 32))
    assert (file.get_frame_count(), file.get_duration()) == (20, pytest.approx(2.0, abs=0.05))
    made = VideoFromComponents(VideoComponents(images=ramp(4), frame_rate=Fraction(24), audio=None))
    part = VideoFromFile(file.file, start_time=0.5, duration=0.2)
    for video in (made, part, file):
        assert isinstance(video, VideoInput)
        codecs = Codecs(handle_codecs())
        again = codecs.decode(b"".join(bytes(piece) for piece in codecs.encode(video)))
        assert told_by(get_video_components(again).images) == told_by(get_video_components(video).images)
    assert told_by(get_video_components(part).images) == [5, 6]
    source = made.get_stream_source()
    assert told_by(VideoFromFile(source).get_components().images) == [0, 1, 2, 3]
    made.save_to(str(tmp_path / "x.mp4"), metadata={"prompt": {"1": {}}})
    assert read_embedded((tmp_path / "x.mp4").read_bytes(), "it").prompt == {"1": {}}
    assert file.as_trimmed(5.0, 1.0) is None


@pytest.mark.parametrize("in_memory", [True, False])
def test_frames_are_cut_by_a_widget_s_rectangle_and_times(told, file, in_memory):
    given = create_video(ramp(), FPS) if in_memory else file
    made = video_crop(told, given, {"x": 8, "y": 4, "width": 16, "height": 12})
    [cut] = made.values
    assert (facts(cut).width, facts(cut).height) == (16, 12)
    assert get_video_components(cut).images.shape == (20, 12, 16, 3)
    assert made.ui["images"][0]["type"] == "temp"
    [again] = video_crop(told, cut, {"x": 2, "y": 2, "width": 4, "height": 4}).values
    assert get_video_components(again).images.shape[1:3] == (4, 4)
    assert video_crop(told, given, {}).values == (given,)
    [part] = video_trim(told, given, {"start_time": 0.5, "duration": 0.3}).values
    assert told_by(get_video_components(part).images) == [5, 6, 7]
    with pytest.raises(ValueError, match=r"16 × 12 pixels at \(40, 4\) is not inside the video, which has 48 × 32"):
        video_crop(told, given, {"x": 40, "y": 4, "width": 16, "height": 12})
    with pytest.raises(ValueError, match="x: expected a number from 0 on, got -1"):
        video_crop(told, given, {"x": -1})


def test_folders_of_videos_are_lists_with_captions_in_an_order_of_the_seed(told, file):
    home = told.paths.directory("input") / "films"
    for name in ("b.mp4", "a.mp4", "2_more/c.mp4"):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Path(file.file).read_bytes())
    (home / "a.txt").write_text(" one \n")
    (home / "2_more" / "c.txt").write_text("three")
    [videos] = load_video_data_set(told, "films")
    assert [Path(video.file).name for video in videos] == ["a.mp4", "b.mp4"]
    videos, texts = load_video_text_data_set(told, "films")
    assert texts == ["one", "", "three", "three"]
    mixed = shuffle_video_text_data_set(videos, texts, [3])
    assert sorted(mixed.texts) == sorted(texts)
    assert [texts[videos.index(video)] for video in mixed.videos] == mixed.texts
    assert shuffle_video_data_set(videos, [3]).videos == mixed.videos
    (home.parent / "bare").mkdir(exist_ok=True)
    with pytest.raises(MediaError, match=r"no videos \(\.avi, .*\) in the folder 'bare'"):
        load_video_data_set(told, "bare")


def test_no_frame_can_be_taken_of_a_video_without_any():
    with pytest.raises(ValueError, match="it has no frames"):
        video_frame_sample(VideoValue(images=torch.zeros(0, 4, 4, 3), rate=(24, 1)), 3, "uniform", 0)


def test_frames_that_are_picked_out_of_memory_are_the_ones_that_were_given():
    images = torch.rand(6, 4, 4, 3, generator=torch.Generator().manual_seed(2))
    picked = video_frame_sample(create_video(images, 24.0, tone(440, 0.1)), 3, "uniform", 0)
    assert torch.equal(picked.images, images[[0, 2, 5]])
    assert picked.audio is None
