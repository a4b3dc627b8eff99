"""Stable Diffusion 3: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models import weights
from engine.models.manager import ModelManager
from engine.paths import Paths
from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.conditioning_sd3 import text_encode_sd3
from nodes.loaders import (
    checkpoint_loader,
    dual_text_encoder_loader,
    lora_loader_model_only,
    text_encoder_loader,
    triple_text_encoder_loader,
)
from nodes.sampling import ksampler
from nodes.vae import vae_decode
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench, _tokenizer_json
from tests.families import Tiny, save, write_sd3

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SEED, STEPS, CFG = 11, 5, 4.0


@pytest.fixture(scope="module", params=["3", "3.5"])
def tiny(request, tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    folder = tmp_path_factory.mktemp(f"tiny_sd{request.param}")
    return write_sd3(folder, files, _tokenizer_json(files), newer=request.param == "3.5")


def bench_of(tiny: Tiny) -> Bench:
    return Bench(ModelManager("cpu", tokenizer_dirs=[tiny.base / "models" / "text_encoders"]), Paths(tiny.base))


def levels(model: Any) -> list[float]:
    from engine.sampling.noise_schedule import NoiseSchedule
    from engine.sampling.schedules import compute_sigmas

    return compute_sigmas(NoiseSchedule.of(model.parameterization), "simple", STEPS).tolist()[:-1]


def theirs(tiny: Tiny, sigmas: list[float], height: int, width: int) -> torch.Tensor:
    from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import StableDiffusion3Pipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    pipeline = StableDiffusion3Pipeline(scheduler=FlowMatchEulerDiscreteScheduler(), **tiny.modules, **tiny.tokenizers)
    pipeline.set_progress_bar_config(disable=True)
    result = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        sigmas=sigmas,  # our own levels: how schedules are made is tested elsewhere
        guidance_scale=CFG,
        latents=initial_noise(torch.zeros(1, 16, height // 8, width // 8), SEED),
        height=height,
        width=width,
        max_sequence_length=77,
        output_type="pt",
    )
    return result.images.movedim(1, -1)


def ours(bench: Bench, model: Any, clip: Any, vae: Any, height: int, width: int) -> torch.Tensor:
    positive, negative = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    settings = {"seed": SEED, "steps": STEPS, "cfg": CFG, "sampler_name": "euler", "scheduler": "simple"}
    empty = {"samples": torch.zeros(1, 16, height // 8, width // 8)}
    latent = ksampler(bench, model, **settings, positive=positive, negative=negative, latent_image=empty)
    return vae_decode(bench, latent, vae)


def test_a_prompt_gives_the_pipelines_picture(tiny):
    bench = bench_of(tiny)
    model, clip, vae = checkpoint_loader(bench, "sd3.safetensors")
    assert (model.family, model.parameterization.shift) == ("sd3", 3.0)
    expected = theirs(tiny, levels(model), 64, 96)
    assert float((ours(bench, model, clip, vae, 64, 96) - expected).abs().max()) <= 1e-4
    names = ("t5xxl.safetensors", "clip_g.safetensors", "clip_l.safetensors")
    files = triple_text_encoder_loader(bench, *names)
    assert [tower.tower for tower in files.towers] == ["clip_l", "clip_g", "t5xxl"]
    assert float((ours(bench, model, files, vae, 64, 96) - expected).abs().max()) <= 1e-4


def test_without_t5_the_clip_towers_stand_alone(tiny):
    bench = bench_of(tiny)
    _, whole, _ = checkpoint_loader(bench, "sd3.safetensors")
    _, clip, _ = checkpoint_loader(bench, "no_t5.safetensors")
    assert [tower.tower for tower in clip.towers] == ["clip_l", "clip_g"]
    [[context, told]], [[full, _]] = text_encode(bench, PROMPT, clip), text_encode(bench, PROMPT, whole)
    assert context.shape == (1, 77, 4096)
    assert full.shape == (1, 154, 96)
    assert torch.equal(context[..., :80], full[:, :77, :80])
    assert not context[..., 80:].any()
    assert told["pooled_output"].shape == (1, 72)


def test_every_tensor_of_the_network_is_the_pipelines(tiny):
    bench = bench_of(tiny)
    model = checkpoint_loader(bench, "sd3.safetensors").MODEL
    with bench.models.use(model) as network:
        state = network.module.state_dict()
    wanted = tiny.modules["transformer"].state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in state.items())
    assert weights.parameter_shapes(model)["pos_embed.pos_embed"] == (1, 144, 32)


def test_towers_in_files_may_be_left_out(tiny):
    """As in the field: zeros stand for a CLIP tower that is not there; T5 alone is its tokens alone."""
    bench = bench_of(tiny)
    _, whole, _ = checkpoint_loader(bench, "sd3.safetensors")
    [[full, told]] = text_encode(bench, PROMPT, whole)
    t5 = text_encoder_loader(bench, "t5xxl.safetensors", "sd3")
    [[context, options]] = text_encode(bench, PROMPT, t5)
    assert torch.equal(context, full[:, 77:])
    assert options["pooled_output"].shape == (1, 2048)
    assert not options["pooled_output"].any()
    both = dual_text_encoder_loader(bench, "t5xxl.safetensors", "clip_l.safetensors", "sd3")
    assert [tower.tower for tower in both.towers] == ["clip_l", "t5xxl"]
    clips = dual_text_encoder_loader(bench, "clip_g.safetensors", "clip_l.safetensors", "sd3")
    [[context, options]] = text_encode(bench, PROMPT, clips)
    assert torch.equal(context[..., :80], full[:, :77, :80])
    assert torch.equal(options["pooled_output"], told["pooled_output"])
    narrow = text_encoder_loader(bench, "clip_l.safetensors", "sd3")
    [[context, options]] = text_encode(bench, PROMPT, narrow)
    assert torch.equal(context[..., :32], full[:, :77, :32])
    assert not context[..., 32:].any()
    assert options["pooled_output"].shape == (1, 32 + 1280)


@pytest.mark.parametrize("naming", ["transformer.", "base_model.model.", KOHYA, "diffusion_model."])
def test_a_lora_changes_the_picture_as_in_the_pipeline_and_leaves_nothing_behind(tiny, naming):
    """In the library's names its projections are apart, in the original's queries, keys and values stand in one."""
    bench = bench_of(tiny)
    model, clip, vae = checkpoint_loader(bench, "sd3.safetensors")
    plain = ours(bench, model, clip, vae, 64, 64)
    module = tiny.modules["transformer"]
    pairs, tensors = low_rank(module, lambda name: "attn" in name or ".ff" in name), {}
    if naming == "diffusion_model.":
        from engine.models.networks.sd3_sizes import paths

        known = paths(module.config)
        pairs = {name: pair for name, pair in pairs.items() if name in known}
        tensors = under(naming, pairs, known)
        stacked = "joint_blocks.1.x_block.attn.qkv"
        down, up = torch.randn(2, 32) * 0.2, torch.randn(96, 2)
        tensors |= {f"{naming}{stacked}.lora_A.weight": down, f"{naming}{stacked}.lora_B.weight": up}
        for part, rows in zip("qkv", up.chunk(3), strict=True):
            pairs[f"transformer_blocks.1.attn.to_{part}"] = (down, rows)
    else:
        tensors = under(naming, pairs)
    assert len(pairs) > 5
    save(tiny.file("loras", "lora.safetensors"), tensors)
    patched = lora_loader_model_only(bench, model, "lora.safetensors", 0.6)
    with applied(module, pairs, 0.6):
        expected = theirs(tiny, levels(model), 64, 64)
    made = ours(bench, patched, clip, vae, 64, 64)
    assert float((made - expected).abs().max()) <= 1e-4
    assert float((made - plain).abs().max()) > 1e-3
    assert torch.equal(ours(bench, model, clip, vae, 64, 64), plain)


def test_a_text_for_each_encoder_is_what_the_pipeline_makes_of_three(tiny):
    from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import StableDiffusion3Pipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    bench = bench_of(tiny)
    clip = checkpoint_loader(bench, "sd3.safetensors").CLIP
    pipeline = StableDiffusion3Pipeline(scheduler=FlowMatchEulerDiscreteScheduler(), **tiny.modules, **tiny.tokenizers)
    texts = ("red apple", "blue dog", "a photo")
    context, _, pooled, _ = pipeline.encode_prompt(*texts, do_classifier_free_guidance=False, max_sequence_length=77)
    [[tokens, options]] = text_encode_sd3(bench, clip, *texts)
    torch.testing.assert_close(tokens, context, atol=1e-5, rtol=0)
    torch.testing.assert_close(options["pooled_output"], pooled, atol=1e-5, rtol=0)


def test_an_empty_text_is_none_or_a_prompt_without_words(tiny):
    bench = bench_of(tiny)
    clip = checkpoint_loader(bench, "sd3.safetensors").CLIP
    without = checkpoint_loader(bench, "no_t5.safetensors").CLIP
    words = text_encode_sd3(bench, clip, "red", "blue", "", "none")[0]
    assert words[0].shape[1] == 77  # of the CLIPs alone
    alone = text_encode_sd3(bench, without, "red", "blue", "")[0]
    torch.testing.assert_close(words[0][..., :80], alone[0][..., :80])
    torch.testing.assert_close(words[1]["pooled_output"], alone[1]["pooled_output"])
    prompt = text_encode_sd3(bench, clip, "red", "blue", "", "empty_prompt")[0][0]
    assert prompt.shape[1] == 154
    last = text_encode_sd3(bench, clip, "", "", "red apple")[0]
    whole = text_encode_sd3(bench, clip, "red", "blue", "red apple")[0][0]
    torch.testing.assert_close(last[0], whole[:, 77:])
    assert last[1]["pooled_output"].abs().max() == 0.0
    [[nothing, options]] = text_encode_sd3(bench, clip, "", "", "")
    assert nothing.shape == (1, 77, 4096)
    assert not nothing.any()
    assert options["pooled_output"].shape == (1, 2048)


def test_the_shorter_of_the_two_clip_texts_is_filled_up(tiny):
    bench = bench_of(tiny)
    clip = checkpoint_loader(bench, "sd3.safetensors").CLIP
    long = " ".join(["red"] * 90)
    found = text_encode_sd3(bench, clip, long, "blue", "dog")[0][0]
    assert found.shape[1] == 2 * 77 + 77
    assert torch.equal(found[:, :77, 32:80], text_encode_sd3(bench, clip, "red", "blue", "dog")[0][0][:, :77, 32:80])


def test_other_text_encoders_are_refused(bench):
    with pytest.raises(ValueError, match="expected the text encoders of Stable Diffusion 3, got those of sd1"):
        text_encode_sd3(bench, checkpoint_loader(bench, "tiny.safetensors").CLIP, "a", "b", "c")
