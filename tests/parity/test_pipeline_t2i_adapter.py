"""T2I-Adapters: whole runs by our nodes and by diffusers' pipeline on the same modules, in the names of both."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.controlnet import control_net_apply_advanced
from nodes.loaders import checkpoint_loader, control_net_loader
from nodes.sampling import ksampler
from nodes.vae import vae_decode
from tests.conftest import Bench, _tokenizer_json
from tests.families import clip_tokenizers, save, write_xl
from tests.parity import test_pipeline_sdxl as xl_runs
from tests.parity.test_pipeline_diffusers import CFG, NEGATIVE, PROMPT, SEED, STEPS, control_picture

STRENGTH = 0.8
KINDS: dict[str, dict[str, Any]] = {
    "full_adapter": {"channels": [32, 64], "num_res_blocks": 2},
    "light_adapter": {"channels": [32, 64], "num_res_blocks": 2},
    "grey": {"channels": [32, 64], "num_res_blocks": 2, "in_channels": 1, "adapter_type": "full_adapter"},
}


def adapter(kind: str) -> Any:
    from diffusers.models.adapter import T2IAdapter

    torch.manual_seed(4)
    return T2IAdapter(**{"adapter_type": kind} | KINDS[kind]).eval().requires_grad_(False)


def original(state: dict[str, Any]) -> dict[str, Any]:
    """TencentARC's names, in which layers of all levels of a full adapter are counted through."""
    light = "adapter.body.0.out_conv.weight" in state

    def theirs(name: str) -> str:
        bare = name.removeprefix("adapter.")
        if light:
            return re.sub(r"\.resnets\.", ".body.", bare)
        bare = re.sub(r"body\.(\d+)\.in_conv", lambda found: f"body.{2 * int(found[1])}.in_conv", bare)
        counted = re.compile(r"body\.(\d+)\.resnets\.(\d+)\.")
        return counted.sub(lambda found: f"body.{2 * int(found[1]) + int(found[2])}.", bare)

    return {theirs(name): value for name, value in state.items()}


def loaded(bench: Bench, state: dict[str, Any]) -> Any:
    save(bench.paths.base / "models" / "controlnet" / "adapter.safetensors", state)
    return control_net_loader(bench, "adapter.safetensors")


def ours(bench: Bench, *controls: Any) -> torch.Tensor:
    model, clip, vae = checkpoint_loader(bench, "tiny.safetensors")
    both = [text_encode(bench, text, clip) for text in (PROMPT, NEGATIVE)]
    for control in controls:
        both = control_net_apply_advanced(*both, control, control_picture(), STRENGTH)
    settings = {"seed": SEED, "steps": STEPS, "cfg": CFG, "sampler_name": "euler", "scheduler": "normal"}
    latent = {"samples": torch.zeros(1, 4, 8, 8)}
    made = ksampler(bench, model, **settings, positive=both[0], negative=both[1], latent_image=latent)
    return vae_decode(bench, made, vae)


