"""A whole text-to-image run with LoRA and ControlNet, by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.controlnet import control_net_apply_advanced
from nodes.loaders import checkpoint_loader, control_net_loader, lora_loader
from nodes.sampling import ksampler
from nodes.vae import vae_decode

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SEED, CFG, CONTROL = 11, 7.0, 0.8
# 999 = 9 * 111: the ten even timesteps are whole, so that how each side interpolates between trained ones does not matter.
STEPS = 10


def control_picture() -> torch.Tensor:
    """Stripes and a disc, (1, 64, 64, 3)."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    disc = ((rows - 32) ** 2 + (columns - 32) ** 2 < 400).float()
    stripes = (columns % 16 < 8).float()
    return torch.stack([disc, stripes, disc * stripes], dim=-1)[None]


@pytest.fixture
def pipeline(tiny_sd, tmp_path) -> Any:
    """Its own copy of the modules, because loading a LoRA changes them."""
    from copy import deepcopy

    from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
    from transformers import CLIPTokenizer

    vocabulary, merges = tiny_sd.tokenizer_files
    pairs = [tuple(line.split()) for line in merges.read_text().splitlines()[1:]]
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace"
    )
    made = StableDiffusionControlNetPipeline(
        **deepcopy(tiny_sd.modules),
        tokenizer=CLIPTokenizer(vocab=json.loads(vocabulary.read_text()), merges=pairs, model_max_length=77),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.set_progress_bar_config(disable=True)
    return made


def theirs(pipeline: Any, steps: int = STEPS) -> torch.Tensor:
    """The picture (1, 64, 64, 3) of the pipeline from the noise that our seed means."""
    pipeline.scheduler.set_timesteps(steps)
    sigma = float(pipeline.scheduler.init_noise_sigma)
    # diffusers starts an evenly spaced run from sigma * noise, we (as the field) from sqrt(1 + sigma^2) * noise.
    noise = initial_noise(torch.zeros(1, 4, 8, 8), SEED) * math.sqrt(1.0 + sigma**2) / sigma
    result = pipeline(
        PROMPT,
        image=control_picture().movedim(-1, 1),
        negative_prompt=NEGATIVE,
        num_inference_steps=steps,
        guidance_scale=CFG,
        controlnet_conditioning_scale=CONTROL,
        latents=noise,
        height=64,
        width=64,
        output_type="pt",
    )
    return result.images.movedim(1, -1)


def ours(bench: Any, loras: dict[str, float], control: float = CONTROL) -> torch.Tensor:
    """The same by calling nodes."""
    model, clip, vae = checkpoint_loader(bench, "tiny.safetensors")
    for name, strength in loras.items():
        model, clip = lora_loader(bench, model, clip, f"{name}.safetensors", strength, strength)
    positive, negative = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    edges = control_net_loader(bench, "edges.safetensors")
    steered = control_net_apply_advanced(positive, negative, edges, control_picture(), control)._asdict()
    settings = {"seed": SEED, "steps": STEPS, "cfg": CFG, "sampler_name": "euler", "scheduler": "normal"}
    latent = ksampler(bench, model, **steered, latent_image={"samples": torch.zeros(1, 4, 8, 8)}, **settings)
    return vae_decode(bench, latent, vae)


@pytest.mark.parametrize(
    "loras",
    [{}, {"kohya": 0.8}, {"diffusers": -0.5}, {"kohya": 0.8, "diffusers": 0.6}],
    ids=lambda x: "+".join(x) or "none",
)
def test_a_run_with_loras_and_a_controlnet_gives_the_pipelines_picture(bench, tiny_sd, pipeline, loras):
    for name in loras:
        pipeline.load_lora_weights(dict(tiny_sd.loras[name]), adapter_name=name)
    if loras:
        pipeline.set_adapters(list(loras), adapter_weights=list(loras.values()))
    difference = (ours(bench, loras) - theirs(pipeline)).abs().max()
    assert float(difference) <= 1e-4


def test_the_comparison_would_notice_a_lora_or_a_control_left_out(bench):
    """Guards the test above: each part moves the picture by far more than its tolerance."""
    full = ours(bench, {"kohya": 0.8, "diffusers": 0.6})
    for other in (
        ours(bench, {"kohya": 0.8}),
        ours(bench, {"diffusers": 0.6}),
        ours(bench, {"kohya": 0.8, "diffusers": 0.6}, 0.0),
    ):
        assert float((full - other).abs().max()) > 1e-2


def test_the_same_graph_run_by_the_executor_gives_the_pipelines_picture(tiny_sd, pipeline, tmp_path):
    """Saved as a workflow would be: files by name, the control picture loaded from the input folder."""
    from PIL import Image

    from engine.__main__ import make_app
    from engine.graph.prompt import prompt_from_json

    (tmp_path / "models").symlink_to(tiny_sd.base / "models")
    (tmp_path / "input").mkdir()
    Image.fromarray((control_picture()[0] * 255).byte().numpy()).save(tmp_path / "input" / "control.png")
    app = make_app(tmp_path)
    library, cache = app.load_library(), app.open_cache(False)
    executor = app.open_executor(library, cache)
    try:
        result = executor.run_sync(prompt_from_json(graph()), ["10"], values=["10"])
    finally:
        executor.close()
        cache.close()
    assert result.status == "done", result.failures
    pipeline.load_lora_weights(dict(tiny_sd.loras["kohya"]), adapter_name="kohya")
    pipeline.set_adapters(["kohya"], adapter_weights=[0.8])
    assert float((result.values["10"][0] - theirs(pipeline)).abs().max()) <= 1e-4


def graph() -> dict[str, Any]:
    """The names are those of the field, as in a workflow saved elsewhere."""
    nodes: list[tuple[str, dict[str, Any]]] = [
        ("CheckpointLoaderSimple", {"ckpt_name": "tiny.safetensors"}),
        ("LoraLoader", lora_inputs("kohya", 0.8)),
        ("CLIPTextEncode", {"text": PROMPT, "clip": ["2", 1]}),
        ("CLIPTextEncode", {"text": NEGATIVE, "clip": ["2", 1]}),
        ("ControlNetLoader", {"control_net_name": "edges.safetensors"}),
        ("LoadImage", {"image": "control.png"}),
        ("ControlNetApplyAdvanced", control_inputs()),
        ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        ("KSampler", sampler_inputs()),
        ("VAEDecode", {"samples": ["9", 0], "vae": ["1", 2]}),
    ]
    return {str(at): {"class_type": name, "inputs": inputs} for at, (name, inputs) in enumerate(nodes, start=1)}


def lora_inputs(name: str, strength: float) -> dict[str, Any]:
    strengths = {"strength_model": strength, "strength_clip": strength}
    return {"model": ["1", 0], "clip": ["1", 1], "lora_name": f"{name}.safetensors", **strengths}


def control_inputs() -> dict[str, Any]:
    links = {"positive": ["3", 0], "negative": ["4", 0], "control_net": ["5", 0], "image": ["6", 0]}
    return {**links, "strength": CONTROL, "start_percent": 0.0, "end_percent": 1.0}


def sampler_inputs() -> dict[str, Any]:
    links = {"model": ["2", 0], "positive": ["7", 0], "negative": ["7", 1], "latent_image": ["8", 0]}
    names = {"sampler_name": "euler", "scheduler": "normal"}
    return {**links, **names, "seed": SEED, "steps": STEPS, "cfg": CFG, "denoise": 1.0}
