"""Networks within Qwen-Image and Z-Image: whole runs by our nodes against diffusers' pipeline, or its network with theirs in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from engine.models.errors import CheckpointError, ModelError
from engine.models.handles import decode_handle, encode_handle
from nodes.controlnet import control_net_apply_advanced
from nodes.loaders import control_net_loader, denoiser_loader, vae_loader
from nodes.model_patch import model_patch_loader, qwen_image_diffsynth_controlnet, z_image_fun_controlnet
from tests.families import Tiny, save
from tests.runs import STEPS, bench_of, levels, library, noise, picture, text
from tests.tiny_control import blockwise, qwen_image_control, z_image_control
from tests.tiny_qwen_image import WIDTH as QWEN_TEXT
from tests.tiny_qwen_image import write_qwen_image
from tests.tiny_z_image import TEXT, write_z_image

STRENGTH = 0.7
HEIGHT, WIDTH = 64, 96


@pytest.fixture(scope="module")
def qwen(tmp_path_factory) -> Tiny:
    return write_qwen_image(tmp_path_factory.mktemp("patched_qwen"))


@pytest.fixture(scope="module")
def z_image(tmp_path_factory) -> Tiny:
    return write_z_image(tmp_path_factory.mktemp("patched_z_image"))


def hint() -> torch.Tensor:
    return torch.rand(1, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(2))


def mask() -> torch.Tensor:
    found = torch.zeros(1, HEIGHT, WIDTH)
    found[:, :, WIDTH // 2 :] = 1.0
    return found


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).abs().max())


def told(width: int) -> list[Any]:
    return [[[text(7, width, 1), {}]], [[text(5, width, 2), {}]]]


def qwen_run(qwen: Tiny, module: Any) -> tuple[Any, Any, Any, Any]:
    masked = module.img_in.in_features > 64
    save(qwen.file("model_patches", f"{masked}.safetensors"), module.state_dict())
    bench = bench_of(qwen)
    model, vae = denoiser_loader(bench, "qwen_image.safetensors"), vae_loader(bench, "qwen_image_vae.safetensors")
    return bench, model, vae, model_patch_loader(bench, f"{masked}.safetensors")


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_a_blockwise_network_adds_after_each_layer_of_qwen_image(qwen, masked, cfg):
    """DiffSynth's sum, written out here, put on the layers of the library's network, which the pipeline runs."""
    from diffusers.pipelines.qwenimage.pipeline_qwenimage import QwenImagePipeline

    module = blockwise(masked=masked)
    bench, model, vae, patch = qwen_run(qwen, module)
    steered = qwen_image_diffsynth_controlnet(model, patch, vae, hint(), STRENGTH, mask() if masked else None)
    both = told(QWEN_TEXT)
    made = picture(bench, steered, vae, *both, cfg, HEIGHT, WIDTH)

    their_vae, transformer = qwen.modules["vae"], qwen.modules["transformer"]
    shown = hint().movedim(-1, 1)
    if masked:
        shown = shown * (1.0 - mask()[:, None])
    latents = their_vae.encode((shown * 2 - 1)[:, :, None]).latent_dist.mode()
    means, deviations = (
        torch.tensor(found).view(1, -1, 1, 1, 1)
        for found in (their_vae.config.latents_mean, their_vae.config.latents_std)
    )
    latents = ((latents - means) / deviations)[:, :, 0]
    if masked:
        kept = 1.0 - torch.nn.functional.interpolate(mask()[:, None], size=latents.shape[-2:])
        latents = torch.cat([latents, kept], dim=1)
    pack = QwenImagePipeline._pack_latents
    weights = dict(module.state_dict())
    y = torch.nn.functional.linear(
        pack(latents[:, None], 1, latents.shape[1], *latents.shape[-2:]),
        weights["img_in.weight"],
        weights["img_in.bias"],
    )

    def rms(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight

    def after(number: int, given: Any) -> Any:
        def part(name: str) -> torch.Tensor:
            return weights[f"controlnet_blocks.{number}.{name}"]

        x = given[1]
        found = rms(x, part("x_rms.weight")) + rms(y, part("y_rms.weight"))
        found = torch.nn.functional.gelu(found @ part("input_proj.weight").T + part("input_proj.bias"))
        found = found @ part("output_proj.weight").T + part("output_proj.bias")
        return given[0], x + STRENGTH * found

    hooks = [
        layer.register_forward_hook(lambda _, __, given, number=number: after(number, given))
        for number, layer in enumerate(transformer.transformer_blocks)
    ]
    try:
        expected = picture_of_the_network(transformer, both, levels(model), cfg, their_vae, means, deviations)
    finally:
        for hook in hooks:
            hook.remove()
    assert difference(made, expected) <= 1e-4
    assert difference(made, picture(bench, model, vae, *both, cfg, HEIGHT, WIDTH)) > 1e-3


def picture_of_the_network(
    transformer: Any,
    both: Any,
    sigmas: list[float],
    cfg: float,
    vae: Any,
    means: torch.Tensor,
    deviations: torch.Tensor,
) -> torch.Tensor:
    """Euler's steps with the library's network: its pipeline would scale the guidance."""
    from diffusers.pipelines.qwenimage.pipeline_qwenimage import QwenImagePipeline as Library

    x = Library._pack_latents(noise(HEIGHT, WIDTH)[:, None], 1, 16, HEIGHT // 8, WIDTH // 8)
    shapes = [[(1, HEIGHT // 16, WIDTH // 16)]]

    def velocity(context: torch.Tensor, sigma: float) -> torch.Tensor:
        time = torch.tensor([sigma])
        found: torch.Tensor = transformer(
            hidden_states=x, encoder_hidden_states=context, timestep=time, img_shapes=shapes, return_dict=False
        )[0]
        return found

    with torch.no_grad():
        for sigma, after in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
            positive = velocity(both[0][0][0], sigma)
            if cfg > 1:
                negative = velocity(both[1][0][0], sigma)
                positive = negative + cfg * (positive - negative)
            x = x + (after - sigma) * positive
        latents = Library._unpack_latents(x, HEIGHT, WIDTH, 8) * deviations + means
        decoded = vae.decode(latents, return_dict=False)[0][:, :, 0]
    return (decoded / 2 + 0.5).clamp(0, 1).movedim(1, -1)


def test_a_patch_and_a_controlnet_work_together_and_a_patch_only_in_its_part(qwen):
    bench, model, vae, patch = qwen_run(qwen, blockwise())
    both = told(QWEN_TEXT)
    bare = picture(bench, model, vae, *both, 2.0, HEIGHT, WIDTH)
    never = qwen_image_diffsynth_controlnet(model, patch, vae, hint(), STRENGTH, None, 1.0, 1.0)
    assert difference(picture(bench, never, vae, *both, 2.0, HEIGHT, WIDTH), bare) <= 1e-6
    assert qwen_image_diffsynth_controlnet(model, patch, vae, hint(), 0.0) is model
    save(
        qwen.file("controlnet", "union.safetensors"),
        qwen_image_control().state_dict(),
        {"safelight.config": json.dumps({"unet": {"axes": [4, 6, 6]}})},
    )
    control = control_net_loader(bench, "union.safetensors")
    applied = control_net_apply_advanced(*both, control, hint(), STRENGTH, 0.0, 1.0, vae)
    steered = qwen_image_diffsynth_controlnet(model, patch, vae, hint(), STRENGTH)
    alone = picture(bench, steered, vae, *both, 2.0, HEIGHT, WIDTH)
    together = picture(bench, steered, vae, *applied, 2.0, HEIGHT, WIDTH)
    other = picture(bench, model, vae, *applied, 2.0, HEIGHT, WIDTH)
    assert min(difference(together, alone), difference(together, other), difference(alone, bare)) > 1e-4
    assert difference(picture(bench, model, vae, *both, 2.0, HEIGHT, WIDTH), bare) == 0.0


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_a_control_network_of_z_image_gives_the_pipelines_picture(z_image, cfg):
    from diffusers.pipelines.z_image.pipeline_z_image_controlnet import ZImageControlNetPipeline

    module = z_image_control()
    bench, patch = z_patch(z_image, "1.0", module)
    model, vae = denoiser_loader(bench, "z_image.safetensors"), vae_loader(bench, "ae.safetensors")
    both = told(TEXT)
    steered = qwen_image_diffsynth_controlnet(model, patch, vae, hint(), STRENGTH)
    made = picture(bench, steered, vae, *both, cfg, HEIGHT, WIDTH)
    pipeline = library(
        ZImageControlNetPipeline, z_image, text_encoder=None, tokenizer=None, controlnet=z_image_control()
    )
    expected = pipeline(
        prompt_embeds=[both[0][0][0][0]],
        negative_prompt_embeds=[both[1][0][0][0]],
        control_image=hint().movedim(-1, 1) * 2 - 1,
        controlnet_conditioning_scale=STRENGTH,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=cfg - 1.0,
        latents=noise(HEIGHT, WIDTH),
        height=HEIGHT,
        width=WIDTH,
        output_type="pt",
    ).images.movedim(1, -1)
    assert difference(made, expected) <= 1e-4
    assert difference(made, picture(bench, model, vae, *both, cfg, HEIGHT, WIDTH)) > 1e-3


def z_patch(z_image: Tiny, version: str, module: Any, *, two: bool = False) -> tuple[Any, Any]:
    """`two`: with a refiner that version 2.0 does not use."""
    facts = {"safelight.config": json.dumps({"unet": {"control_layers_places": [0, 1]}})}
    tensors = module.state_dict()
    if two:
        other = z_image_control(version="2.1").state_dict()
        tensors |= {name: value for name, value in other.items() if name.startswith("control_noise_refiner.")}
        tensors["control_noise_refiner.0.before_proj.weight"] = torch.zeros(64, 64)
    save(z_image.file("model_patches", f"{version}.safetensors"), tensors, facts)
    bench = bench_of(z_image)
    return bench, model_patch_loader(bench, f"{version}.safetensors")


@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_newer_ones_add_to_the_refiner_too_as_their_authors_have_it(z_image, version):
    """The library's network of the control, whose refiner's share its pipeline leaves out of the denoiser."""
    module = z_image_control(version=version)
    bench, patch = z_patch(z_image, version, module, two=version == "2.0")
    assert patch.config["add_control_noise_refiner"] == module.add_control_noise_refiner
    model, vae = denoiser_loader(bench, "z_image.safetensors"), vae_loader(bench, "ae.safetensors")
    x, t, context = torch.randn(2, 16, 8, 12), torch.tensor([700.0, 700.0]), text(7, TEXT, 1).expand(2, -1, -1)
    steered = qwen_image_diffsynth_controlnet(model, patch, vae, hint(), STRENGTH, mask())
    with bench.models.use(model) as network, bench.models.use(patch) as control, bench.models.use(vae) as coder:
        from engine.models.network import Company

        use = steered.controls[0]
        found = control(x, t, context, use.hint, STRENGTH, None, Company(network, coder.encode, use.mask))
        made = network(x, t, context, control=found)
    transformer = z_image.modules["transformer"]
    module = type(module).from_transformer(module, transformer)
    latent = (coder.encode(hint()) - 0.1159) * 0.3611
    kept = 1.0 - torch.nn.functional.interpolate(mask()[:, None], size=latent.shape[-2:])
    seen = torch.cat([latent, kept, torch.zeros_like(latent)], dim=1)[:, :, None]
    parts: list[torch.Tensor] = []
    watched = module.control_layers if version == "2.0" else module.control_noise_refiner
    hook = watched[-1].register_forward_hook(lambda _, __, given: parts.append(given))
    times, texts, pictures = 1 - t / 1000, list(context), list(x[:, :, None])
    with torch.no_grad():
        samples = module(pictures, times, texts, [seen[0]] * 2, conditioning_scale=STRENGTH)
        hook.remove()
        hook = transformer.noise_refiner[0].register_forward_hook(
            lambda _, __, given: given + STRENGTH * torch.unbind(parts[0])[0]
        )
        expected = transformer(pictures, times, texts, controlnet_block_samples=samples, return_dict=False)[0]
        hook.remove()
        without = transformer(pictures, times, texts, controlnet_block_samples=samples, return_dict=False)[0]
    assert difference(-made, torch.stack(expected)[:, :, 0]) <= 1e-4
    assert difference(-made, torch.stack(without)[:, :, 0]) > 1e-4
    assert all(getattr(control.module, name) is None for name in ("noise_refiner", "x_pad_token"))


@pytest.mark.parametrize("given", ["image", "inpaint_image", "all"])
def test_a_picture_is_filled_as_in_the_authors_pipeline(z_image, given):
    """VideoX-Fun's (github.com/aigc-apps/VideoX-Fun at commit 804a425): [picture, what is kept, picture to fill], or zeros."""
    module = z_image_control(version="2.1")
    bench, patch = z_patch(z_image, "2.1", module)
    model, vae = denoiser_loader(bench, "z_image.safetensors"), vae_loader(bench, "ae.safetensors")
    x, t, context = torch.randn(2, 16, 8, 12), torch.tensor([700.0, 700.0]), text(7, TEXT, 1).expand(2, -1, -1)
    shown, wanted = 1 - hint(), torch.zeros(1, 33, 8, 12)
    pictures = {"image": {"image": hint()}, "inpaint_image": {"inpaint_image": shown}}
    told = pictures.get(given) or {"image": hint(), "inpaint_image": shown, "mask": 0.6 * mask()}
    steered = z_image_fun_controlnet(model, patch, vae, STRENGTH, **told)
    with bench.models.use(model) as network, bench.models.use(patch) as control, bench.models.use(vae) as coder:
        from engine.models.network import Company

        use = steered.controls[0]
        company = Company(network, coder.encode, use.mask, use.fill)
        found = control(x, t, context, use.hint, STRENGTH, None, company)["layers"][0]
        if given != "inpaint_image":
            wanted[:, :16] = (coder.encode(hint()) - 0.1159) * 0.3611
        if given == "all":
            kept = 1 - mask()
            wanted[:, 16:17] = torch.nn.functional.interpolate(kept[:, None], size=(8, 12))
            grey = ((shown * 2 - 1) * kept[..., None] + 1) / 2
            wanted[:, 17:] = (coder.encode(grey) - 0.1159) * 0.3611
        elif given == "inpaint_image":  # without a mask all of it is to be made
            wanted[:, 17:] = (coder.encode(torch.full_like(shown, 0.5)) - 0.1159) * 0.3611
    module = type(module).from_transformer(module, z_image.modules["transformer"])
    with torch.no_grad():
        expected = module(
            list(x[:, :, None]), 1 - t / 1000, list(context), [wanted[0, :, None]] * 2, conditioning_scale=STRENGTH
        )
    for layer, part in expected.items():
        assert difference(found[layer], part) <= 1e-5


