"""Stable Cascade: stages C, B and A by our nodes and by diffusers' pipelines on the same modules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.datatypes.parameterization import Parameterization
from engine.models.errors import ModelError
from engine.models.vision import Seen
from engine.sampling.noise import initial_noise
from engine.sampling.noise_schedule import NoiseSchedule
from nodes.clip_vision import unclip_conditioning
from nodes.conditioning import conditioning_zero_out, text_encode
from nodes.custom_sampling import cfg_guider
from nodes.loaders import checkpoint_loader, diffusers_loader, lora_loader_model_only, vae_loader
from nodes.model_sampling import model_sampling_stable_cascade
from nodes.sampling import ksampler
from nodes.stable_cascade import empty_latents_of_stable_cascade, stage_b_conditioning
from nodes.vae import vae_decode, vae_encode
from tests.conftest import _tokenizer_json
from tests.families import clip_tokenizers, save, text_tower
from tests.tiny_pixel import bench_of, cascade_stage, cascade_to_original, descend, paella, write_folder

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SEED, STEPS, CFG = 8, 4, 3.0
FIRST = 0.9
"""The time that runs begin at: at 1 the library tells the network 1, and the field the time of the level, which is bounded."""

PLAIN = NoiseSchedule.of(Parameterization(schedule="cosine_time", timesteps=10_000))

TIMES = [FIRST * (1.0 - step / STEPS) for step in range(STEPS)]
TOLD = [PLAIN.timestep(PLAIN.sigma(time)) for time in TIMES]
"""As they come back from their levels: networks see ten thousand times a time, so its last bits count."""


@pytest.fixture(scope="module")
def parts(tiny_sd) -> dict[str, Any]:
    torch.manual_seed(25)
    words = len(json.loads(_tokenizer_json(tiny_sd.tokenizer_files))["model"]["vocab"])
    text = text_tower(words, 48, 3, "gelu", projection=40).eval().requires_grad_(False)
    return {
        "prior": cascade_stage(second=False),
        "decoder": cascade_stage(second=True),
        "vqgan": paella(),
        "text_encoder": text,
        "tokenizer": clip_tokenizers(tiny_sd.tokenizer_files)["tokenizer"],
    }


@pytest.fixture(scope="module")
def base(parts, tiny_sd, tmp_path_factory) -> Path:
    """Checkpoints in the original layout for stages C and B, stage A in a file of its own, and the library's folders."""
    base: Path = tmp_path_factory.mktemp("tiny_cascade")
    words = _tokenizer_json(tiny_sd.tokenizer_files)
    text = {f"text_encoder.{name}": value for name, value in parts["text_encoder"].state_dict().items()}
    for stage, second in (("prior", False), ("decoder", True)):
        original = cascade_to_original(parts[stage].state_dict(), second=second)
        tensors = {f"model.diffusion_model.{name}": value for name, value in original.items()} | text
        heads = [4, 4]
        told = {
            "safelight.config": json.dumps({"unet": {"heads": heads}, "text": {"heads": 2}}),
            "safelight.tokenizer": words,
        }
        save(base / "models" / "checkpoints" / f"{stage}.safetensors", tensors, told)
    stage_a = {n.replace("embedding", "codebook"): value for n, value in parts["vqgan"].state_dict().items()}
    save(base / "models" / "vae" / "stage_a.safetensors", stage_a)
    for folder, names in (("c", ("prior", "text_encoder")), ("b", ("decoder", "vqgan", "text_encoder"))):
        place = base / "models" / "diffusers" / folder
        write_folder(place, {name: parts[name] for name in names}, {}, {"scaler": 1.0})
        (place / "tokenizer").mkdir()
        (place / "tokenizer" / "tokenizer.json").write_text(words)
    return base


