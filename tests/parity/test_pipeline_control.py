"""ControlNets of FLUX.1, Qwen-Image and Stable Diffusion 3: whole runs by our nodes and by diffusers' pipelines."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from nodes.conditioning import text_encode
from nodes.controlnet import (
    control_net_apply_advanced,
    control_net_apply_for_inpainting,
    control_net_apply_with_vae,
    set_union_control_net_type,
)
from nodes.loaders import checkpoint_loader, control_net_loader, denoiser_loader, text_encoder_loader, vae_loader
from tests.conftest import _tokenizer_json
from tests.families import Tiny, save, write_flux, write_sd3
from tests.runs import STEPS, bench_of, levels, library, noise, picture
from tests.tiny_control import flux_control, qwen_image_control, qwen_image_fun, sd3_control, stability, xlabs
from tests.tiny_qwen_image import write_qwen_image

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
STRENGTH = 0.7
HEIGHT, WIDTH = 64, 96


@pytest.fixture(autouse=True)
def means(monkeypatch):
    """The pipelines draw from what the VAE says; ours, as the field's, takes the mean."""
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())


@pytest.fixture(scope="module")
def flux(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    return write_flux(tmp_path_factory.mktemp("control_flux"), files, _tokenizer_json(files))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory) -> Tiny:
    return write_qwen_image(tmp_path_factory.mktemp("control_qwen"))


@pytest.fixture(scope="module")
def sd3(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    return write_sd3(tmp_path_factory.mktemp("control_sd3"), files, _tokenizer_json(files), newer=True)


def hint() -> torch.Tensor:
    return torch.rand(1, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(2))


def mask() -> torch.Tensor:
    """The right half, and a square of the left."""
    found = torch.zeros(1, HEIGHT, WIDTH)
    found[:, :, WIDTH // 2 :] = found[:, 16:32, 8:24] = 1.0
    return found


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).abs().max())


