"""LongCat-Image and LongCat-Image-Edit: whole runs by our nodes and by diffusers' pipelines on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.models.families.longcat_image import EDIT
from nodes.conditioning import text_encode
from nodes.conditioning_edit import reference_latent
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from nodes.vae import vae_encode
from tests.families import Tiny, save
from tests.runs import STEPS, bench_of, levels, library, noise, picture, text
from tests.tiny_longcat import TEXT, longcat_to_original, write_longcat


class NoProcessor:
    """What the pipelines are given in place of what prepares pictures for the text encoder."""

    image_processor = None


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write_longcat(tmp_path_factory.mktemp("tiny_longcat"))


def loaded(tiny: Tiny, file: str = "longcat") -> tuple[Any, Any, Any]:
    bench = bench_of(tiny)
    return bench, denoiser_loader(bench, f"{file}.safetensors"), vae_loader(bench, "ae.safetensors")


def theirs(tiny: Tiny, kind: type, model: Any, texts: dict[str, Any], cfg: float, **told: Any) -> torch.Tensor:
    """The pipelines take no texts that are encoded already without a prompt, so here they are what a prompt encodes to."""
    given = type("Given", (kind,), {"_encode_prompt": lambda self, prompt, image=None: texts[prompt[0]]})
    pipeline = library(given, tiny, text_processor=NoProcessor())
    result = pipeline(
        prompt="positive",
        negative_prompt="negative",
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=cfg,
        latents=pipeline._pack_latents(noise(64, 96), 1, 16, 8, 12),
        output_type="pt",
        **told,
    )
    return result.images.movedim(1, -1)


@pytest.mark.parametrize("file", ["longcat", "longcat_diffusers"])
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_either_layout_gives_the_pipelines_picture(tiny, file, cfg):
    """The library's text is of 512 tokens always."""
    from diffusers.pipelines.longcat_image.pipeline_longcat_image import LongCatImagePipeline

    bench, model, vae = loaded(tiny, file)
    assert model.family == "longcat_image"
    assert model.parameterization.shift == pytest.approx(3.158193)
    texts = {"positive": text(512, TEXT, 1), "negative": text(512, TEXT, 2)}
    got = picture(bench, model, vae, [[texts["positive"], {}]], [[texts["negative"], {}]], cfg, 64, 96)
    told = {"height": 64, "width": 96, "enable_cfg_renorm": False, "enable_prompt_rewrite": False}
    expected = theirs(tiny, LongCatImagePipeline, model, texts, cfg, **told)
    assert float((got - expected).abs().max()) <= 1e-4


def test_a_picture_to_edit_gives_the_pipelines_picture(tiny, monkeypatch):
    """Texts of one length, which is that of all texts beside one picture."""
    from diffusers.pipelines.longcat_image import pipeline_longcat_image_edit as module
    from PIL import Image

    monkeypatch.setattr(module, "calculate_dimensions", lambda area, ratio: (96, 64))
    bench, model, vae = loaded(tiny)
    pixels = torch.randint(0, 256, (64, 96, 3), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)
    texts = {"positive": text(9, TEXT, 1), "negative": text(9, TEXT, 2)}
    seen = vae_encode(bench, pixels[None].float() / 255, vae)
    positive, negative = (reference_latent([[value, {}]], seen) for value in texts.values())
    got = picture(bench, model, vae, positive, negative, 3.0, 64, 96)
    told = {"image": Image.fromarray(pixels.numpy())}
    expected = theirs(tiny, module.LongCatImageEditPipeline, model, texts, 3.0, **told)
    assert float((got - expected).abs().max()) <= 1e-4
    plain = picture(bench, model, vae, [[texts["positive"], {}]], [[texts["negative"], {}]], 3.0, 64, 96)
    assert float((got - plain).abs().max()) > 1e-3


PROMPT, NEGATIVE = "a sign that says 'red “apple”' on the dog's tree", "blue dog"


