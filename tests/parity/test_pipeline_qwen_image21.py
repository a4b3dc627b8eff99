"""Qwen-Image 2.1: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.conditioning_qwen import text_encode_qwen_image21
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from nodes.sampling import ksampler
from nodes.vae import vae_decode
from tests.conftest import Bench
from tests.families import Tiny
from tests.runs import SEED, STEPS, bench_of, levels
from tests.tiny_processor import Processor
from tests.tiny_qwen_image21 import DROPPED, WIDTH, write_qwen_image21

PROMPT, NEGATIVE = "a photo of the red apple, (twice:1.3)", "blue ball"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write_qwen_image21(tmp_path_factory.mktemp("tiny_qwen_image21"))


def loaded(tiny: Tiny) -> tuple[Bench, Any, Any]:
    bench = bench_of(tiny)
    model = denoiser_loader(bench, "qwen_image_2.1.safetensors")
    return bench, model, vae_loader(bench, "qwen_image_2.1_vae.safetensors")


def prompts(bench: Bench) -> list[Any]:
    clip = text_encoder_loader(bench, "qwen3vl_8b.safetensors", "qwen_image")
    assert clip.family == "qwen_image21"
    return [text_encode(bench, prompt, clip) for prompt in (PROMPT, NEGATIVE)]


def theirs(tiny: Tiny, model: Any, cfg: float, height: int, width: int, **more: Any) -> torch.Tensor:
    from diffusers.pipelines.qwenimage21.pipeline_qwenimage21 import QwenImage21Pipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    processor = Processor(tiny.tokenizers["tokenizer"], "qwen3_vl", 16, DROPPED)
    pipeline = QwenImage21Pipeline(scheduler=FlowMatchEulerDiscreteScheduler(), processor=processor, **tiny.modules)
    pipeline.set_progress_bar_config(disable=True)
    noise = initial_noise(torch.zeros(1, 64, height // 16, width // 16), SEED)
    return pipeline(
        PROMPT,
        negative_prompt=NEGATIVE if cfg > 1 else None,
        true_cfg_scale=cfg,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        latents=noise.flatten(2).mT,
        height=height,
        width=width,
        output_type="pt",
        **more,
    ).images.movedim(1, -1)


def ours(bench: Bench, model: Any, vae: Any, both: Any, height: int, width: int, cfg: float) -> torch.Tensor:
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    empty = {"samples": torch.zeros(1, 4, height // 8, width // 8)}  # of EmptyLatentImage, as in the field's workflows
    latent = ksampler(bench, model, **settings, positive=both[0], negative=both[1], latent_image=empty)
    assert latent["samples"].shape == (1, 64, height // 16, width // 16)
    return vae_decode(bench, latent, vae)


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).abs().max())


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_a_prompt_gives_the_pipelines_picture(tiny, cfg):
    bench, model, vae = loaded(tiny)
    assert (model.family, model.latent.channels, model.latent.downscale) == ("qwen_image21", 64, 16)
    expected = theirs(tiny, model, cfg, 64, 96)
    assert expected.shape == (1, 64, 96, 4)
    assert difference(ours(bench, model, vae, prompts(bench), 64, 96, cfg), expected) <= 1e-4
    other, same = denoiser_loader(bench, "diffusers.safetensors"), vae_loader(bench, "wan_names.safetensors")
    assert difference(ours(bench, other, same, prompts(bench), 64, 96, cfg), expected) <= 1e-4


PICTURES = ((96, 64), (64, 96))
"""Height and width of pictures to go by."""


def going_by(bench: Bench, vae: Any) -> tuple[list[Any], list[Any]]:
    """Two pictures with alpha as the library takes them, and our two conditionings."""
    from PIL import Image

    draw = np.random.default_rng(3)
    pixels = [draw.integers(0, 256, (height, width, 4), dtype=np.uint8) for height, width in PICTURES]
    linked = {f"image_{number}": torch.from_numpy(one)[None] / 255 for number, one in enumerate(pixels, start=1)}
    clip = text_encoder_loader(bench, "qwen3vl_8b.safetensors", "qwen_image")
    made = text_encode_qwen_image21(bench, clip, PROMPT, NEGATIVE, 0, linked, vae)
    assert made.latent["samples"].shape == (1, 64, 6, 4)
    return [Image.fromarray(one) for one in pixels], [made.positive, made.negative]


@pytest.fixture
def as_they_are(monkeypatch):
    """Pictures to go by keep their sizes in the pipeline."""
    import diffusers.pipelines.qwenimage21.pipeline_qwenimage21 as pipelines

    sizes = {width / height: (width, height, None) for height, width in PICTURES}
    monkeypatch.setattr(pipelines, "calculate_dimensions", lambda area, ratio: sizes[ratio])


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_pictures_to_go_by_stand_in_the_text_as_in_the_pipeline(tiny, as_they_are, cfg):
    bench, model, vae = loaded(tiny)
    images, both = going_by(bench, vae)
    expected = theirs(tiny, model, cfg, 64, 96, image=images)
    got = ours(bench, model, vae, both, 64, 96, cfg)
    assert difference(got, expected) <= 1e-4
    without = [[[context, {}]] for [[context, _]] in both]
    assert difference(got, ours(bench, model, vae, without, 64, 96, cfg)) > 1e-3


def test_what_is_kept_between_steps_changes_nothing_but_by_rounding(tiny):
    from nodes.prefix_cache import qwen_image21_cache

    bench, model, vae = loaded(tiny)
    both = going_by(bench, vae)[1]

    def made(device: str, dtype: str = "default") -> torch.Tensor:
        return ours(bench, qwen_image21_cache(model, device, dtype), vae, both, 64, 96, 3.0)

    anew = made("off")
    off = {name: difference(made(*name.split()), anew) for name in ("auto", "gpu", "cpu", "cpu int8", "auto int4")}
    assert max(off["auto"], off["gpu"], off["cpu"]) <= 1e-5
    assert 0 < off["cpu int8"] < 2e-3
    assert off["cpu int8"] < off["auto int4"] < 3e-2


def test_without_room_for_what_is_kept_it_is_worked_out_anew(tiny, monkeypatch):
    from engine.models.networks import prefix_cache

    bench, model, vae = loaded(tiny)
    both = going_by(bench, vae)[1]
    expected = ours(bench, model, vae, both, 64, 96, 3.0)

    def full(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(prefix_cache.KeptLayer, "store", full)
    assert difference(ours(bench, model, vae, both, 64, 96, 3.0), expected) <= 1e-5


def test_references_that_the_encoder_did_not_see_are_told(tiny):
    bench, model, vae = loaded(tiny)
    both = going_by(bench, vae)[1]
    unseen = [[[context, {"reference_latents": options["reference_latents"]}]] for [[context, options]] in both]
    with pytest.raises(
        ModelError, match="2 reference latents take 12 tokens of the text, the text encoder saw pictures in 0"
    ):
        ours(bench, model, vae, unseen, 64, 96, 1.0)


def test_another_familys_conditioning_is_told(tiny):
    bench, model, vae = loaded(tiny)
    foreign = [[torch.zeros(1, 7, 64), {}]]
    with pytest.raises(ModelError, match=r"qwen_image_2\.1\.safetensors: expected a conditioning of width 48, got 64"):
        ours(bench, model, vae, [foreign, foreign], 64, 64, 1.0)


def test_odd_sides_are_filled_up_and_cut_off_again(tiny):
    bench, model, _ = loaded(tiny)
    with bench.models.use(model) as network:
        x, t = torch.randn(1, 64, 3, 5), torch.full((1,), 500.0)
        filled = torch.nn.functional.pad(x, (0, 1, 0, 1), mode="circular")
        given = torch.randn(1, 3, WIDTH)
        assert torch.equal(network(x, t, given), network(filled, t, given)[..., :3, :5])


@pytest.mark.parametrize("naming", ["peft", "stacked"])
def test_a_lora_moves_the_picture_as_its_sum_does_and_off_again(tiny, naming):
    """On a stacked layer too: a LoRA of the field's naming has both halves in one."""
    from nodes.loaders import lora_loader_model_only
    from tests.families import save

    bench, model, vae = loaded(tiny)
    before = ours(bench, model, vae, prompts(bench), 64, 64, 1.0)
    draw = torch.Generator().manual_seed(9)
    down = torch.randn(2, 32, generator=draw) * 0.3
    up = torch.randn(192, 2, generator=draw) * 0.3
    block = "transformer_blocks.0.img_mlp"
    names = {
        "stacked": [f"diffusion_model.{block}.gate_up"],
        "peft": [f"transformer.{block}.{part}" for part in ("gate_layer", "proj")],
    }
    tensors = {}
    for name, rows in zip(names[naming], up.chunk(len(names[naming]))):
        tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": rows.contiguous()}
    save(tiny.file("loras", f"{naming}.safetensors"), tensors)
    patched = lora_loader_model_only(bench, model, f"{naming}.safetensors", 0.5)
    got = ours(bench, patched, vae, prompts(bench), 64, 64, 1.0)
    feed_forward = tiny.modules["transformer"].transformer_blocks[0].img_mlp
    halves = [feed_forward.gate_layer.weight, feed_forward.proj.weight]
    kept = [half.clone() for half in halves]
    try:
        for half, rows in zip(halves, up.chunk(2)):
            half += 0.5 * rows @ down
        expected = theirs(tiny, model, 1.0, 64, 64)
    finally:
        for half, old in zip(halves, kept):
            half.copy_(old)
    assert difference(got, expected) <= 1e-4
    assert difference(got, before) > 1e-4
    assert torch.equal(ours(bench, model, vae, prompts(bench), 64, 64, 1.0), before)
