"""Pictures as prompts: whole runs by our nodes and by diffusers' pipelines with the same IP-Adapters."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.models.errors import CheckpointError, ModelError
from engine.sampling.noise import initial_noise
from nodes.clip_vision import clip_vision_loader
from nodes.conditioning import text_encode
from nodes.guidance_attention import perturbed_attention_guidance
from nodes.ip_adapter import ip_adapter_apply, ip_adapter_model_loader
from nodes.loaders import checkpoint_loader
from nodes.sampling import ksampler
from nodes.unet_patches import patch_model_add_downscale, tome_patch_model
from nodes.vae import vae_decode
from tests.conftest import _tokenizer_json
from tests.families import Tiny, clip_tokenizers, save, write_xl
from tests.runs import bench_of
from tests.tiny_ip_adapter import HIDDEN, SEEN, SIDE, adapter, encoder

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SEED, CFG, STEPS, WEIGHT = 11, 5.0, 4, 0.6
KINDS = ("plain", "plus", "full")


@pytest.fixture(scope="module")
def seeing() -> Any:
    return encoder()


def with_adapters(tiny: Any, seeing: Any) -> Any:
    for kind in KINDS:
        save(tiny.file("ipadapter", f"{kind}.safetensors"), adapter(tiny.modules["unet"], kind))
    told = {"safelight.config": json.dumps({"vision": {"heads": 4, "act": "gelu"}})}
    save(tiny.file("clip_vision", "h.safetensors"), seeing.state_dict(), told)
    return tiny


@pytest.fixture(scope="module")
def one(tiny_sd, seeing, tmp_path_factory) -> Any:
    base = tmp_path_factory.mktemp("sd_ip_adapter")
    (base / "models").mkdir()
    (base / "models" / "checkpoints").symlink_to(tiny_sd.base / "models" / "checkpoints")
    made = SimpleNamespace(base=base, modules=tiny_sd.modules, tokenizers=clip_tokenizers(tiny_sd.tokenizer_files))
    made.file = lambda folder, name: base / "models" / folder / name
    made.checkpoint = "tiny.safetensors"
    return with_adapters(made, seeing)


@pytest.fixture(scope="module")
def xl(tiny_sd, seeing, tmp_path_factory) -> Any:
    files = tiny_sd.tokenizer_files
    made = write_xl(tmp_path_factory.mktemp("xl_ip_adapter"), files, _tokenizer_json(files))
    return with_adapters(made, seeing)


def photos(count: int, seed: int = 5) -> torch.Tensor:
    """Of the encoder's size and in whole bytes, so that nothing is resized or rounded."""
    return torch.randint(0, 256, (count, SIDE, SIDE, 3), generator=torch.Generator().manual_seed(seed)) / 255


def parts(tiny: Any) -> tuple[Any, Any, Any, Any]:
    bench = bench_of(tiny)
    name = "xl.safetensors" if isinstance(tiny, Tiny) else "tiny.safetensors"
    return bench, *checkpoint_loader(bench, name)


def applied(bench: Any, model: Any, kind: str, image: torch.Tensor, weight: float = WEIGHT, **told: Any) -> Any:
    patch = ip_adapter_model_loader(bench, f"{kind}.safetensors")
    return ip_adapter_apply(bench, model, patch, clip_vision_loader(bench, "h.safetensors"), image, weight, **told)


def ours(bench: Any, model: Any, clip: Any, vae: Any, cfg: float = CFG) -> torch.Tensor:
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "normal"}
    both = {"positive": text_encode(bench, PROMPT, clip), "negative": text_encode(bench, NEGATIVE, clip)}
    empty = {"samples": torch.zeros(1, 4, 8, 12)}
    return vae_decode(bench, ksampler(bench, model, **settings, **both, latent_image=empty), vae)


