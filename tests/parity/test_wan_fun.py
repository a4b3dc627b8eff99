"""Wan Fun's networks, which no library has: their first layer by hand, then the library's blocks one after another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from engine.models.errors import ModelError
from nodes.conditioning import text_encode, with_options
from nodes.wan_camera import wan_camera_embedding, wan_camera_image_to_video
from nodes.wan_fun import wan22_fun_control_to_video, wan_fun_control_to_video, wan_phantom_subject_to_video
from tests.conftest import Bench
from tests.families import Tiny
from tests.parity.test_pipeline_wan import PROMPT, parts, video
from tests.runs import bench_of
from tests.tiny_wan import write

WIDTH, HEIGHT, LENGTH = 48, 32, 9
SIZES = (WIDTH, HEIGHT, LENGTH, 1)
KINDS: dict[str, dict[str, Any]] = {
    "control": {"in_channels": 48},
    "control 2.2": {"in_channels": 52, "reference_channels": 16},
    "camera": {"in_channels": 36, "camera_channels": 24 * 64, "camera_blocks": 1},
    "camera 2.1": {"in_channels": 32, "camera_channels": 24 * 64, "camera_blocks": 1},
    "phantom": {},
}


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


PICTURE, CONTROL = drawn(1, 2, HEIGHT, WIDTH, 3), drawn(2, LENGTH, HEIGHT, WIDTH, 3)
X, T = torch.randn(1, 16, 3, HEIGHT // 8, WIDTH // 8, generator=torch.Generator().manual_seed(5)), torch.tensor([400.0])


@pytest.fixture(scope="module")
def tinies(tmp_path_factory) -> dict[str, Tiny]:
    return {name: write(tmp_path_factory.mktemp("tiny_fun"), **told) for name, told in KINDS.items()}


def latents(tiny: Tiny, pictures: torch.Tensor) -> torch.Tensor:
    """In the network's space."""
    vae = tiny.modules["vae"]
    mean, spread = (
        torch.tensor(getattr(vae.config, name)).view(1, -1, 1, 1, 1) for name in ("latents_mean", "latents_std")
    )
    return (vae.encode(pictures.movedim(-1, 0)[None] * 2 - 1).latent_dist.mean - mean) / spread


