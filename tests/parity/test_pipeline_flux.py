"""FLUX.1: whole runs by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import torch

from engine.models.manager import ModelManager
from engine.paths import Paths
from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.conditioning_edit import reference_latent
from nodes.conditioning_flux import flux_disable_guidance
from nodes.loaders import checkpoint_loader, denoiser_loader, dual_text_encoder_loader, vae_loader
from nodes.sampling import ksampler
from nodes.t5_options import t5_tokenizer_options
from nodes.vae import vae_decode, vae_encode
from tests.conftest import Bench, _tokenizer_json
from tests.families import Tiny, save, write_flux

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SEED, STEPS = 11, 4


@pytest.fixture(scope="module")
def dev(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    return write_flux(tmp_path_factory.mktemp("tiny_flux"), files, _tokenizer_json(files))


@pytest.fixture(scope="module")
def schnell(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    return write_flux(tmp_path_factory.mktemp("tiny_schnell"), files, _tokenizer_json(files), guidance=False)


def bench_of(tiny: Tiny) -> Bench:
    folders = [tiny.base / "models" / "text_encoders"]
    return Bench(ModelManager("cpu", tokenizer_dirs=folders), Paths(tiny.base))


def theirs(tiny: Tiny, sigmas: list[float], height: int, width: int, **told: Any) -> torch.Tensor:
    from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    pipeline = FluxPipeline(scheduler=FlowMatchEulerDiscreteScheduler(), **tiny.modules, **tiny.tokenizers)
    pipeline.set_progress_bar_config(disable=True)
    noise = initial_noise(torch.zeros(1, 16, height // 8, width // 8), SEED)
    result = pipeline(
        PROMPT,
        num_inference_steps=STEPS,
        sigmas=sigmas,  # our own levels: how schedules are made is tested elsewhere
        latents=FluxPipeline._pack_latents(noise, 1, 16, height // 8, width // 8),
        height=height,
        width=width,
        max_sequence_length=256,
        output_type="pt",
        **told,
    )
    return result.images.movedim(1, -1)


def levels(model: Any) -> list[float]:
    from engine.sampling.noise_schedule import NoiseSchedule
    from engine.sampling.schedules import compute_sigmas

    return compute_sigmas(NoiseSchedule.of(model.parameterization), "simple", STEPS).tolist()[:-1]


def ours(
    bench: Bench, model: Any, positive: Any, negative: Any, vae: Any, height: int, width: int, cfg: float = 1.0
) -> torch.Tensor:
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    empty = {"samples": torch.zeros(1, 16, height // 8, width // 8)}
    latent = ksampler(bench, model, **settings, positive=positive, negative=negative, latent_image=empty)
    return vae_decode(bench, latent, vae)


def with_guidance(conditioning: Any, guidance: float) -> Any:
    return [[context, {**options, "guidance": guidance}] for context, options in conditioning]


@pytest.mark.parametrize("layout", ["checkpoint", "files"])
def test_dev_gives_the_pipelines_picture_from_either_layout(dev, layout):
    bench = bench_of(dev)
    if layout == "checkpoint":
        model, clip, vae = checkpoint_loader(bench, "flux.safetensors")
    else:
        model = denoiser_loader(bench, "flux.safetensors")
        clip = dual_text_encoder_loader(bench, "t5xxl.safetensors", "clip_l.safetensors", "flux")
        vae = vae_loader(bench, "ae.safetensors")
    assert model.family == "flux"
    assert model.parameterization.shift == pytest.approx(3.158193)
    positive = with_guidance(text_encode(bench, PROMPT, clip), 2.5)
    picture = ours(bench, model, positive, text_encode(bench, "", clip), vae, 64, 96)
    expected = theirs(dev, levels(model), 64, 96, guidance_scale=2.5)
    assert float((picture - expected).abs().max()) <= 1e-4
    other = ours(bench, model, text_encode(bench, PROMPT, clip), text_encode(bench, "", clip), vae, 64, 96)
    assert float((other - theirs(dev, levels(model), 64, 96, guidance_scale=3.5)).abs().max()) <= 1e-4, (
        "3.5 if nothing is said"
    )
    assert float((other - picture).abs().max()) > 1e-4


def test_dev_can_be_told_no_guidance_at_all(dev):
    """As if what makes an embedding of it gave nothing."""
    bench = bench_of(dev)
    model, clip, vae = checkpoint_loader(bench, "flux.safetensors")
    positive, negative = text_encode(bench, PROMPT, clip), text_encode(bench, "", clip)
    picture = ours(bench, model, flux_disable_guidance(positive), negative, vae, 64, 64)
    silent = copy.deepcopy(dev.modules["transformer"])
    for weight in silent.time_text_embed.guidance_embedder.linear_2.parameters():
        weight.data.zero_()
    expected = theirs(replace(dev, modules={**dev.modules, "transformer": silent}), levels(model), 64, 64)
    assert float((picture - expected).abs().max()) <= 1e-4
    told = ours(bench, model, positive, negative, vae, 64, 64)
    assert float((told - picture).abs().max()) > 1e-4
    assert "guidance" not in positive[0][1]


def test_real_guidance_has_two_branches(dev):
    bench = bench_of(dev)
    model, clip, vae = checkpoint_loader(bench, "flux.safetensors")
    positive, negative = (with_guidance(text_encode(bench, text, clip), 1.0) for text in (PROMPT, NEGATIVE))
    picture = ours(bench, model, positive, negative, vae, 64, 64, cfg=3.0)
    expected = theirs(dev, levels(model), 64, 64, guidance_scale=1.0, negative_prompt=NEGATIVE, true_cfg_scale=3.0)
    assert float((picture - expected).abs().max()) <= 1e-4


def test_schnell_takes_no_guidance_and_its_levels_are_not_shifted(schnell):
    bench = bench_of(schnell)
    model, clip, vae = checkpoint_loader(bench, "flux.safetensors")
    assert (model.parameterization.shift, model.config["guidance_embeds"]) == (1.0, False)
    assert levels(model) == pytest.approx([1.0, 0.75, 0.5, 0.25])
    picture = ours(bench, model, text_encode(bench, PROMPT, clip), text_encode(bench, "", clip), vae, 64, 64)
    assert float((picture - theirs(schnell, levels(model), 64, 64)).abs().max()) <= 1e-4


def test_t5_reads_the_whole_prompt_in_one_row_of_at_least_256_tokens(dev):
    bench = bench_of(dev)
    clip = checkpoint_loader(bench, "flux.safetensors").CLIP
    assert text_encode(bench, PROMPT, clip)[0][0].shape == (1, 256, 24)
    assert text_encode(bench, "red apple " * 200, clip)[0][0].shape == (1, 401, 24)
    plain, weighted = (text_encode(bench, text, clip)[0][0] for text in ("red apple", "red (apple:1.5)"))
    empty = text_encode(bench, "", clip)[0][0]
    assert torch.equal(plain[:, 0], weighted[:, 0])
    assert torch.allclose(weighted[:, 1], empty[:, 1] + 1.5 * (plain[:, 1] - empty[:, 1]), atol=1e-6)


def test_odd_sides_are_filled_up_and_cut_off_again(dev):
    bench = bench_of(dev)
    model, clip, _ = checkpoint_loader(bench, "flux.safetensors")
    told = text_encode(bench, PROMPT, clip)
    with bench.models.use(model) as network:
        x = torch.randn(1, 16, 5, 7)
        given = network.inputs(told[0][1], x, True)
        got = network(x, torch.full((1,), 5000.0), told[0][0], options=given)
        filled = torch.nn.functional.pad(x, (0, 1, 0, 1), mode="circular")
        whole = network(filled, torch.full((1,), 5000.0), told[0][0], options=given)
    assert got.shape == x.shape
    assert torch.equal(got, whole[..., :5, :7])


def test_a_conditioning_of_another_family_is_refused_before_sampling(dev, bench, tiny_sd):
    from engine.models.errors import ModelError

    flux = bench_of(dev)
    model = checkpoint_loader(flux, "flux.safetensors").MODEL
    clip = checkpoint_loader(bench, "tiny.safetensors").CLIP
    foreign = text_encode(bench, PROMPT, clip)
    with pytest.raises(ModelError, match=r"flux\.safetensors: expected a conditioning of width 24, got 32"):
        ours(flux, model, foreign, foreign, None, 64, 64)
    bare = [[foreign[0][0], {}]]
    with pytest.raises(ModelError, match=r"pooled text of width 32, got none.*text encoders, clip_l and t5xxl"):
        ours(flux, model, bare, bare, None, 64, 64)


def lora(tiny: Tiny) -> dict[str, torch.Tensor]:
    """Changes of the library's modules, stacked projections among them, and of the last norm."""
    torch.manual_seed(9)
    modules = dict(tiny.modules["transformer"].named_modules())
    names = [
        name
        for name in modules
        if ".attn.to_" in name or ".attn.add_" in name or name.endswith(("proj_mlp", "norm_out.linear"))
    ]
    linears = {name: modules[name] for name in names if isinstance(modules[name], torch.nn.Linear)}
    return {name: torch.randn_like(linear.weight) * 0.1 for name, linear in linears.items()}