def scheduler() -> Any:
    """The library's, from another time on, and to the prediction itself where it would stop a hair above."""
    from diffusers.schedulers.scheduling_ddpm_wuerstchen import DDPMWuerstchenScheduler

    class Scheduler(DDPMWuerstchenScheduler):
        def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None, **told: Any) -> None:
            super().set_timesteps(timesteps=torch.tensor([*TOLD, 0.0]), device=device)

        def _alpha_cumprod(self, t: torch.Tensor, device: Any) -> torch.Tensor:
            return torch.where(t == 0.0, 1.0, super()._alpha_cumprod(t, device))

    return Scheduler()


def noise(stage: str) -> torch.Tensor:
    return initial_noise(torch.zeros((1, 16, 6, 8) if stage == "prior" else (1, 4, 32, 32)), SEED)


def theirs(parts: dict[str, Any], stage: str, cfg: float = CFG, lora: Any = None, **told: Any) -> torch.Tensor:
    import importlib
    from copy import deepcopy

    names = (
        ("prior", "text_encoder", "tokenizer")
        if stage == "prior"
        else ("decoder", "vqgan", "text_encoder", "tokenizer")
    )
    name = "StableCascadePriorPipeline" if stage == "prior" else "StableCascadeDecoderPipeline"
    module = importlib.import_module(
        f"diffusers.pipelines.stable_cascade.pipeline_stable_cascade{'_prior' * (stage == 'prior')}"
    )
    pipeline = getattr(module, name)(**{one: deepcopy(parts[one]) for one in names}, scheduler=scheduler())
    pipeline.set_progress_bar_config(disable=True)
    for place, delta in (lora or {}).items():
        getattr(pipeline, stage).get_submodule(place).weight += delta
    result = pipeline(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=cfg,
        latents=noise(stage),
        generator=torch.Generator().manual_seed(SEED),
        **told,
    )
    return result.image_embeddings if stage == "prior" else result.images


def ours(bench: Any, model: Any, positive: Any, negative: Any, stage: str, cfg: float = CFG) -> torch.Tensor:
    plain = model_sampling_stable_cascade(model, 1.0)
    latent: torch.Tensor = descend(
        bench, cfg_guider(plain, positive, negative, cfg), "ddpm", TIMES, noise(stage), SEED
    )["samples"]
    return latent


def texts(bench: Any, clip: Any) -> list[Any]:
    return [text_encode(bench, text, clip) for text in (PROMPT, NEGATIVE)]


def test_stage_c_gives_the_pipelines_latent(parts, base):
    bench = bench_of(base)
    expected = theirs(parts, "prior", height=252, width=336, output_type="pt")
    for loaded in (checkpoint_loader(bench, "prior.safetensors"), diffusers_loader(bench, "c")):
        assert (loaded.MODEL.family, loaded.MODEL.parameterization.shift) == ("stable_cascade_c", 2.0)
        found = ours(bench, loaded.MODEL, *texts(bench, loaded.CLIP), "prior")
        assert float((found - expected).abs().max()) <= 1e-4


def test_stage_c_takes_pictures_that_were_seen_as_the_pipeline(parts, base):
    bench = bench_of(base)
    loaded = checkpoint_loader(bench, "prior.safetensors")
    seen = torch.randn(1, 32, generator=torch.Generator().manual_seed(2))
    positive, negative = texts(bench, loaded.CLIP)
    told = unclip_conditioning(positive, Seen(torch.zeros(1, 5, 16), seen, torch.zeros(1, 5, 16)))
    found = ours(bench, loaded.MODEL, told, negative, "prior")
    expected = theirs(parts, "prior", height=252, width=336, output_type="pt", image_embeds=seen[:, None])
    assert float((found - expected).abs().max()) <= 1e-4
    assert float((found - ours(bench, loaded.MODEL, positive, negative, "prior")).abs().max()) > 1e-3