def theirs(tiny: Any, seeing: Any, kinds: list[str], images: list[Any], **told: Any) -> torch.Tensor:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace"
    )
    shared = {"scheduler": scheduler, "image_encoder": seeing}
    if isinstance(tiny, Tiny):
        pipeline: Any = StableDiffusionXLPipeline(
            **deepcopy(tiny.modules), **tiny.tokenizers, **shared, add_watermarker=False
        )
    else:
        names = ("unet", "vae", "text_encoder")
        pipeline = StableDiffusionPipeline(
            **{name: deepcopy(tiny.modules[name]) for name in names},
            tokenizer=tiny.tokenizers["tokenizer"],
            **shared,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.set_progress_bar_config(disable=True)
    states = []
    for kind in kinds:
        state: dict[str, Any] = {"image_proj": {}, "ip_adapter": {}}
        for name, value in adapter(tiny.modules["unet"], kind).items():
            part, _, rest = name.partition(".")
            state[part][rest] = value
        states.append(state)
    none = [None] * len(states)
    places = {"subfolder": none, "weight_name": none, "image_encoder_folder": None}
    pipeline.load_ip_adapter(states, **places, low_cpu_mem_usage=False)
    pipeline.set_ip_adapter_scale([WEIGHT] * len(kinds))
    pipeline.scheduler.set_timesteps(STEPS)
    sigma = float(pipeline.scheduler.init_noise_sigma)
    noise = initial_noise(torch.zeros(1, 4, 8, 12), SEED) * math.sqrt(1.0 + sigma**2) / sigma
    result = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        latents=noise,
        height=64,
        width=96,
        output_type="pt",
        ip_adapter_image_embeds=[embeds(seeing, kind, image) for kind, image in zip(kinds, images, strict=True)],
        **told,
    )
    return result.images.movedim(1, -1)


def embeds(seeing: Any, kind: str, image: torch.Tensor) -> torch.Tensor:
    """What the pipeline's `encode_image` makes, negative ones first: (2, I, D) or (2, I, T, D)."""
    from engine.models.vision import preprocess

    pixels = preprocess(image, SIDE)
    if kind == "plain":
        seen = seeing(pixels).image_embeds
        return torch.stack([torch.zeros_like(seen), seen])
    nothing, seen = (
        seeing(one, output_hidden_states=True).hidden_states[-2] for one in (torch.zeros_like(pixels), pixels)
    )
    return torch.stack([nothing, seen])


@pytest.mark.parametrize(
    ("family", "kind", "count"),
    [("one", "plain", 1), ("one", "plus", 2), ("one", "full", 1), ("xl", "plain", 2), ("xl", "plus", 1)],
)
def test_pictures_as_prompts_give_the_pipelines_picture(request, seeing, family, kind, count):
    tiny = request.getfixturevalue(family)
    bench, model, clip, vae = parts(tiny)
    made = ours(bench, applied(bench, model, kind, photos(count)), clip, vae)
    expected = theirs(tiny, seeing, [kind], [photos(count)])
    assert float((made - expected).abs().max()) <= 1e-4
    assert float((made - ours(bench, model, clip, vae)).abs().max()) > 1e-3


def test_several_adapters_with_masks_are_the_pipelines(one, seeing):
    bench, model, clip, vae = parts(one)
    masks = torch.zeros(2, 1, 64, 96)
    masks[0, :, :, :48], masks[1, :, :, 48:] = 1.0, 1.0
    steered = model
    for kind, mask, seed in zip(("plain", "plus"), masks, (5, 6), strict=True):
        steered = applied(bench, steered, kind, photos(1, seed), attn_mask=mask)
    made = ours(bench, steered, clip, vae)
    told = {"cross_attention_kwargs": {"ip_adapter_masks": [one[None] for one in masks]}}
    expected = theirs(one, seeing, ["plain", "plus"], [photos(1, 5), photos(1, 6)], **told)
    assert float((made - expected).abs().max()) <= 1e-4


