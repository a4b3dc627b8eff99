"""What Wan's nodes make of pictures, with an autoencoder whose latents are means of pixels."""

from __future__ import annotations

import json
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional

from engine.datatypes.latent_formats import WAN21
from engine.models.vision import Seen
from nodes import wan, wan_fun, wan_tracks, wan_vace
from nodes.video_latents import empty_hunyuan_latent_video, trim_video_latent

GOOD, BAD = [[torch.zeros(1, 3, 4), {"own": 1}]], [[torch.ones(1, 3, 4), {}]]
WIDTH, HEIGHT, LENGTH = 32, 16, 9
SIZES = (WIDTH, HEIGHT, LENGTH)


class Averaging:
    """A causal autoencoder: of the first picture, then of each four, the mean in every channel."""

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        assert frames.shape[-1] == 3
        pixels = functional.avg_pool2d(frames.mean(-1)[:, None], 8)[:, 0]
        count = 1 + (len(frames) - 1) // 4
        means = [pixels[:1], *(pixels[4 * i + 1 : 4 * i + 5].mean(0, keepdim=True) for i in range(count - 1))]
        return torch.cat(means)[None, None].expand(1, 16, -1, -1, -1).clone()


@contextmanager
def use(_: Any) -> Any:
    yield Averaging()


CTX: Any = SimpleNamespace(models=SimpleNamespace(use=use))
VAE: Any = object()


@pytest.fixture(autouse=True)
def of_wan(monkeypatch) -> None:
    for module in (wan, wan_fun, wan_tracks):
        monkeypatch.setattr(module, "space", lambda vae: WAN21)
    monkeypatch.setattr(wan, "space_of", lambda vae: None)


def plain(value: float, count: int = 1, **sides: int) -> torch.Tensor:
    return torch.full((count, sides.get("height", HEIGHT), sides.get("width", WIDTH), 3), value)


def told(conditioning: Any) -> dict[str, Any]:
    [[_, options]] = conditioning
    return options


def seen(count: int) -> Seen:
    return Seen(torch.zeros(1, 5, 4), torch.zeros(1, 2), torch.arange(count * 4.0).reshape(1, count, 4))


def test_empty_latents_of_videos() -> None:
    assert empty_hunyuan_latent_video(848, 480, 25, 2)["samples"].shape == (2, 16, 7, 60, 106)
    with pytest.raises(ValueError, match="use a smaller width"):
        empty_hunyuan_latent_video(16384, 16384, 16384, 4096)


def test_frames_are_cut_off_the_beginning() -> None:
    latent = {
        "samples": torch.arange(5.0).reshape(1, 1, 5, 1, 1),
        "noise_mask": torch.arange(5.0).reshape(1, 1, 5, 1, 1),
    }
    cut = trim_video_latent(latent, 2)
    assert cut["samples"].flatten().tolist() == cut["noise_mask"].flatten().tolist() == [2, 3, 4]
    assert latent["samples"].shape[2] == 5
    assert trim_video_latent(latent, 0) is latent
    with pytest.raises(ValueError, match="5 of 5 latent frames leave none; use at most 4"):
        trim_video_latent(latent, 5)
    with pytest.raises(ValueError, match=r"latent of a video \(B, C, T, h, w\), got \(1, 4, 8, 8\)"):
        trim_video_latent({"samples": torch.zeros(1, 4, 8, 8)}, 1)


def test_pictures_begin_a_video_whose_rest_is_grey() -> None:
    made = wan.wan_image_to_video(CTX, GOOD, BAD, VAE, *SIZES, 2, seen(5), plain(1.0, 2))
    assert made.latent["samples"].shape == (2, 16, 3, 2, 4)
    for conditioning in (made.positive, made.negative):
        options = told(conditioning)
        assert options["concat_latent_image"][0, 0, :, 0, 0].tolist() == [1.0, 0.625, 0.5]
        assert options["concat_mask"][0, 0, :, 0, 0].tolist() == [0, 1, 1]
        assert options["concat_mask"].shape == (1, 1, 3, 2, 4)
        assert options["clip_vision_output"].penultimate_hidden_states.shape == (1, 5, 4)
    assert told(made.positive)["own"] == 1
    assert told(GOOD) == {"own": 1}


