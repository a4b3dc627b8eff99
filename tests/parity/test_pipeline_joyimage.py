"""JoyImage Edit: whole runs, from the prompt, by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from nodes.conditioning_edit import REFERENCES
from nodes.conditioning_joyimage import text_encode_joyimage_edit
from nodes.guidance_norm import cfg_norm
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import STEPS, bench_of, levels, library, noise, picture, text
from tests.tiny_joyimage import TEXT, Whole, plain_transformer, write

PROMPT, NEGATIVE = "make the apple blue", "dog"
SIDES = (64, 96)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_joyimage"))


def parts(bench: Bench, name: str = "joyimage.safetensors") -> tuple[Any, Any, Any]:
    clip = text_encoder_loader(bench, "qwen3vl.safetensors", "joyimage")
    return denoiser_loader(bench, name), clip, vae_loader(bench, "wan_2.1_vae.safetensors")


def bytes_of(*sizes: tuple[int, int]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randint(0, 256, (*size, 3), generator=generator, dtype=torch.uint8) for size in sizes]


def linked(pictures: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"image{number}": one[None] / 255 for number, one in enumerate(pictures)}


def theirs(tiny: Tiny, model: Any, cfg: float, pictures: list[torch.Tensor]) -> torch.Tensor:
    from diffusers.pipelines.joyimage.pipeline_joyimage_edit_plus import JoyImageEditPlusPipeline
    from PIL import Image

    pipeline = library(JoyImageEditPlusPipeline, tiny, text_encoder=Whole(tiny.modules["text_encoder"]))
    pipeline.image_processor.get_default_height_width = lambda image, *_: (image.height, image.width)
    result = pipeline(
        [Image.fromarray(one.numpy()) for one in pictures] or None,
        PROMPT,
        *SIDES,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=cfg,
        latents=noise(*SIDES)[:, :, None],
        output_type="pt",
    )
    return result.images.movedim(1, -1)


@pytest.mark.parametrize("cfg", [1.0, 4.0])
@pytest.mark.parametrize("sizes", [(), ((64, 96),), ((96, 64), (80, 80))])
def test_a_prompt_and_pictures_give_the_pipelines_picture(tiny, cfg, sizes):
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    assert (model.family, clip.family) == ("joyimage", "joyimage")
    pictures = bytes_of(*sizes)
    told = [text_encode_joyimage_edit(bench, clip, one, vae, linked(pictures)) for one in (PROMPT, NEGATIVE)]
    assert len(told[0][0][1].get(REFERENCES, ())) == len(sizes)
    got = picture(bench, cfg_norm(model, 1.0, True), vae, *told, cfg, *SIDES)
    assert float((got - theirs(tiny, model, cfg, pictures)).abs().max()) <= 1e-4
    other = text_encode_joyimage_edit(bench, clip, PROMPT) if sizes else told[1]
    assert float((got - picture(bench, model, vae, other, other, cfg, *SIDES)).abs().max()) > 1e-3


def test_one_picture_of_the_same_size_is_what_the_older_network_takes(tiny):
    module = plain_transformer()
    module.load_state_dict(tiny.modules["transformer"].state_dict())
    bench = bench_of(tiny)
    generator = torch.Generator().manual_seed(2)
    x, reference = torch.randn(2, 1, 16, 1, 6, 10, generator=generator)
    context, t = text(5, TEXT, 1), torch.tensor([400.0])
    wanted = module(torch.stack([reference, x], dim=1), t, context, return_dict=False)[0][:, -1]
    with bench.models.use(denoiser_loader(bench, "prefixed.safetensors")) as network:
        space = network.handle.latent
        given = network.inputs({REFERENCES: [space.from_network(reference)]}, x, True)
        got = network(x, t, context, options=given)
        assert float((got - wanted).abs().max()) <= 1e-5
        odd = network(x[..., :5, :9], t, context)
        filled = torch.nn.functional.pad(x[:, :, 0, :5, :9], (0, 1, 0, 1), mode="circular")
        assert torch.equal(odd, network(filled, t, context)[:, :, None, :5, :9])


def test_a_conditioning_of_another_family_is_refused(tiny):
    bench = bench_of(tiny)
    model, _, vae = parts(bench)
    foreign = [[text(5, 32, 3), {}]]
    with pytest.raises(ModelError, match=r"joyimage\.safetensors: expected a conditioning of width 16, got 32"):
        picture(bench, model, vae, foreign, foreign, 1.0, *SIDES)


@pytest.fixture(scope="module")
def changed(tiny) -> tuple[Any, torch.Tensor]:
    """A LoRA of every layer, and the pipeline's picture with half of it."""
    module = tiny.modules["transformer"]
    pairs = low_rank(module, scale=0.1)
    with applied(module, pairs, 0.5):
        return pairs, theirs(tiny, denoiser_loader(bench_of(tiny), "joyimage.safetensors"), 1.0, [])


@pytest.mark.parametrize("naming", ["diffusion_model.", "transformer.", "base_model.model.", KOHYA])
def test_a_lora_changes_the_picture_as_in_the_pipeline_and_leaves_nothing_behind(tiny, changed, naming):
    bench = bench_of(tiny)
    pairs, wanted = changed
    save(tiny.file("loras", "change.safetensors"), under(naming, pairs))
    model, clip, vae = parts(bench)
    told = text_encode_joyimage_edit(bench, clip, PROMPT)
    given = vae, told, told, 1.0, *SIDES
    before = picture(bench, model, *given)
    result = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = picture(bench, result.model, *given)
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - before).abs().max()) > 1e-3
    assert torch.equal(picture(bench, model, *given), before)