@pytest.mark.parametrize("naming", ["kohya", "original", "diffusers"])
def test_a_lora_of_either_layout_changes_the_same_weights(dev, naming):
    """Full-rank, so that it can be told from the weights: the stacked modules of the original layout are several here."""
    from engine.models.networks.flux_sizes import fused, paths

    changes = lora(dev)
    config = dev.modules["transformer"].config
    tensors: dict[str, torch.Tensor] = {}
    if naming == "diffusers":
        for name, change in changes.items():
            tensors[f"transformer.{name}.lora_A.weight"] = torch.eye(change.shape[1])
            tensors[f"transformer.{name}.lora_B.weight"] = change
    else:
        stacked = fused(config)
        original = {theirs: changes[ours] for ours, theirs in paths(config).items() if ours in changes}
        for path, parts in stacked.items():
            rows = max(end for one in parts.values() for _, end in one)
            whole = torch.zeros(rows, changes[next(iter(parts))].shape[1])
            for part, pieces in parts.items():
                at = 0
                for start, end in pieces:
                    whole[start:end] = changes[part][at : at + end - start]
                    at += end - start
            original[path] = whole
        for path, change in original.items():
            key = f"lora_unet_{path.replace('.', '_')}" if naming == "kohya" else f"diffusion_model.{path}"
            tensors[f"{key}.lora_down.weight" if naming == "kohya" else f"{key}.lora_A.weight"] = torch.eye(
                change.shape[1]
            )
            tensors[f"{key}.lora_up.weight" if naming == "kohya" else f"{key}.lora_B.weight"] = change
    save(dev.file("loras", f"{naming}.safetensors"), tensors)
    bench = bench_of(dev)
    model = checkpoint_loader(bench, "flux.safetensors").MODEL
    result = bench.models.lora(bench.paths.find("loras", f"{naming}.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    before = dev.modules["transformer"].state_dict()
    with bench.models.use(result.model) as network:
        after = network.module.state_dict()
    for name, value in after.items():
        wanted = (
            before[name] + 0.5 * changes.get(name.removesuffix(".weight"), torch.zeros(1))
            if name.endswith("weight")
            else before[name]
        )
        assert torch.allclose(value, wanted, atol=1e-6), name
    with bench.models.use(model) as network:
        assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items()), (
            "off again, exactly"
        )


def test_t5_pads_as_it_is_told_and_the_other_encoder_stays(dev):
    bench = bench_of(dev)
    clip = dual_text_encoder_loader(bench, "clip_l.safetensors", "t5xxl.safetensors", "flux")
    with bench.models.use(t5_tokenizer_options(clip, 3, 0)) as told, bench.models.use(clip) as plain:
        ids = told.encoders[1].tokenizer.ids("red apple")
        least, padded = told.encode("red apple"), plain.encode("red apple")
    assert [tower.tokens.padding for tower in t5_tokenizer_options(clip, 3, 0).towers] == [0, 3]
    assert padded.context.shape[1] == 256
    assert least.context.shape[1] == len(ids) + 1 + 3
    with bench.models.use(t5_tokenizer_options(clip, 3, 20)) as told:
        assert told.encode("red apple").context.shape[1] == 20
    assert torch.equal(least.options["pooled_output"], padded.options["pooled_output"])  # CLIP's
    module = dev.modules["text_encoder_2"]
    theirs = module(torch.tensor([[*ids, 1, 0, 0, 0]]))[0]
    assert torch.allclose(least.context, theirs, atol=1e-5)


def test_a_tokenizer_that_is_not_there_is_told_with_its_place(dev, tmp_path):
    from engine.models.errors import TokenizerError

    clip = checkpoint_loader(bench_of(dev), "flux.safetensors").CLIP
    told = clip.with_towers([msgspec.structs.replace(tower, tokenizer=None) for tower in clip.towers])
    manager = ModelManager("cpu", tokenizer_dirs=[tmp_path])
    with pytest.raises(
        TokenizerError,
        match=r"encoder clip_l\. Run .safelight tokenizers fetch., or put .*openai/clip-vit-large-patch14 at .*clip/tokenizer\.json",
    ):
        manager.use(told.towers[0]).__enter__()
    with pytest.raises(TokenizerError, match=r"encoder t5xxl\. Run .*google/t5-v1_1-xxl at .*t5/tokenizer\.json"):
        manager.use(told.towers[1]).__enter__()


def packed(path: Any, *, scale: str) -> dict[str, torch.Tensor]:
    """A file's matrices in float8, divided by a factor where `scale` names it; what they stand for goes into the result."""
    from safetensors.torch import load_file

    tensors, meant = {}, {}
    for name, value in load_file(path).items():
        if value.ndim != 2 or not name.endswith(".weight"):
            tensors[name] = meant[name] = value
            continue
        factor = value.abs().max() / 448 if scale else torch.tensor(1.0)
        if scale == "weight_scale":  # one for each row
            factor = value.abs().amax(dim=1, keepdim=True) / 448
        tensors[name] = (value / factor).to(torch.float8_e4m3fn)
        meant[name] = tensors[name].float() * factor
        if scale:
            tensors[name.replace(".weight", f".{scale}")] = factor
    if scale == "scale_weight":
        tensors["scaled_fp8"] = torch.empty(0, dtype=torch.float8_e4m3fn)
    save(path.with_name("packed.safetensors"), tensors)
    return meant


@pytest.mark.parametrize("scale", ["", "scale_weight", "weight_scale"])
def test_weights_in_fp8_stand_for_what_they_were_divided_by(dev, scale):
    bench = bench_of(dev)
    for folder, original in (("diffusion_models", "flux.safetensors"), ("text_encoders", "t5xxl.safetensors")):
        meant = packed(dev.file(folder, original), scale=scale)
        save(dev.file(folder, "meant.safetensors"), meant, {"safelight.config": '{"unet": {"axes": [2, 6, 8]}}'})
    contexts, states = [], []
    for name in ("packed.safetensors", "meant.safetensors"):
        clip = dual_text_encoder_loader(bench, name, "clip_l.safetensors", "flux")
        contexts.append(text_encode(bench, PROMPT, clip)[0][0])
        with bench.models.use(denoiser_loader(bench, name)) as network:
            states.append({key: value.clone() for key, value in network.module.state_dict().items()})
    assert torch.equal(*contexts)
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_weights_packed_in_another_way_are_refused(dev):
    from safetensors.torch import load_file

    from engine.models.errors import CheckpointError

    tensors = load_file(dev.file("diffusion_models", "flux.safetensors"))
    tensors["img_in.weight"] = tensors["img_in.weight"].to(torch.int8)
    tensors["img_in.weight_scale"] = torch.ones(1)
    save(dev.file("diffusion_models", "int8.safetensors"), tensors)
    tensors["img_in.weight"] = tensors["img_in.weight"].to(torch.float8_e4m3fn)
    tensors["img_in.weight_scale"] = torch.ones(32, 2)  # one for each block of 32
    save(dev.file("diffusion_models", "blocks.safetensors"), tensors)
    bench = bench_of(dev)
    for name, told in (
        ("int8", r"img_in\.weight is kept as I8"),
        ("blocks", r"img_in\.weight is kept as F8_E4M3 \[32, 64\] with weight_scale \[32, 2\]"),
    ):
        with pytest.raises(CheckpointError, match=rf"{name}\.safetensors: {told}"):
            denoiser_loader(bench, f"{name}.safetensors")


def test_a_picture_to_go_by_gives_the_pipelines_picture(dev):
    """FLUX.1 Kontext has the network of dev, and sees an encoded picture beside the one it makes."""
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    bench = bench_of(dev)
    model, clip, vae = checkpoint_loader(bench, "flux.safetensors")
    picture = torch.rand(1, 48, 80, 3, generator=torch.Generator().manual_seed(5))
    told = with_guidance(text_encode(bench, PROMPT, clip), 2.5)
    plain = ours(bench, model, told, told, vae, 64, 96)
    positive = reference_latent(told, vae_encode(bench, picture, vae))
    got = ours(bench, model, positive, told, vae, 64, 96)
    pipeline = FluxKontextPipeline(scheduler=FlowMatchEulerDiscreteScheduler(), **dev.modules, **dev.tokenizers)
    pipeline.set_progress_bar_config(disable=True)
    result = pipeline(
        image=picture.movedim(-1, 1),
        prompt=PROMPT,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=2.5,
        latents=pipeline._pack_latents(initial_noise(torch.zeros(1, 16, 8, 12), SEED), 1, 16, 8, 12),
        height=64,
        width=96,
        max_sequence_length=256,
        max_area=64 * 96,
        output_type="pt",
        _auto_resize=False,
    )
    assert float((got - result.images.movedim(1, -1)).abs().max()) <= 1e-4
    assert float((got - plain).abs().max()) > 1e-3


def test_several_pictures_to_go_by_lie_beside_or_below_one_another(dev):
    """The field's rule: each goes where the sheet stays nearer to a square; it is a sheet of its own, number 1."""
    from engine.models.networks.flux import _all_places

    x, wide, tall = torch.zeros(1, 16, 4, 4), torch.zeros(1, 16, 4, 8), torch.zeros(1, 16, 8, 4)
    found = _all_places(x, [wide, wide, tall])
    assert found[:4, 0].tolist() == [0] * 4
    corners = [found[at].tolist() for at in (4, 4 + 8, 4 + 16)]
    assert corners == [[1, 0, 0], [1, 2, 0], [1, 0, 4]]


def test_pictures_to_go_by_may_be_sheets_of_their_own_or_lie_on_the_pictures(dev):
    from engine.models.errors import ModelError
    from engine.models.networks.flux import _all_places
    from nodes.conditioning_edit import reference_latents_method

    x, wide, tall = torch.zeros(1, 16, 4, 4), torch.zeros(1, 16, 4, 8), torch.zeros(1, 16, 8, 4)
    corners = {
        method: [_all_places(x, [wide, tall], method)[at].tolist() for at in (4, 4 + 8)] for method in ("index", "uxo")
    }
    assert corners == {"index": [[1, 0, 0], [2, 0, 0]], "uxo": [[0, 2, 2], [0, 4, 6]]}
    bench = bench_of(dev)
    model, clip, vae = checkpoint_loader(bench, "flux.safetensors")
    told = reference_latent(text_encode(bench, PROMPT, clip), {"samples": torch.ones(1, 16, 8, 8)})
    pictures = [
        ours(bench, model, reference_latents_method(told, method), told, vae, 64, 64)
        for method in ("offset", "uxo/uno")
    ]
    assert float((pictures[0] - pictures[1]).abs().max()) > 1e-4
    with pytest.raises(ModelError, match=r"FLUX\.1 knows offset, index, uxo, got 'index_timestep_zero'"):
        ours(bench, model, reference_latents_method(told, "index_timestep_zero"), told, vae, 64, 64)
