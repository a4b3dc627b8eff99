"""Wan's videos from pictures: by our nodes and by diffusers' pipelines, whose networks have the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes.clip_vision import clip_vision_encode, clip_vision_loader
from nodes.conditioning import text_encode, with_options
from nodes.wan import wan22_image_to_video_latent, wan_first_last_frame_to_video, wan_image_to_video
from tests.families import Tiny
from tests.parity.test_pipeline_wan import (
    FRAMES,
    HEIGHT,
    NEGATIVE,
    PROMPT,
    WIDTH,
    empty,
    frames_of,
    parts,
    scheduler,
    video,
)
from tests.runs import SEED, STEPS, bench_of
from tests.tiny_wan import SEEN, write

SIZES = (WIDTH, HEIGHT, FRAMES, 1)
START, END = (torch.rand(1, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(seed)) for seed in (3, 4))
KINDS: dict[str, dict[str, Any]] = {
    "2.1": {"in_channels": 36, "image_dim": SEEN, "sees": True},
    "2.1, first and last": {"in_channels": 36, "image_dim": SEEN, "sees": True, "pos_embed_seq_len": 514},
    "2.2": {"in_channels": 36},
}


@pytest.fixture(scope="module")
def tinies(tmp_path_factory) -> dict[str, Tiny]:
    made = {name: write(tmp_path_factory.mktemp("tiny_wan"), **told) for name, told in KINDS.items()}
    return made | {"5B": write(tmp_path_factory.mktemp("tiny_wan"), second=True)}


@pytest.fixture(autouse=True)
def words_as_they_are(monkeypatch) -> None:
    """The pipeline asks a package to mend the prompt's letters, which need no mending."""
    from diffusers.pipelines.wan import pipeline_wan_i2v

    monkeypatch.setattr(pipeline_wan_i2v, "prompt_clean", str.strip)


def plain(tiny: Tiny) -> Any:
    """The library's own network with these weights."""
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

    module = tiny.modules["transformer"]
    network = WanTransformer3DModel.from_config(module.config)
    network.load_state_dict(module.state_dict())
    return network.eval().requires_grad_(False)


def seen(tiny: Tiny, picture: torch.Tensor) -> torch.Tensor:
    from engine.models.vision import preprocess

    return tiny.modules["image_encoder"](preprocess(picture, 32, crop=False), output_hidden_states=True).hidden_states[
        -2
    ]