def by_hand(module: Any, tokens: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """What the library's blocks make of tokens (1, W, T, h, w): velocity (1, 16, T, 2 h, 2 w)."""
    frames, height, width = tokens.shape[2:]
    places = module.rope(torch.zeros(1, 1, frames, 2 * height, 2 * width))
    time, modulation, text, _ = module.condition_embedder(T, context, None)
    hidden = tokens.flatten(2).mT
    for block in module.blocks:
        hidden = block(hidden, text, modulation.unflatten(1, (6, -1)), places)
    shift, scale = (module.scale_shift_table + time[:, None]).chunk(2, dim=1)
    made = module.proj_out(module.norm_out(hidden) * (1 + scale) + shift)
    made = made.reshape(1, frames, height, width, 2, 2, 16)
    return made.permute(0, 6, 1, 2, 4, 3, 5).reshape(1, 16, frames, 2 * height, 2 * width)


def ours(bench: Bench, model: Any, conditioning: Any) -> torch.Tensor:
    [[context, options]] = conditioning
    with bench.models.use(model) as network:
        given = network.inputs(options, X, True)
        return network(X, T, context, concat=given.pop("concat", None), options=given)


def close(got: torch.Tensor, wanted: torch.Tensor) -> None:
    assert got.shape == wanted.shape == X.shape
    assert float((got - wanted).abs().max()) <= 1e-4


def test_control_and_first_frame_stand_on_channels(tinies):
    tiny, bench = tinies["control"], bench_of(tinies["control"])
    model, clip, vae = parts(bench)
    text = text_encode(bench, PROMPT, clip)
    told = wan_fun_control_to_video(bench, text, text, vae, *SIZES, None, PICTURE[:1], CONTROL).positive
    first = functional.pad(latents(tiny, PICTURE[:1]), (0, 0, 0, 0, 0, 2))
    module = tiny.modules["transformer"]
    tokens = module.patch_embedding(torch.cat([X, latents(tiny, CONTROL), first], dim=1))
    close(ours(bench, model, told), by_hand(module, tokens, told[0][0]))


@pytest.mark.parametrize("picture", [None, PICTURE])
def test_a_picture_to_go_by_is_a_frame_of_tokens_of_its_own(tinies, picture):
    tiny, bench = tinies["control 2.2"], bench_of(tinies["control 2.2"])
    model, clip, vae = parts(bench)
    text = text_encode(bench, PROMPT, clip)
    told = wan22_fun_control_to_video(bench, text, text, vae, *SIZES, picture, CONTROL).positive
    module = tiny.modules["transformer"]
    nothing = torch.zeros(1, 20, *X.shape[2:])  # no frame is known
    tokens = module.patch_embedding(torch.cat([X, latents(tiny, CONTROL), nothing], dim=1))
    seen = torch.zeros_like(X[:, :, 0]) if picture is None else latents(tiny, picture[:1])[:, :, 0]
    tokens = torch.cat([module.ref_conv(seen)[:, :, None], tokens], dim=2)
    close(ours(bench, model, told), by_hand(module, tokens, told[0][0])[:, :, 1:])


@pytest.mark.parametrize("kind", ["camera", "camera 2.1"])
def test_the_path_of_a_camera_is_added_to_the_tokens(tinies, kind):
    tiny, bench = tinies[kind], bench_of(tinies[kind])
    model, clip, vae = parts(bench)
    text = text_encode(bench, PROMPT, clip)
    path = wan_camera_embedding("Zoom In", WIDTH, HEIGHT, LENGTH)[0]
    told = wan_camera_image_to_video(bench, text, text, vae, *SIZES, None, PICTURE[:1], path).positive
    module = tiny.modules["transformer"]
    known = torch.zeros(1, 4, *X.shape[2:])
    known[:, :, 0] = 1.0
    first = functional.pad(latents(tiny, PICTURE[:1]), (0, 0, 0, 0, 0, 2))
    beside = [known, first] if kind == "camera" else [first]
    frames = [functional.pixel_unshuffle(path[:, :, frame], 8) for frame in range(3)]
    adapter = module.control_adapter
    made = [adapter.conv(one) for one in frames]
    [block] = adapter.residual_blocks
    made = [one + block.conv2(block.conv1(one).relu()) for one in made]
    tokens = module.patch_embedding(torch.cat([X, *beside], dim=1)) + torch.stack(made, dim=2)
    got = ours(bench, model, told)
    close(got, by_hand(module, tokens, told[0][0]))
    still = [[told[0][0], {name: value for name, value in told[0][1].items() if name != "camera_conditions"}]]
    assert float((ours(bench, model, still) - got).abs().max()) > 1e-3


def test_a_path_for_another_video_is_refused(tinies):
    bench = bench_of(tinies["camera"])
    model, clip, _ = parts(bench)
    path = wan_camera_embedding("Static", WIDTH, HEIGHT, 5)[0]
    told = with_options(text_encode(bench, PROMPT, clip), camera_conditions=path)
    with pytest.raises(ModelError, match=r"camera_conditions: expected .* 3 latent frames of 48 × 32 pixels"):
        ours(bench, model, told)


def test_subjects_are_frames_behind_the_video(tinies):
    tiny, bench = tinies["phantom"], bench_of(tinies["phantom"])
    model, clip, vae = parts(bench)
    text = text_encode(bench, PROMPT, clip)
    told = wan_phantom_subject_to_video(bench, text, text, vae, *SIZES, PICTURE)
    module = tiny.modules["transformer"]
    subjects = torch.cat([latents(tiny, one[None]) for one in PICTURE], dim=2)
    for conditioning, behind in ((told.positive, subjects), (told.negative_img_text, torch.zeros_like(subjects))):
        tokens = module.patch_embedding(torch.cat([X, behind], dim=2))
        close(ours(bench, model, conditioning), by_hand(module, tokens, text[0][0])[:, :, :3])
    small = wan_phantom_subject_to_video(bench, text, text, vae, 32, 32, LENGTH, 1, PICTURE)
    with pytest.raises(ModelError, match=r"time_dim_concat: expected latents .* as large as the video"):
        video(bench, model, clip, vae, 1.0, change=lambda *_: (small.positive, text))