def test_ways_to_combine_and_parts_of_a_run(one):
    bench, model, clip, vae = parts(one)
    never = applied(bench, model, "plain", photos(1), start_at=1.0)
    assert torch.equal(ours(bench, never, clip, vae, 1.0), ours(bench, model, clip, vae, 1.0))
    assert applied(bench, model, "plain", photos(1), 0.0) is model
    alone = ours(bench, applied(bench, model, "plain", photos(1)), clip, vae)
    twice = photos(1).expand(2, -1, -1, -1)
    for combine in ("concat", "average", "each its own"):  # of one picture twice: the same
        made = ours(bench, applied(bench, model, "plain", twice, combine=combine), clip, vae)
        assert float((made - alone).abs().max()) <= 1e-5
    each = applied(bench, model, "plus", photos(2), combine="each its own")
    settings = {"seed": SEED, "steps": 2, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal"}
    both = {"positive": text_encode(bench, PROMPT, clip), "negative": text_encode(bench, NEGATIVE, clip)}
    noise = initial_noise(torch.zeros(1, 4, 8, 8), SEED)
    made = ksampler(bench, each, **settings, **both, latent_image={"samples": noise.expand(2, -1, -1, -1)})["samples"]
    assert float((made[0] - made[1]).abs().max()) > 1e-3
    away = applied(bench, model, "plain", photos(1), image_negative=photos(1, 9))
    assert float((ours(bench, away, clip, vae) - alone).abs().max()) > 1e-3
    identities = {one.identity() for one in (model, away, each, applied(bench, model, "plain", photos(1)))}
    assert len(identities) == 4


def test_the_cache_keeps_what_each_branch_sees(one):
    from engine.__main__ import _control_facts, _control_use, _controlled_facts, _controlled_model, _is_controlled

    bench, model, clip, vae = parts(one)
    steered = applied(bench, model, "plus", photos(2), attn_mask=torch.ones(1, 8, 8))
    assert _is_controlled(steered)
    again = _controlled_model(_controlled_facts(steered))
    kept = _control_use(_control_facts(again.controls[0]))
    assert kept.identity() == steered.controls[0].identity()
    assert torch.equal(kept.away, steered.controls[0].away)
    assert torch.equal(ours(bench, again, clip, vae), ours(bench, steered, clip, vae))


def test_patches_of_the_network_and_control_networks_work_on_with_it(one, tiny_sd):
    bench, model, clip, vae = parts(one)
    steered = applied(bench, model, "plain", photos(1), attn_mask=torch.ones(1, 8, 8))
    alone = ours(bench, steered, clip, vae)
    patched = [
        patch_model_add_downscale(steered, 3, 2.0, 0.0, 1.0),
        perturbed_attention_guidance(steered, 2.0),
        tome_patch_model(steered, 0.5),
    ]
    for other in patched:
        made = ours(bench, other, clip, vae)
        assert torch.isfinite(made).all()
        assert float((made - alone).abs().max()) > 1e-4


def test_what_does_not_belong_together_is_told_in_words(one, xl, tmp_path):
    bench, model, clip, vae = parts(xl)
    save(xl.file("ipadapter", "of_sd1.safetensors"), adapter(one.modules["unet"], "plain"))
    steered = applied(bench, model, "of_sd1", photos(1))
    with pytest.raises(
        ModelError, match=r"this IP-Adapter is for .* layers under texts of width 32; Stable Diffusion XL has"
    ):
        ours(bench, steered, clip, vae)
    tensors = adapter(xl.modules["unet"], "plain")
    text = xl.modules["unet"].config.cross_attention_dim
    save(
        xl.file("ipadapter", "wide.safetensors"), tensors | {"image_proj.proj.weight": torch.zeros(4 * text, SEEN + 4)}
    )
    with pytest.raises(ModelError, match=f"what an image encoder of width {SEEN + 4} saw, got {SEEN}"):
        ours(bench, applied(bench, model, "wide", photos(1)), clip, vae)
    faces = {name: value for name, value in tensors.items() if name.startswith("ip_adapter.")}
    faces |= {"image_proj.proj.0.weight": torch.zeros(8, 4), "image_proj.norm.weight": torch.zeros(text)}
    save(xl.file("ipadapter", "faceid.safetensors"), faces)
    with pytest.raises(CheckpointError, match=r"faceid.safetensors: an IP-Adapter for faces \(FaceID\)"):
        ip_adapter_model_loader(bench, "faceid.safetensors")
    assert HIDDEN != SEEN