def theirs(tiny: Tiny, model: Any, cfg: float, *, last: bool = False, expand: bool = False) -> torch.Tensor:
    from diffusers.pipelines.wan.pipeline_wan_i2v import WanImageToVideoPipeline

    class Seeing(WanImageToVideoPipeline):
        """With pictures made ready for CLIP as ours are: that is tested elsewhere."""

        def encode_image(self, image: Any, device: Any = None) -> torch.Tensor:
            return torch.cat([seen(tiny, one) for one in ((START, END) if last else (START,))])

    told: dict[str, Any] = {"last_image": END.movedim(-1, 1)} if last else {}
    vae, text_encoder = tiny.modules["vae"], tiny.modules["text_encoder"]
    pipeline = Seeing(
        scheduler=scheduler(model), transformer=plain(tiny), vae=vae, text_encoder=text_encoder,
        expand_timesteps=expand, **tiny.tokenizers,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    found = pipeline(
        START.movedim(-1, 1), PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS, guidance_scale=cfg,
        latents=initial_noise(empty(model), SEED), height=HEIGHT, width=WIDTH, num_frames=FRAMES, output_type="latent",
        **told,
    ).frames  # fmt: skip
    return frames_of(tiny, found)


@pytest.mark.parametrize("kind", ["2.1", "2.2"])
@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_a_picture_gives_the_pipelines_video(tinies, kind, cfg):
    tiny, bench = tinies[kind], bench_of(tinies[kind])
    model, clip, vae = parts(bench)
    output = None
    if kind == "2.1":
        output = clip_vision_encode(bench, clip_vision_loader(bench, "clip_vision_h.safetensors"), START, "none")

    def change(good, bad):
        return wan_image_to_video(bench, good, bad, vae, *SIZES, output, START)[:2]

    got = video(bench, model, clip, vae, cfg, change=change)
    assert float((got - theirs(tiny, model, cfg)).abs().max()) <= 1e-4
    assert float((got - video(bench, model, clip, vae, cfg)).abs().max()) > 1e-3


@pytest.mark.parametrize("kind", ["2.1, first and last", "2.2"])
def test_a_first_and_a_last_picture_give_the_pipelines_video(tinies, kind):
    tiny, bench = tinies[kind], bench_of(tinies[kind])
    model, clip, vae = parts(bench)
    outputs = [None, None]
    if kind != "2.2":
        encoder = clip_vision_loader(bench, "clip_vision_h.safetensors")
        outputs = [clip_vision_encode(bench, encoder, one, "none") for one in (START, END)]

    def change(good, bad):
        return wan_first_last_frame_to_video(bench, good, bad, vae, *SIZES, *outputs, START, END)[:2]

    got = video(bench, model, clip, vae, 3.0, change=change)
    assert float((got - theirs(tiny, model, 3.0, last=True)).abs().max()) <= 1e-4


def test_a_picture_in_the_latent_of_the_5b_model_gives_the_pipelines_video(tinies):
    tiny, bench = tinies["5B"], bench_of(tinies["5B"])
    model, clip, vae = parts(bench, vae="wan2.2_vae.safetensors")
    latent = wan22_image_to_video_latent(bench, vae, *SIZES, START)
    assert latent["samples"].shape == (1, 48, 3, HEIGHT // 16, WIDTH // 16)
    got = video(bench, model, clip, vae, 3.0, latent)
    assert float((got - theirs(tiny, model, 3.0, expand=True)).abs().max()) <= 1e-4
    assert float((got - video(bench, model, clip, vae, 3.0)).abs().max()) > 1e-3


def test_a_prompt_gives_the_pipelines_video_of_the_5b_model(tinies):
    from tests.parity.test_pipeline_wan import theirs as of_a_prompt

    tiny, bench = tinies["5B"], bench_of(tinies["5B"])
    model, clip, vae = parts(bench, vae="wan2.2_vae.safetensors")
    assert (model.family, clip.tower) == ("wan22", "umt5xxl")
    got = video(bench, model, clip, vae, 3.0)
    assert float((got - of_a_prompt(tiny, model, 3.0, expand=True)).abs().max()) <= 1e-4


def test_an_area_is_given_its_own_part_of_the_picture(tinies):
    bench = bench_of(tinies["2.2"])
    model, clip, vae = parts(bench)
    good, bad = (text_encode(bench, one, clip) for one in (PROMPT, NEGATIVE))
    good, bad, _ = wan_image_to_video(bench, good, bad, vae, *SIZES, None, START)
    [[context, options]] = with_options(good, area=(4, 4, 0, 4))
    got = video(bench, model, clip, vae, 2.0, change=lambda *_: ([*good, [context, options]], bad))
    assert torch.isfinite(got).all()


def test_a_network_that_sees_takes_longer_texts_and_does_without_a_picture(tinies):
    bench = bench_of(tinies["2.1"])
    model, clip, _ = parts(bench)
    [[context, _]] = text_encode(bench, PROMPT, clip)
    x, t = torch.randn(1, 16, 3, 4, 6), torch.full((1,), 500.0)
    with bench.models.use(model) as network:
        given = network.inputs({}, x, True)
        concat = given.pop("concat")
        assert not given["seen"].any()
        assert given["seen"].shape == (1, 257, SEEN)
        once = network(x, t, context, concat=concat, options=given)
        twice = network(x, t, torch.cat([context, context], dim=1), concat=concat, options=given)
        assert float((once - twice).abs().max()) < 1e-5  # a text that is repeated says the same


def test_what_does_not_have_the_videos_shape_is_told(tinies):
    bench = bench_of(tinies["2.1"])
    model, clip, vae = parts(bench)
    good, bad = (text_encode(bench, one, clip) for one in (PROMPT, NEGATIVE))
    short = wan_image_to_video(bench, good, bad, vae, WIDTH, HEIGHT, 5, 1, None, START)
    with pytest.raises(ModelError, match=r"concat_latent_image: expected frames like those of the video, .*3, 4, 8\)"):
        video(bench, model, clip, vae, 1.0, change=lambda *_: short[:2])

    class Output(dict):
        """Of another encoder."""

    other = Output(penultimate_hidden_states=torch.zeros(1, 257, SEEN + 1))
    fits = wan_image_to_video(bench, good, bad, vae, *SIZES, other, START)
    with pytest.raises(ModelError, match=f"image encoder of width {SEEN} saw.*Use CLIP's ViT-H"):
        video(bench, model, clip, vae, 1.0, change=lambda *_: fits[:2])