class Flux:
    """A run of FLUX.1, by our nodes and by the library."""

    def __init__(self, tiny: Tiny) -> None:
        self.tiny, self.bench = tiny, bench_of(tiny)
        self.model, clip, self.vae = checkpoint_loader(self.bench, "flux.safetensors")
        self.both = [
            [[context, {**told, "guidance": 2.5}] for context, told in text_encode(self.bench, text, clip)]
            for text in (PROMPT, NEGATIVE)
        ]

    def control(self, module: Any, tensors: Any = None) -> Any:
        told = {"safelight.config": json.dumps({"unet": {"axes": [2, 6, 8]}})}
        name = f"{abs(hash(str(module.config))):x}{tensors is None}.safetensors"
        save(self.tiny.file("controlnet", name), module.state_dict() if tensors is None else tensors, told)
        return control_net_loader(self.bench, name)

    def ours(self, both: Any) -> torch.Tensor:
        return picture(self.bench, self.model, self.vae, *both, 1.0, HEIGHT, WIDTH)

    def theirs(self, module: Any, **told: Any) -> torch.Tensor:
        from diffusers.pipelines.flux.pipeline_flux_controlnet import FluxControlNetPipeline

        pipeline = library(FluxControlNetPipeline, self.tiny, controlnet=module)
        result = pipeline(
            PROMPT,
            control_image=hint().movedim(-1, 1) * 2 - 1,
            controlnet_conditioning_scale=STRENGTH,
            guidance_scale=2.5,
            num_inference_steps=STEPS,
            sigmas=levels(self.model),
            latents=FluxControlNetPipeline._pack_latents(noise(HEIGHT, WIDTH), 1, 16, HEIGHT // 8, WIDTH // 8),
            height=HEIGHT,
            width=WIDTH,
            max_sequence_length=256,
            output_type="pt",
            **told,
        )
        return result.images.movedim(1, -1)


def test_a_controlnet_of_flux_gives_the_pipelines_picture(flux):
    run, module = Flux(flux), flux_control()
    control = run.control(module)
    made = run.ours(control_net_apply_advanced(*run.both, control, hint(), STRENGTH, 0.0, 1.0, run.vae))
    assert difference(made, run.theirs(module)) <= 1e-4
    assert difference(made, run.ours(run.both)) > 1e-3
    again = control_net_apply_with_vae(*run.both, control, run.vae, hint(), STRENGTH)
    assert difference(made, run.ours(again)) == 0.0


@pytest.mark.parametrize("kind", ["openpose", "depth"])
def test_a_union_is_told_its_task(flux, kind):
    run, module = Flux(flux), flux_control(num_mode=10, num_layers=2, num_single_layers=0)
    control = set_union_control_net_type(run.control(module), kind)
    made = run.ours(control_net_apply_advanced(*run.both, control, hint(), STRENGTH, 0.0, 1.0, run.vae))
    number = {"openpose": 4, "depth": 2}[kind]
    assert difference(made, run.theirs(module, control_mode=number)) <= 1e-4
    untold = run.ours(
        control_net_apply_advanced(*run.both, set_union_control_net_type(control), hint(), STRENGTH, 0.0, 1.0, run.vae)
    )
    assert difference(made, untold) > 1e-5


@pytest.mark.parametrize("naming", ["library", "xlabs"])
def test_one_that_takes_pixels_repeats_its_layers(flux, naming):
    run = Flux(flux)
    module = flux_control(num_single_layers=0, patch_size=2, conditioning_embedding_channels=16)
    control = run.control(module, xlabs(module.state_dict()) if naming == "xlabs" else None)
    made = run.ours(control_net_apply_advanced(*run.both, control, hint(), STRENGTH))
    assert difference(made, run.theirs(module)) <= 1e-4
    assert difference(made, run.ours(run.both)) > 1e-3


def test_one_for_inpainting_sees_what_is_kept_and_where_it_is(flux, monkeypatch):
    """The library has no pipeline for it: its own is given the tokens that alimama's code makes."""
    from diffusers.pipelines.flux import pipeline_flux_controlnet

    run, module = Flux(flux), flux_control(extra_channels=4)
    control = run.control(module)
    made = run.ours(control_net_apply_for_inpainting(*run.both, control, run.vae, hint(), mask(), STRENGTH))
    pack = pipeline_flux_controlnet.FluxControlNetPipeline._pack_latents

    def with_mask(latents: torch.Tensor, batch: int, channels: int, height: int, width: int) -> torch.Tensor:
        small = torch.nn.functional.interpolate(mask()[:, None], size=(height, width))
        return torch.cat([pack(latents, batch, 16, height, width), pack(1 - small, batch, 1, height, width)], dim=2)

    blank = hint() * (1.0 - mask()[..., None])
    start = pack(noise(HEIGHT, WIDTH), 1, 16, HEIGHT // 8, WIDTH // 8)
    monkeypatch.setattr(f"{__name__}.hint", lambda: blank)
    monkeypatch.setattr(f"{__name__}.noise", lambda *_: start)
    ways = [with_mask, lambda x, *_: x]  # the noise's comes first

    def packed(*told: Any) -> torch.Tensor:
        return ways.pop()(*told)

    monkeypatch.setattr(pipeline_flux_controlnet.FluxControlNetPipeline, "_pack_latents", staticmethod(packed))
    assert difference(made, run.theirs(module)) <= 1e-4
    with pytest.raises(ModelError, match="for inpainting and was given no mask"):
        run.ours(control_net_apply_advanced(*run.both, control, hint(), STRENGTH, 0.0, 1.0, run.vae))


def test_what_is_missing_or_foreign_is_told_in_words(flux, sd3):
    run = Flux(flux)
    control = run.control(flux_control())
    with pytest.raises(ModelError, match="takes its picture as a latent, and was given no VAE"):
        run.ours(control_net_apply_advanced(*run.both, control, hint(), STRENGTH))
    bench = bench_of(sd3)
    model, clip, vae = checkpoint_loader(bench, "sd3.safetensors")
    both = [text_encode(bench, text, clip) for text in (PROMPT, NEGATIVE)]
    applied = control_net_apply_advanced(*both, control, hint(), STRENGTH, 0.0, 1.0, vae)
    with pytest.raises(ModelError, match=r"this ControlNet is for FLUX\.1, got Stable Diffusion 3"):
        picture(bench, model, vae, *applied, 1.0, HEIGHT, WIDTH)


def test_two_controlnets_add_up_whatever_their_layers(flux):
    """One of two layers that give half each is one that gives both."""
    run = Flux(flux)
    one, two = flux_control(num_single_layers=0), flux_control(num_layers=2, num_single_layers=1)
    first, second = run.control(one), run.control(two)
    both = control_net_apply_advanced(*run.both, first, hint(), 0.4, 0.0, 1.0, run.vae)
    both = control_net_apply_advanced(*both, second, hint(), 0.3, 0.0, 1.0, run.vae)
    made = run.ours(both)
    with run.bench.models.use(run.model) as network:
        halves = [len(found) for found in (network.module.transformer_blocks, network.module.single_transformer_blocks)]
    assert halves == [2, 2]
    other = control_net_apply_advanced(*run.both, second, hint(), 0.3, 0.0, 1.0, run.vae)
    other = control_net_apply_advanced(*other, first, hint(), 0.4, 0.0, 1.0, run.vae)
    assert difference(made, run.ours(other)) <= 1e-5
    twice = control_net_apply_advanced(*run.both, second, hint(), 0.15, 0.0, 1.0, run.vae)
    twice = control_net_apply_advanced(*twice, second, hint(), 0.15, 0.0, 1.0, run.vae)
    once = control_net_apply_advanced(*run.both, second, hint(), 0.3, 0.0, 1.0, run.vae)
    assert difference(run.ours(twice), run.ours(once)) <= 1e-5
    assert difference(made, run.ours(once)) > 1e-3


@pytest.mark.parametrize("inpainting", [False, True])
def test_a_controlnet_of_qwen_image_gives_the_pipelines_picture(qwen, inpainting):
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_controlnet as plain
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_controlnet_inpaint as filling

    bench, module = bench_of(qwen), qwen_image_control(extra_condition_channels=4 if inpainting else 0)
    file = qwen.file("controlnet", f"{inpainting}.safetensors")
    save(file, module.state_dict(), {"safelight.config": json.dumps({"unet": {"axes": [4, 6, 6]}})})
    model, vae = denoiser_loader(bench, "qwen_image.safetensors"), vae_loader(bench, "qwen_image_vae.safetensors")
    encoder = text_encoder_loader(bench, "qwen_2.5_vl_7b.safetensors", "qwen_image")
    both = [text_encode(bench, text, encoder) for text in (PROMPT, NEGATIVE)]
    control = control_net_loader(bench, file.name)
    if inpainting:
        applied = control_net_apply_for_inpainting(*both, control, vae, hint(), mask(), STRENGTH)
    else:
        applied = control_net_apply_advanced(*both, control, hint(), STRENGTH, 0.0, 1.0, vae)
    made = picture(bench, model, vae, *applied, 1.0, HEIGHT, WIDTH)
    kind = filling.QwenImageControlNetInpaintPipeline if inpainting else plain.QwenImageControlNetPipeline
    pipeline = library(kind, qwen, controlnet=module)
    packed = kind._pack_latents(noise(HEIGHT, WIDTH)[:, None], 1, 16, HEIGHT // 8, WIDTH // 8)
    told: dict[str, Any] = {"control_image": hint().movedim(-1, 1) * 2 - 1}
    told |= {"control_mask": mask()[:, None]} if inpainting else {}
    expected = pipeline(
        PROMPT,
        true_cfg_scale=1.0,
        controlnet_conditioning_scale=STRENGTH,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        latents=packed,
        height=HEIGHT,
        width=WIDTH,
        output_type="pt",
        **told,
    ).images.movedim(1, -1)
    assert difference(made, expected) <= 1e-4
    assert difference(made, picture(bench, model, vae, *both, 1.0, HEIGHT, WIDTH)) > 1e-3
    guided = picture(bench, model, vae, *applied, 3.0, HEIGHT, WIDTH)
    assert difference(guided, made) > 1e-3


def sd3_picture(tiny: Tiny, file: str, cfg: float, *, inpainting: bool = False) -> tuple[Any, torch.Tensor]:
    bench = bench_of(tiny)
    model, clip, vae = checkpoint_loader(bench, "sd3.safetensors")
    both = [text_encode(bench, text, clip) for text in (PROMPT, NEGATIVE)]
    control = control_net_loader(bench, file)
    if inpainting:
        applied = control_net_apply_for_inpainting(*both, control, vae, hint(), mask(), STRENGTH)
    else:
        applied = control_net_apply_advanced(*both, control, hint(), STRENGTH, 0.0, 1.0, vae)
    return model, picture(bench, model, vae, *applied, cfg, HEIGHT, WIDTH)


@pytest.mark.parametrize("kind", ["two streams", "inpainting", "one stream", "stability"])
def test_a_controlnet_of_stable_diffusion_3_gives_the_pipelines_picture(sd3, kind):
    from diffusers.pipelines.controlnet_sd3.pipeline_stable_diffusion_3_controlnet import (
        StableDiffusion3ControlNetPipeline as Plain,
    )
    from diffusers.pipelines.controlnet_sd3.pipeline_stable_diffusion_3_controlnet_inpainting import (
        StableDiffusion3ControlNetInpaintingPipeline as Filling,
    )

    one = kind in ("one stream", "stability")
    told: dict[str, Any] = {"extra_conditioning_channels": 1} if kind == "inpainting" else {}
    if one:
        told = {"joint_attention_dim": None, "use_pos_embed": False, "force_zeros_for_pooled_projection": False}
    module, inpainting = sd3_control(**told), kind == "inpainting"
    tensors = stability(module.state_dict(), 2) if kind == "stability" else module.state_dict()
    facts = {"safelight.config": json.dumps({"unet": {"head_dim": 16}})}
    save(sd3.file("controlnet", f"{kind}.safetensors"), tensors, facts)
    model, made = sd3_picture(sd3, f"{kind}.safetensors", 3.0, inpainting=inpainting)
    pipeline = library(Filling if inpainting else Plain, sd3, controlnet=module)
    given: dict[str, Any] = {"control_image": hint().movedim(-1, 1) * 2 - 1}
    given |= {"control_mask": mask()[:, None]} if inpainting else {}
    expected = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        guidance_scale=3.0,
        controlnet_conditioning_scale=STRENGTH,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        latents=noise(HEIGHT, WIDTH),
        height=HEIGHT,
        width=WIDTH,
        max_sequence_length=77,
        output_type="pt",
        **given,
    ).images.movedim(1, -1)
    assert difference(made, expected) <= 1e-4


def test_edges_of_stability_are_scaled_as_its_code_does(sd3):
    told = {"joint_attention_dim": None, "use_pos_embed": False, "force_zeros_for_pooled_projection": False}
    module = sd3_control(**told)
    facts = {"safelight.config": json.dumps({"unet": {"head_dim": 16}})}
    for kind in (1, 2):
        save(sd3.file("controlnet", f"kind{kind}.safetensors"), stability(module.state_dict(), kind), facts)
    bench = bench_of(sd3)
    control = control_net_loader(bench, "kind1.safetensors")
    pixels = torch.rand(1, 3, 8, 8)
    with bench.models.use(control) as network:
        assert torch.allclose(network.prepared(pixels) * 2 - 1, pixels * 255 * 0.5 + 0.5, atol=1e-4)
    edges, depths = (sd3_picture(sd3, f"kind{kind}.safetensors", 1.0)[1] for kind in (1, 2))
    assert difference(edges, depths) > 1e-4


def test_a_fun_controlnet_of_qwen_image_adds_what_its_authors_say(qwen):
    """Their sums, written out with the library's layers, on the library's network; two branches of guidance by Euler's steps."""
    from diffusers.pipelines.qwenimage.pipeline_qwenimage import QwenImagePipeline as Library

    module, transformer, coder = qwen_image_fun(), qwen.modules["transformer"], qwen.modules["vae"]
    facts = {"safelight.config": json.dumps({"unet": {"control_layers": [0, 1]}})}
    save(qwen.file("controlnet", "fun.safetensors"), module.state_dict(), facts)
    bench = bench_of(qwen)
    model, vae = denoiser_loader(bench, "qwen_image.safetensors"), vae_loader(bench, "qwen_image_vae.safetensors")
    encoder = text_encoder_loader(bench, "qwen_2.5_vl_7b.safetensors", "qwen_image")
    both = [text_encode(bench, text, encoder) for text in (PROMPT, NEGATIVE)]
    control = control_net_loader(bench, "fun.safetensors")
    assert control.kind == "qwen_image_fun"
    applied = control_net_apply_advanced(*both, control, hint(), STRENGTH, 0.0, 1.0, vae)
    made = picture(bench, model, vae, *applied, 3.0, HEIGHT, WIDTH)
    assert difference(made, picture(bench, model, vae, *both, 3.0, HEIGHT, WIDTH)) > 1e-3

    means, deviations = (
        torch.tensor(found).view(1, -1, 1, 1, 1) for found in (coder.config.latents_mean, coder.config.latents_std)
    )
    latents = (coder.encode((hint().movedim(-1, 1) * 2 - 1)[:, :, None]).latent_dist.mode() - means) / deviations
    whole = torch.cat([latents, torch.zeros(1, 17, *latents.shape[2:])], dim=1)  # an empty mask, and no picture to fill
    y = module.control_img_in(Library._pack_latents(whole.movedim(2, 1), 1, 33, HEIGHT // 8, WIDTH // 8))
    shapes = [[(1, HEIGHT // 16, WIDTH // 16)]]
    first, second = module.control_blocks

    def velocity(x: torch.Tensor, context: torch.Tensor, sigma: float) -> torch.Tensor:
        time, hidden = torch.tensor([sigma]), transformer.img_in(x)
        text = transformer.txt_in(transformer.txt_norm(context))
        told = (None, transformer.time_text_embed(time, hidden))
        angles = transformer.pos_embed(shapes, max_txt_seq_len=context.shape[1], device=x.device)
        text, one = first(first.before_proj(y) + hidden, text, *told, angles)
        _, two = second(one, text, *told, angles)
        samples = [STRENGTH * first.after_proj(one), STRENGTH * second.after_proj(two)]
        found: torch.Tensor = transformer(
            x, context, timestep=time, img_shapes=shapes, controlnet_block_samples=samples, return_dict=False
        )[0]
        return found

    x = Library._pack_latents(noise(HEIGHT, WIDTH)[:, None], 1, 16, HEIGHT // 8, WIDTH // 8)
    sigmas = levels(model)
    with torch.no_grad():
        for sigma, after in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
            positive, negative = (velocity(x, context[0][0], sigma) for context in both)
            x = x + (after - sigma) * (negative + 3.0 * (positive - negative))
        decoded = coder.decode(Library._unpack_latents(x, HEIGHT, WIDTH, 8) * deviations + means, return_dict=False)[0]
    assert difference(made, (decoded[:, :, 0] / 2 + 0.5).clamp(0, 1).movedim(1, -1)) <= 1e-4