def test_more_pictures_than_the_video_has_are_left_out_and_alpha_too() -> None:
    start = torch.cat([plain(0.25, 40), torch.ones(40, HEIGHT, WIDTH, 1)], dim=-1)
    options = told(wan.wan_image_to_video(CTX, GOOD, BAD, VAE, *SIZES, 1, None, start).positive)
    assert (options["concat_latent_image"] == 0.25).all()
    assert not options["concat_mask"].any()


def test_a_picture_may_stand_in_the_place_of_grey() -> None:
    made = wan.wan_image_to_video(CTX, GOOD, BAD, VAE, *SIZES, 1, None, plain(1.0), plain(0.25, 3))
    assert told(made.positive)["concat_latent_image"][0, 0, :, 0, 0].tolist() == [1.0, 0.25, 0.25]
    nothing = wan.wan_image_to_video(CTX, GOOD, BAD, VAE, *SIZES)
    assert nothing.positive is GOOD


def test_other_proportions_are_cut_about_the_centre() -> None:
    start = plain(0.0, height=16, width=64)
    start[:, :, 16:48] = 1.0
    options = told(wan.wan_image_to_video(CTX, GOOD, BAD, VAE, *SIZES, 1, None, start).positive)
    assert (options["concat_latent_image"][0, 0, 0] == 1.0).all()
    with pytest.raises(ValueError, match="an empty batch"):
        wan.wan_image_to_video(CTX, GOOD, BAD, VAE, *SIZES, 1, None, start[:0])


def test_a_first_and_a_last_picture_are_known_by_places_of_latent_frames() -> None:
    made = wan.wan_first_last_frame_to_video(CTX, GOOD, BAD, VAE, *SIZES, 1, seen(2), seen(3), plain(1.0), plain(0.0))
    options = told(made.negative)
    assert options["concat_latent_image"][0, 0, :, 0, 0].tolist() == [1.0, 0.5, 0.375]
    mask = options["concat_mask"]
    assert mask.shape == (1, 4, 3, 2, 4)
    assert mask[0, :, :, 1, 1].T.flatten().tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0]
    assert options["clip_vision_output"].penultimate_hidden_states.shape == (1, 5, 4)
    last = wan.wan_first_last_frame_to_video(
        CTX, GOOD, BAD, VAE, *SIZES, end_image=plain(0.0), clip_vision_end_image=seen(3)
    )
    assert told(last.positive)["concat_mask"][0, :, 0, 0, 0].tolist() == [1, 1, 1, 1]
    assert told(last.positive)["clip_vision_output"].penultimate_hidden_states.shape == (1, 3, 4)
    fun = wan.wan_fun_inpaint_to_video(CTX, GOOD, BAD, VAE, *SIZES, 1, seen(2), plain(1.0), plain(0.0))
    assert torch.equal(told(fun.positive)["concat_latent_image"], options["concat_latent_image"])


def test_the_latent_of_wan_22_holds_the_first_frames_and_keeps_them() -> None:
    latent = wan.wan22_image_to_video_latent(CTX, VAE, *SIZES, 2, plain(1.0))
    assert latent["samples"].shape == (2, 16, 3, 2, 4)
    assert latent["samples"][:, 0, :, 0, 0].tolist() == [[1, 0, 0]] * 2
    assert latent["noise_mask"][:, 0, :, 0, 0].tolist() == [[0, 1, 1]] * 2
    assert set(wan.wan22_image_to_video_latent(CTX, VAE, *SIZES)) == {"samples"}


def test_an_autoencoder_of_pictures_is_refused(monkeypatch, bench) -> None:
    from nodes.loaders import checkpoint_loader

    monkeypatch.undo()
    _, _, vae = checkpoint_loader(bench, "tiny.safetensors")
    with pytest.raises(ValueError, match=r"expected a VAE of videos.*whose latents have no frames"):
        wan.wan_image_to_video(bench, GOOD, BAD, vae, *SIZES)