def test_stages_b_and_a_make_the_pipelines_picture_of_it(parts, base):
    bench = bench_of(base)
    small = torch.randn(1, 16, 3, 3, generator=torch.Generator().manual_seed(3))
    expected = theirs(parts, "decoder", image_embeddings=small, output_type="pt").movedim(1, -1)
    vae = vae_loader(bench, "stage_a.safetensors")
    for loaded in (checkpoint_loader(bench, "decoder.safetensors"), diffusers_loader(bench, "b")):
        positive, negative = texts(bench, loaded.CLIP)
        given = stage_b_conditioning(positive, {"samples": small})
        latent = ours(bench, loaded.MODEL, given, negative, "decoder")
        picture = vae_decode(bench, {"samples": latent}, vae)
        assert picture.shape == (1, 128, 128, 3)
        assert float((picture - expected).abs().max()) <= 1e-4
    other = vae_decode(bench, {"samples": ours(bench, loaded.MODEL, positive, negative, "decoder")}, loaded.VAE)
    assert float((picture - other).abs().max()) > 1e-3, "what stage C made counts"


def test_stage_a_encodes_as_the_library(parts, base):
    bench = bench_of(base)
    picture = torch.rand(1, 16, 24, 3, generator=torch.Generator().manual_seed(4))
    latent = vae_encode(bench, picture, vae_loader(bench, "stage_a.safetensors"))["samples"]
    expected = parts["vqgan"].encode(picture.movedim(-1, 1)).latents
    assert float((latent - expected).abs().max()) <= 1e-5


def test_a_lora_moves_the_latent_as_added_weights_do_and_off_again(parts, base):
    """The library's pipelines load none for these networks, so weights are moved by hand."""
    bench = bench_of(base)
    torch.manual_seed(3)
    tensors, moved = {}, {}
    for name, linear in parts["prior"].named_modules():
        if isinstance(linear, torch.nn.Linear) and ".attention.to_" in name:
            down, up = torch.randn(4, linear.in_features) * 0.2, torch.randn(linear.out_features, 4) * 0.2
            tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
            moved[name] = up @ down
    save(base / "models" / "loras" / "c.safetensors", tensors)
    loaded = checkpoint_loader(bench, "prior.safetensors")
    sides = texts(bench, loaded.CLIP)
    plain = ours(bench, loaded.MODEL, *sides, "prior")
    patched = lora_loader_model_only(bench, loaded.MODEL, "c.safetensors", 1.0)
    found = ours(bench, patched, *sides, "prior")
    expected = theirs(parts, "prior", lora=moved, height=252, width=336, output_type="pt")
    assert float((found - expected).abs().max()) <= 1e-4
    assert float((found - plain).abs().max()) > 1e-3
    assert torch.equal(ours(bench, loaded.MODEL, *sides, "prior"), plain)


def test_ksampler_runs_both_stages_and_foreign_conditionings_are_refused(base):
    bench = bench_of(base)
    settings = {"seed": 0, "steps": 2, "cfg": 1.1, "sampler_name": "euler_ancestral", "scheduler": "simple"}
    first, second = (checkpoint_loader(bench, f"{stage}.safetensors") for stage in ("prior", "decoder"))
    empty = empty_latents_of_stable_cascade(256, 320, 42)
    assert [tuple(one["samples"].shape) for one in empty] == [(1, 16, 7, 6), (1, 4, 80, 64)]
    positive, negative = texts(bench, first.CLIP)
    small = ksampler(bench, first.MODEL, **settings, positive=positive, negative=negative, latent_image=empty.stage_c)
    given = stage_b_conditioning(positive, small)
    sides = {"positive": given, "negative": conditioning_zero_out(positive)}
    large = ksampler(bench, second.MODEL, **settings, **sides, latent_image=empty.stage_b)
    assert large["samples"].isfinite().all()
    text = [[torch.zeros(1, 77, 32), {"pooled_output": torch.zeros(1, 40)}]]
    for entry, said in (
        (text, "width 48, got 32"),
        ([[torch.zeros(1, 77, 48), {}]], "pooled text of width 40, got none"),
    ):
        with pytest.raises(ModelError, match=said):
            ksampler(bench, first.MODEL, **settings, positive=entry, negative=entry, latent_image=empty.stage_c)
