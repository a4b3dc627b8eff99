"""DeepFloyd IF: both stages by our nodes and by diffusers' pipelines on the same modules, with learned variance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.conditioning_upscale import if_stage_two_conditioning
from nodes.custom_sampling import cfg_guider
from nodes.latent import empty_latent_in_pixels
from nodes.loaders import diffusers_loader, lora_loader_model_only, text_encoder_loader
from nodes.sampling import ksampler
from nodes.vae import vae_decode
from tests.families import save, t5, t5_tensors, t5_tokenizer, t5_words
from tests.tiny_pixel import bench_of, descend, if_unet, write_folder

PROMPT, NEGATIVE = "  A Photo of the red Apple on the tree", "blue dog"
SEED, STEPS, CFG, LEVEL = 6, 5, 3.0, 250
SCHEDULER = {
    "beta_schedule": "squaredcos_cap_v2",
    "variance_type": "learned_range",
    "thresholding": True,
    "dynamic_thresholding_ratio": 0.95,
    "sample_max_value": 1.5,
}


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    torch.manual_seed(23)
    made = {"one": if_unet(second=False), "two": if_unet(second=True), "text_encoder": t5(24)}
    return {name: module.eval().requires_grad_(False) for name, module in made.items()}


@pytest.fixture(scope="module")
def base(parts, tmp_path_factory) -> Path:
    """A folder of the library's for each stage, with T5 in that of the first and in a file of its own."""
    base: Path = tmp_path_factory.mktemp("tiny_if")
    for stage in ("one", "two"):
        folder = base / "models" / "diffusers" / stage
        write_folder(folder, {"unet": parts[stage], "text_encoder": parts["text_encoder"]}, {}, SCHEDULER)
        (folder / "tokenizer").mkdir()
        (folder / "tokenizer" / "tokenizer.json").write_text(t5_tokenizer().to_str())
    (base / "models" / "text_encoders" / "t5").mkdir(parents=True)
    (base / "models" / "text_encoders" / "t5" / "tokenizer.json").write_text(t5_tokenizer().to_str())
    save(base / "models" / "text_encoders" / "t5xxl.safetensors", t5_tensors(parts["text_encoder"]))
    return base


def theirs(parts: dict[str, Any], monkeypatch: Any, stage: str, **told: Any) -> torch.Tensor:
    import importlib
    from copy import deepcopy

    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    second = stage == "two"
    module = importlib.import_module(
        f"diffusers.pipelines.deepfloyd_if.pipeline_if{'_superresolution' if second else ''}"
    )
    scheduler = DDPMScheduler(**SCHEDULER)
    modules = {"unet": deepcopy(parts[stage]), "text_encoder": parts["text_encoder"], "tokenizer": t5_words(77)}
    if second:
        modules["image_noising_scheduler"] = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    pipeline = getattr(module, "IFSuperResolutionPipeline" if second else "IFPipeline")(
        **modules,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    if lora := told.pop("lora", None):
        pipeline.load_lora_weights(lora)
    # The noise that it starts with, then that on the picture to enlarge.
    drawn = iter([noise_of(stage), initial_noise(torch.zeros(1, 3, 32, 32), SEED + 1)])
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: next(drawn))
    result = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        generator=torch.Generator().manual_seed(SEED),
        clean_caption=False,
        output_type="pt",
        **told,
    )
    return (result.images / 2 + 0.5).clamp(0.0, 1.0).movedim(1, -1)


def noise_of(stage: str) -> torch.Tensor:
    side = 32 if stage == "two" else 16
    return initial_noise(torch.zeros(1, 3, side, side), SEED)