def test_control_and_first_frames_stand_beside_one_another() -> None:
    made = wan_fun.wan_fun_control_to_video(CTX, GOOD, BAD, VAE, *SIZES, 1, None, plain(1.0), plain(0.25, 5))
    beside = told(made.positive)["concat_latent_image"]
    mean = WAN21.means[3]
    assert beside.shape == (1, 32, 3, 2, 4)
    assert beside[0, 3, :, 0, 0].tolist() == pytest.approx([0.25, 0.25, mean])
    assert beside[0, 19, :, 0, 0].tolist() == pytest.approx([1.0, mean, mean])
    assert "concat_mask" not in told(made.positive)


def test_the_mask_of_wan_22_fun_stands_between_and_nothing_is_known() -> None:
    made = wan_fun.wan22_fun_control_to_video(CTX, GOOD, BAD, VAE, *SIZES, 1, plain(1.0, 3), plain(0.25, 40))
    options = told(made.positive)
    assert options["concat_mask_index"] == 16
    assert options["concat_mask"].shape == (1, 4, 3, 2, 4)
    assert options["concat_mask"].all()
    assert (options["concat_latent_image"][:, :16] == 0.25).all()
    [reference] = options["reference_latents"]
    assert reference.shape == (1, 16, 1, 2, 4)
    assert "reference_latents" not in told(wan_fun.wan22_fun_control_to_video(CTX, GOOD, BAD, VAE, *SIZES).positive)


def test_subjects_stand_behind_the_video_and_are_nothing_in_the_third_text() -> None:
    pictures = torch.cat([plain(0.25), plain(0.75)])
    made = wan_fun.wan_phantom_subject_to_video(CTX, GOOD, BAD, VAE, *SIZES, 1, pictures)
    for conditioning in (made.positive, made.negative_text):
        assert told(conditioning)["time_dim_concat"][0, 0, :, 0, 0].tolist() == [0.25, 0.75]
    none = told(made.negative_img_text)["time_dim_concat"]
    assert not WAN21.to_network(none).any()
    assert none.shape == (1, 16, 2, 2, 4)


def test_a_control_is_told_in_two_parts_and_its_mask_pixel_by_pixel() -> None:
    mask = torch.zeros(5, HEIGHT, WIDTH)
    mask[:, 0, 1] = 1.0
    made = wan_vace.wan_vace_to_video(CTX, GOOD, BAD, VAE, *SIZES, 1, 0.5, plain(1.0, 5), mask)
    options = told(made.positive)
    frames, pixels = options["vace_frames"][0], options["vace_mask"][0]
    assert (options["vace_strength"], made.trim_latent) == ([0.5], 0)
    assert frames[0, :16, 0, 1, 1].tolist() == [1.0] * 16  # what is kept
    assert frames[0, 16:, 0, 1, 1].tolist() == [0.5] * 16
    assert frames[0, [0, 16], 1, 1, 1].tolist() == [1.0, 0.5]
    assert frames[0, [0, 16], 2, 1, 1].tolist() == [0.5, 0.5]  # beyond both everything is to be made, of grey
    assert pixels.shape == (1, 64, 3, 2, 4)
    for frame in (0, 1):
        assert pixels[0, :, frame, 0, 0].nonzero().flatten().tolist() == [1]
    assert pixels[0, :, 2].all()
    again = wan_vace.wan_vace_to_video(CTX, made.positive, made.negative, VAE, *SIZES)
    assert told(again.positive)["vace_strength"] == [0.5, 1.0]
    assert (told(again.positive)["vace_frames"][1] == 0.5).all()


def test_a_picture_to_go_by_is_a_frame_before_the_others() -> None:
    made = wan_vace.wan_vace_to_video(CTX, GOOD, BAD, VAE, *SIZES, 1, 1.0, None, None, plain(0.25, 2))
    [frames], [pixels] = (told(made.positive)[name] for name in ("vace_frames", "vace_mask"))
    assert made.latent["samples"].shape[2] == frames.shape[2] == pixels.shape[2] == 4
    assert made.trim_latent == 1
    assert frames[0, 3, :, 0, 0].tolist() == [0.25, 0.5, 0.5, 0.5]
    assert frames[0, 19, 0, 0, 0].item() == pytest.approx(WAN21.means[3])
    assert pixels[0, 0, :, 0, 0].tolist() == [0, 1, 1, 1]