def test_a_fun_control_network_wants_something_to_go_by(z_image, qwen):
    bench, patch = z_patch(z_image, "1.0", z_image_control())
    model, vae = denoiser_loader(bench, "z_image.safetensors"), vae_loader(bench, "ae.safetensors")
    assert z_image_fun_controlnet(model, patch, vae) is model
    assert z_image_fun_controlnet(model, patch, vae, 0.0, hint()) is model
    made = picture(
        bench, z_image_fun_controlnet(model, patch, vae, STRENGTH, hint()), vae, *told(TEXT), 1.0, HEIGHT, WIDTH
    )
    other = qwen_image_diffsynth_controlnet(model, patch, vae, hint(), STRENGTH)
    assert difference(made, picture(bench, other, vae, *told(TEXT), 1.0, HEIGHT, WIDTH)) == 0.0
    with pytest.raises(ModelError, match="takes a control picture, and was given none"):
        without = z_image_fun_controlnet(model, patch, vae, 1.0, None, hint())
        picture(bench, without, vae, *told(TEXT), 1.0, HEIGHT, WIDTH)
    _, model, vae, patch = qwen_run(qwen, blockwise())
    with pytest.raises(
        ValueError, match="expected a control network of Z-Image, got .* a blockwise control network of Qwen"
    ):
        z_image_fun_controlnet(model, patch, vae, 1.0, hint())