def ours(bench: Any, loaded: Any, stage: str, positive: Any, negative: Any) -> torch.Tensor:
    timesteps = [1000 // STEPS * step for step in range(STEPS)][::-1]
    guider = cfg_guider(loaded.MODEL, positive, negative, CFG)
    return vae_decode(bench, descend(bench, guider, "ddpm", timesteps, noise_of(stage), SEED), loaded.VAE)


def texts(bench: Any, clip: Any) -> list[Any]:
    return [text_encode(bench, text, clip) for text in (PROMPT, NEGATIVE)]


def test_the_first_stage_gives_the_pipelines_picture(parts, base, monkeypatch):
    bench = bench_of(base)
    loaded = diffusers_loader(bench, "one")
    process = loaded.MODEL.parameterization
    assert (process.schedule, process.clip, process.clip_quantile) == ("cosine", 1.5, 0.95)
    picture = ours(bench, loaded, "one", *texts(bench, loaded.CLIP))
    assert picture.shape == (1, 16, 16, 3)
    assert float((picture - theirs(parts, monkeypatch, "one")).abs().max()) <= 1e-4
    alone = text_encoder_loader(bench, "t5xxl.safetensors", "deepfloyd_if")
    assert torch.equal(picture, ours(bench, loaded, "one", *texts(bench, alone)))


def test_the_second_stage_enlarges_it_as_the_pipeline(parts, base, monkeypatch):
    bench = bench_of(base)
    loaded = diffusers_loader(bench, "two")
    small = torch.rand(1, 8, 8, 3, generator=torch.Generator().manual_seed(1))
    told = if_stage_two_conditioning(small, *texts(bench, loaded.CLIP), 4.0, LEVEL, SEED + 1)
    assert told.latent["samples"].shape == (1, 3, 32, 32)
    picture = ours(bench, loaded, "two", told.positive, told.negative)
    signed = small.movedim(-1, 1) * 2 - 1
    expected = theirs(parts, monkeypatch, "two", image=signed, noise_level=LEVEL, height=32, width=32)
    assert float((picture - expected).abs().max()) <= 1e-4
    other = if_stage_two_conditioning(1.0 - small, *texts(bench, loaded.CLIP), 4.0, LEVEL, SEED + 1)
    assert float((picture - ours(bench, loaded, "two", other.positive, other.negative)).abs().max()) > 1e-3


def test_a_lora_moves_the_picture_as_in_the_pipeline_and_off_again(parts, base, monkeypatch):
    bench = bench_of(base)
    torch.manual_seed(4)
    tensors = {}
    for name, linear in parts["one"].named_modules():
        if isinstance(linear, torch.nn.Linear) and name.endswith(("to_q", "add_k_proj")):
            tensors[f"unet.{name}.lora_A.weight"] = torch.randn(4, linear.in_features) * 0.1
            tensors[f"unet.{name}.lora_B.weight"] = torch.randn(linear.out_features, 4) * 0.1
    save(base / "models" / "loras" / "if.safetensors", tensors)
    loaded = diffusers_loader(bench, "one")
    sides = texts(bench, loaded.CLIP)
    plain = ours(bench, loaded, "one", *sides)
    patched = loaded._replace(MODEL=lora_loader_model_only(bench, loaded.MODEL, "if.safetensors", 1.0))
    picture = ours(bench, patched, "one", *sides)
    assert float((picture - theirs(parts, monkeypatch, "one", lora=dict(tensors))).abs().max()) <= 1e-4
    assert float((picture - plain).abs().max()) > 1e-3
    assert torch.equal(ours(bench, loaded, "one", *sides), plain)


def test_a_second_stage_without_a_picture_and_a_text_of_another_model_are_refused(base):
    bench = bench_of(base)
    settings = {"seed": 0, "steps": 1, "cfg": 1.0, "sampler_name": "ddpm", "scheduler": "simple"}
    for stage, width, said in (("two", 24, "IF_StageII_Conditioning"), ("one", 32, "width 24, got 32")):
        model, text = diffusers_loader(bench, stage).MODEL, [[torch.zeros(1, 77, width), {}]]
        with pytest.raises(ModelError, match=said):
            ksampler(
                bench, model, **settings, positive=text, negative=text, latent_image=empty_latent_in_pixels(16, 16)
            )