def test_points_bring_what_lies_at_their_beginning() -> None:
    """Against one place after another."""
    start = torch.rand(1, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(3))
    tracks = [[{"x": 6.0 + i / 8, "y": 4.0 + k * 5.0} for i in range(121 - 100 * k)] for k in range(2)]
    text = json.dumps(tracks)
    made = wan_tracks.wan_track_to_video(CTX, GOOD, BAD, VAE, text, *SIZES, 1, 30.0, 2, start_image=start)
    options = told(made.positive)
    video = wan.grey(LENGTH, HEIGHT, WIDTH)
    video[0] = start[0]
    latent = WAN21.to_network(Averaging().encode(video))[0]
    got, mask = WAN21.to_network(options["concat_latent_image"])[0], options["concat_mask"]
    assert torch.allclose(got[:, 0], latent[:, 0], atol=1e-5)
    assert not mask[0, 0, 0].any()
    times = [0, 1, 2, 4, 5, 7, 8, 10, 11]  # of 121 at 24 a second those of 16 a second
    grid = [(x, y) for y in torch.linspace(-1, 1, 2).tolist() for x in torch.linspace(-2, 2, 4).tolist()]
    for frame in (1, 2):
        points = []
        for path in tracks:
            four = [path[time] for time in times[4 * frame - 3 : 4 * frame + 1]]
            points.append(
                [sum((p[n] - side / 2) / 8 for p in four) / (4 + 1e-5) for n, side in (("x", WIDTH), ("y", HEIGHT))]
            )
        begins = torch.tensor([[(p[0]["x"] - 16) / 8 / 2, (p[0]["y"] - 8) / 8] for p in tracks]).clamp(-1, 1)
        features = functional.grid_sample(latent[None, :, 0], begins[None, None], align_corners=False)[0, :, 0]
        for number, (x, y) in enumerate(grid):
            weights = [torch.exp(torch.tensor(-30.0 * ((x - a) ** 2 + (y - b) ** 2))) for a, b in points]
            total = sum(weights)
            wanted = sum(features[:, k] * weight for k, weight in enumerate(weights))
            wanted = wanted + latent[:, frame, number // 4, number % 4] * (1 - total.clamp(0, 1))
            assert torch.allclose(got[:, frame, number // 4, number % 4], wanted, atol=1e-4)
            assert mask[0, 0, frame, number // 4, number % 4].item() == pytest.approx(1 - float(total), abs=1e-5)


def test_without_tracks_it_is_a_picture_alone_and_wrong_ones_are_told() -> None:
    def made(text: str, **more: Any) -> Any:
        sizes = {"width": WIDTH, "height": HEIGHT, "length": LENGTH} | more
        return wan_tracks.wan_track_to_video(CTX, GOOD, BAD, VAE, text, **sizes, start_image=plain(1.0))

    picture = wan.wan_image_to_video(CTX, GOOD, BAD, VAE, *SIZES, 1, None, plain(1.0))
    assert torch.equal(told(made("[]").positive)["concat_mask"], told(picture.positive)["concat_mask"])
    assert told(made('[{"x": 1, "y": 2}]').positive)["concat_mask"].shape == (1, 1, 3, 2, 4)
    assert told(made('[{"x": 1, "y": 2}]', length=1).positive)["concat_mask"].shape == (1, 1, 1, 2, 4)
    assert told(made('[[{"x": 1, "y": 2}]]', length=485, batch_size=2).positive)["concat_mask"].shape == (
        2,
        1,
        122,
        2,
        4,
    )
    for text, problem in (
        ("[[", "this is not JSON"),
        ('{"x": 1}', "expected a list of paths, got dict"),
        ("[[]]", "path 1 is"),
        ('[[{"x": 1}]]', "point 1 of path 1 is"),
        ('[[{"x": 1, "y": NaN}]]', "expected an object with numbers"),
        (json.dumps([[{"x": 1, "y": 1}]] * 1025), "1025 paths; 1024 are the most"),
    ):
        with pytest.raises(ValueError, match=problem):
            made(text)