def test_what_does_not_belong_together_is_told_in_words(qwen, z_image):
    bench, patch = z_patch(z_image, "1.0", z_image_control())
    other, model, vae, _ = qwen_run(qwen, blockwise())
    steered = qwen_image_diffsynth_controlnet(model, patch, vae, hint(), STRENGTH)
    with pytest.raises(ModelError, match=r"1\.0\.safetensors: this model patch is for Z-Image, got Qwen-Image"):
        picture(other, steered, vae, *told(QWEN_TEXT), 1.0, HEIGHT, WIDTH)
    with pytest.raises(CheckpointError, match="not a model patch of a kind that is known"):
        bench.models.model_patch(z_image.file("vae", "ae.safetensors"))
    with pytest.raises(CheckpointError, match="It is a control network of Z-Image: load it by ModelPatchLoader"):
        bench.models.controlnet(z_image.file("model_patches", "1.0.safetensors"))


def test_the_cache_knows_a_steered_model_by_what_it_is_made_of(qwen):
    from engine.__main__ import _controlled_facts, _controlled_model, _is_controlled, _is_handle

    _, model, vae, patch = qwen_run(qwen, blockwise())
    steered = qwen_image_diffsynth_controlnet(model, patch, vae, hint(), STRENGTH)
    again = qwen_image_diffsynth_controlnet(model, patch, vae, hint().clone(), STRENGTH)
    assert steered.identity() == again.identity() != model.identity()
    others = [
        qwen_image_diffsynth_controlnet(model, patch, vae, 1 - hint(), STRENGTH),
        qwen_image_diffsynth_controlnet(model, patch, vae, hint(), 0.5),
        qwen_image_diffsynth_controlnet(model, patch, vae, hint(), STRENGTH, mask()),
        qwen_image_diffsynth_controlnet(model, patch, vae, hint(), STRENGTH, None, 0.5),
    ]
    assert len({one.identity() for one in [steered, *others]}) == 5
    assert decode_handle(encode_handle(patch)) == patch
    assert (_is_handle(model), _is_controlled(model)) == (True, False)
    assert (_is_handle(steered), _is_controlled(steered)) == (False, True)
    assert _controlled_model(_controlled_facts(steered)).identity() == steered.identity()
