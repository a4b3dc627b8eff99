"""HunyuanDiT: whole runs, from the prompt, by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.models.networks.hunyuan_dit import T5, T5_MASK
from nodes.conditioning import text_encode
from nodes.conditioning_hunyuan_dit import text_encode_hunyuan_dit
from nodes.loaders import checkpoint_loader, denoiser_loader
from nodes.sampling import ksampler
from nodes.vae import vae_decode
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import SEED, bench_of, noise, text
from tests.tiny_hunyuan_dit import TEXT, write

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SIDES, STEPS = (48, 80), 4


@pytest.fixture(scope="module", params=[False, True], ids=["1.2", "1.1"])
def either(request, tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_hunyuan_dit"), old=request.param)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_hunyuan_dit_12"))


def theirs(tiny: Tiny, cfg: float, **told: Any) -> torch.Tensor:
    from diffusers.pipelines.hunyuandit.pipeline_hunyuandit import HunyuanDiTPipeline
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    old = tiny.modules["transformer"].config["use_style_cond_and_image_meta_size"]
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.03 if old else 0.018,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="linspace",
    )
    alone = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipeline = HunyuanDiTPipeline(**tiny.modules, **tiny.tokenizers, scheduler=scheduler, **alone)
    pipeline.set_progress_bar_config(disable=True)
    scheduler.set_timesteps(STEPS)
    sigma = float(scheduler.init_noise_sigma)
    found = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=cfg,
        # The library starts from sigma * noise, we as the field from sqrt(1 + sigma^2) * noise.
        latents=noise(*SIDES, 4) * math.sqrt(1 + sigma**2) / sigma,
        height=SIDES[0],
        width=SIDES[1],
        use_resolution_binning=False,
        output_type="pt",
        **told,
    )
    return found.images.movedim(1, -1)


def picture(bench: Bench, model: Any, vae: Any, good: Any, bad: Any, cfg: float) -> torch.Tensor:
    told: dict[str, Any] = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "normal"}
    empty = {"samples": torch.zeros(1, 4, SIDES[0] // 8, SIDES[1] // 8)}
    return vae_decode(bench, ksampler(bench, model, **told, positive=good, negative=bad, latent_image=empty), vae)


@pytest.mark.parametrize("name", ["checkpoint", "hunyuan_dit", "hunyuan_dit_diffusers"])
@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_a_prompt_gives_the_pipelines_picture_from_each_layout(either, name, cfg):
    bench = bench_of(either)
    model, clip, vae = checkpoint_loader(bench, "hunyuan_dit.safetensors")
    if name != "checkpoint":
        model = denoiser_loader(bench, f"{name}.safetensors")
    assert (model.family, [one.tower for one in clip.towers]) == ("hunyuan_dit", ["hydit_clip", "mt5xl"])
    good, bad = (text_encode(bench, prompt, clip) for prompt in (PROMPT, NEGATIVE))
    got = picture(bench, model, vae, good, bad, cfg)
    assert float((got - theirs(either, cfg)).abs().max()) <= 1e-4


def test_each_encoder_has_a_text_of_its_own_and_a_fixed_length(tiny):
    bench = bench_of(tiny)
    _, clip, _ = checkpoint_loader(bench, "hunyuan_dit.safetensors")
    [[both, options]] = text_encode(bench, PROMPT, clip)
    [[context, told]] = text_encode_hunyuan_dit(bench, clip, PROMPT, NEGATIVE)
    assert torch.equal(context, both)
    assert not torch.equal(told[T5], options[T5])
    assert (both.shape[1], options[T5].shape[1], options[T5_MASK].shape) == (77, 256, (1, 256))
    words = tiny.tokenizers["tokenizer"](PROMPT).input_ids
    assert int(options["attention_mask"].sum()) == len(words)
    [[context, told]] = text_encode(bench, "a red apple, " * 100, clip)
    assert (context.shape[1], told[T5].shape[1], "attention_mask" in told) == (77, 256, False)
    assert sum("reads 77 tokens" in one for one in bench.warned) == 1
    assert sum("reads 256 tokens" in one for one in bench.warned) == 1


def test_a_weighted_word_moves_berts_tokens_too(tiny):
    bench = bench_of(tiny)
    _, clip, _ = checkpoint_loader(bench, "hunyuan_dit.safetensors")
    plain, weighted = (text_encode(bench, one, clip)[0] for one in ("the red tree", "the (red:1.5) tree"))
    ids = [2, 3] + [0] * 75  # [CLS] [SEP], padding
    mask = torch.tensor([[1, 1] + [0] * 75])
    nothing = tiny.modules["text_encoder"](torch.tensor([ids]), attention_mask=mask)[0]
    wanted = (plain[0][:, 2] - nothing[:, 2]) * 1.5 + nothing[:, 2]
    assert torch.allclose(weighted[0][:, 2], wanted, atol=1e-5)
    assert torch.allclose(weighted[0][:, 1], plain[0][:, 1], atol=1e-6)


def test_what_does_not_fit_is_refused(tiny):
    bench = bench_of(tiny)
    model, clip, vae = checkpoint_loader(bench, "hunyuan_dit.safetensors")
    bare = [[text(77, TEXT, 3), {}]]
    with pytest.raises(ModelError, match="HunyuanDiT wants a conditioning with mT5's tokens of width 24, got none"):
        picture(bench, model, vae, bare, bare, 1.0)
    [[context, options]] = text_encode(bench, PROMPT, clip)
    foreign = [[torch.cat([context, context], dim=-1), options]]
    with pytest.raises(ModelError, match=f"expected a conditioning of width {TEXT}, got {2 * TEXT}"):
        picture(bench, model, vae, foreign, foreign, 1.0)


@pytest.mark.parametrize("prefix", ["diffusion_model.", "transformer.", KOHYA])
def test_a_lora_changes_the_picture_as_in_the_pipeline(tiny, prefix):
    from engine.models.networks.hunyuan_dit_sizes import paths

    network = tiny.modules["transformer"]
    known = paths(network.config)
    pairs = low_rank(network, lambda name: name in known and "pooler" not in name)
    bench = bench_of(tiny)
    model, clip, vae = checkpoint_loader(bench, "hunyuan_dit.safetensors")
    with applied(network, pairs, 0.5):
        wanted = theirs(tiny, 1.0)
    save(tiny.file("loras", "change.safetensors"), under(prefix, pairs, None if prefix == "transformer." else known))
    good = text_encode(bench, PROMPT, clip)
    before = picture(bench, model, vae, good, good, 1.0)
    result = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = picture(bench, result.model, vae, good, good, 1.0)
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - before).abs().max()) > 1e-3