def theirs(tiny_sd: Any, module: Any, picture: torch.Tensor) -> torch.Tensor:
    from diffusers.pipelines.t2i_adapter.pipeline_stable_diffusion_adapter import StableDiffusionAdapterPipeline
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    beta = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    made = StableDiffusionAdapterPipeline(
        **{name: tiny_sd.modules[name] for name in ("vae", "text_encoder", "unet")},
        tokenizer=clip_tokenizers(tiny_sd.tokenizer_files)["tokenizer"],
        adapter=module,
        scheduler=EulerDiscreteScheduler(**beta, timestep_spacing="linspace"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.set_progress_bar_config(disable=True)
    made.scheduler.set_timesteps(STEPS)
    sigma = float(made.scheduler.init_noise_sigma)
    noise = initial_noise(torch.zeros(1, 4, 8, 8), SEED) * (1.0 + sigma**2) ** 0.5 / sigma
    result = made(
        PROMPT,
        picture,
        64,
        64,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=CFG,
        adapter_conditioning_scale=STRENGTH,
        latents=noise,
        output_type="np",
    )
    return torch.from_numpy(result.images)


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_gives_the_pipelines_picture_from_either_naming(kind, bench, tiny_sd):
    module = adapter(kind)
    made = ours(bench, loaded(bench, module.state_dict()))
    seen = control_picture().movedim(-1, 1)
    expected = theirs(tiny_sd, module, seen.mean(dim=1, keepdim=True) if kind == "grey" else seen)
    assert difference(made, expected) <= 1e-4
    assert difference(made, ours(bench)) > 1e-3
    assert torch.equal(ours(bench, loaded(bench, original(module.state_dict()))), made)


def test_an_adapter_of_xl_gives_the_pipelines_picture(tiny_sd, tmp_path):
    from diffusers.models.adapter import T2IAdapter
    from diffusers.pipelines.t2i_adapter.pipeline_stable_diffusion_xl_adapter import StableDiffusionXLAdapterPipeline

    tiny = write_xl(tmp_path, tiny_sd.tokenizer_files, _tokenizer_json(tiny_sd.tokenizer_files))
    torch.manual_seed(4)
    sizes = {"channels": [32, 64, 64, 64], "num_res_blocks": 2, "downscale_factor": 16}
    module = T2IAdapter(adapter_type="full_adapter_xl", **sizes).eval().requires_grad_(False)
    bench = xl_runs.bench_of(tiny)
    model, clip, vae = checkpoint_loader(bench, "xl.safetensors")
    both = [text_encode(bench, text, clip) for text in (xl_runs.PROMPT, xl_runs.NEGATIVE)]
    picture = torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(3))
    steered = control_net_apply_advanced(*both, loaded(bench, module.state_dict()), picture, STRENGTH)
    made = xl_runs.ours(bench, model, *steered, vae)
    pipeline = StableDiffusionXLAdapterPipeline(
        **tiny.modules, **tiny.tokenizers, adapter=module, scheduler=xl_runs.scheduler()
    )
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        xl_runs.PROMPT,
        negative_prompt=xl_runs.NEGATIVE,
        image=picture.movedim(-1, 1),
        num_inference_steps=xl_runs.STEPS,
        guidance_scale=xl_runs.CFG,
        adapter_conditioning_scale=STRENGTH,
        latents=xl_runs.noise_for(pipeline, 64, 96),
        height=64,
        width=96,
        output_type="pt",
    ).images.movedim(1, -1)
    assert difference(made, expected) <= 1e-4
    assert difference(made, xl_runs.ours(bench, model, *both, vae)) > 1e-3


def test_an_adapter_stands_beside_a_controlnet_and_another_adapter(bench):
    control, one = control_net_loader(bench, "edges.safetensors"), loaded(bench, adapter("full_adapter").state_dict())
    both, twice = ours(bench, control, one), ours(bench, one, one)
    assert torch.equal(both, ours(bench, control, one))
    assert min(difference(both, ours(bench, other)) for other in (control, one)) > 1e-4
    assert difference(twice, ours(bench, one)) > 1e-4


def test_the_full_size_adapters_are_told_by_names_and_shapes():
    from diffusers.models.adapter import T2IAdapter

    from engine.models import controls

    sizes = {
        "full_adapter": {},
        "light_adapter": {"channels": [320, 640, 1280], "num_res_blocks": 4},
        "full_adapter_xl": {"downscale_factor": 16},
    }
    for kind, told in sizes.items():
        with torch.device("meta"):
            module = T2IAdapter(adapter_type=kind, **told)
        for state in (module.state_dict(), original(module.state_dict())):
            shapes = {name: tuple(value.shape) for name, value in state.items()}
            assert controls.kind_in(shapes) == "t2i_adapter"
            known = controls.kind_named("t2i_adapter")
            found = known.config(shapes, {}, lambda name: 0.0)
            assert found == {name: module.config[name] for name in found}
            assert known.renamed(state, found).keys() == module.state_dict().keys()


def test_an_adapter_of_another_models_widths_is_refused(bench):
    from diffusers.models.adapter import T2IAdapter

    wide = T2IAdapter(channels=[32, 96]).state_dict()
    with pytest.raises(ModelError, match=r"levels of \[32, 96\] channels, got Stable Diffusion 1.x with levels of"):
        ours(bench, loaded(bench, wide))