def test_a_prompt_gives_the_pipelines_picture(tiny):
    """What is in quotes is read letter by letter, and the template is not seen."""
    from diffusers.pipelines.longcat_image.pipeline_longcat_image import LongCatImagePipeline

    bench, model, vae = loaded(tiny)
    clip = text_encoder_loader(bench, "qwen_2.5_vl.safetensors", "longcat_image")
    assert (clip.family, clip.tower) == ("longcat_image", "qwen25_7b")
    positive, negative = (text_encode(bench, prompt, clip) for prompt in (PROMPT, NEGATIVE))
    assert positive[0][0].shape == (1, 512, TEXT)
    got = picture(bench, model, vae, positive, negative, 3.0, 64, 96)
    result = library(LongCatImagePipeline, tiny, text_processor=NoProcessor())(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=3.0,
        latents=LongCatImagePipeline._pack_latents(noise(64, 96), 1, 16, 8, 12),
        height=64,
        width=96,
        enable_cfg_renorm=False,
        enable_prompt_rewrite=False,
        output_type="pt",
    )
    assert float((got - result.images.movedim(1, -1)).abs().max()) <= 1e-4


def test_a_prompt_with_a_picture_is_put_to_the_encoder_as_for_editing(tiny):
    """Its tokens have the places of its rows and columns, which the pipeline does not tell the model."""
    from tests.models.test_towers_pictures import processor_of

    bench = bench_of(tiny)
    clip = text_encoder_loader(bench, "qwen_2.5_vl.safetensors", "longcat_image")
    pixels = torch.randint(0, 256, (1, 56, 64, 3), generator=torch.Generator().manual_seed(5))
    seen = processor_of("qwen2_5_vl", 4)([pixels[0].byte().numpy()], return_tensors="pt")
    count = int(seen.image_grid_thw.prod()) // 4
    with bench.models.use(clip) as encoder:
        got, _ = encoder.encode("red 'a'", pictures=[pixels / 255], style="edit")
    words = tiny.tokenizers["tokenizer"]
    before, _, after = EDIT.template.partition("{}")
    halves = [words(half, add_special_tokens=False).input_ids for half in (before, after)]
    text = [words(piece, add_special_tokens=False).input_ids for piece in ("red ", "'", "a", "'")]
    prompt = [number for piece in text for number in piece]
    image = words("<|vision_start|>" + "<|image_pad|>" * count + "<|vision_end|>", add_special_tokens=False).input_ids
    padding = [words.pad_token_id] * (512 - len(prompt))
    ids = torch.tensor([[*halves[0], *image, *prompt, *padding, *halves[1]]])
    mask = torch.ones_like(ids)
    start = len(halves[0]) + len(image)
    mask[:, start + len(prompt) : start + 512] = 0
    module = tiny.modules["text_encoder"]
    states = module(
        input_ids=ids,
        attention_mask=mask,
        pixel_values=seen.pixel_values,
        image_grid_thw=seen.image_grid_thw,
        mm_token_type_ids=(ids == module.config.image_token_id).int(),
        output_hidden_states=True,
    ).hidden_states[-1]
    wanted = states[:, len(halves[0]) : start + 512]
    assert got.shape == wanted.shape == (1, count + 2 + 512, TEXT)
    assert torch.allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("naming", ["original", "diffusers"])
def test_a_lora_of_either_layout_changes_the_same_weights(tiny, naming):
    torch.manual_seed(9)
    before = tiny.modules["transformer"].state_dict()
    changes = {
        name: torch.randn_like(value) * 0.1 if value.ndim == 2 else torch.zeros_like(value)
        for name, value in before.items()
    }
    named = changes if naming == "diffusers" else longcat_to_original(changes)
    matrices = {name: change for name, change in named.items() if change.ndim == 2}
    tensors = {}
    for name, change in matrices.items():
        key = f"{'transformer' if naming == 'diffusers' else 'diffusion_model'}.{name.removesuffix('.weight')}"
        tensors |= {f"{key}.lora_A.weight": torch.eye(change.shape[1]), f"{key}.lora_B.weight": change}
    save(tiny.file("loras", f"{naming}.safetensors"), tensors)
    bench, model, _ = loaded(tiny)
    result = bench.models.lora(bench.paths.find("loras", f"{naming}.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    with bench.models.use(result.model) as network:
        for name, value in network.module.state_dict().items():
            assert torch.allclose(value, before[name] + 0.5 * changes[name], atol=1e-6), name
    with bench.models.use(model) as network:
        assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items())


def test_a_conditioning_of_another_family_is_refused(tiny):
    bench, model, vae = loaded(tiny)
    foreign = [[torch.zeros(1, 77, 40), {}]]
    with pytest.raises(ModelError, match=r"expected a conditioning of width 32, got 40"):
        picture(bench, model, vae, foreign, foreign, 1.0, 64, 64)
