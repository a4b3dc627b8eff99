"""Z-Image Omni: whole runs, from prompt and pictures, by our nodes and by Euler's steps on the library's network, as its pipeline
calls it.

The pipeline itself encodes pictures in half precision, which a network in full precision does not take.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from engine.models.errors import ModelError
from engine.models.vision import fitting_grid
from nodes.clip_vision import clip_vision_loader
from nodes.conditioning import text_encode
from nodes.conditioning_z_image import pieces, text_encode_z_image_omni
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import bench_of, levels, noise, picture
from tests.tiny_z_image import write_z_image_omni

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"
SIDES = (48, 80)
PATCH, MOST = 8, 25


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write_z_image_omni(tmp_path_factory.mktemp("tiny_z_image_omni"))


def photos() -> list[torch.Tensor]:
    """In whole bytes; the first has the shape of 4 × 6 patches, the second of 6 × 4, so that nothing is resized."""
    numbers = torch.Generator().manual_seed(5)
    return [torch.randint(0, 256, (1, *sides, 3), generator=numbers) / 255 for sides in ((32, 48), (48, 32))]


def parts(bench: Bench, name: str = "z_image") -> tuple[Any, Any, Any, Any]:
    clip = text_encoder_loader(bench, "qwen_3_4b.safetensors", "lumina2")
    eyes = clip_vision_loader(bench, "siglip2.safetensors")
    return denoiser_loader(bench, f"{name}.safetensors"), clip, vae_loader(bench, "ae.safetensors"), eyes


def read(tiny: Tiny, prompt: str, number: int) -> list[torch.Tensor]:
    """What the library's encoder makes of each piece."""
    words, module = tiny.tokenizers["tokenizer"], tiny.modules["text_encoder"]
    ids = [words(text, return_tensors="pt").input_ids for text in pieces(prompt, number)]
    return [module(one, output_hidden_states=True).hidden_states[-2][0] for one in ids]


def seen(tiny: Tiny, photo: torch.Tensor) -> torch.Tensor:
    """What the library's image encoder makes of a picture, filled up to as many patches as it sees at most."""
    rows, columns = (side // PATCH for side in photo.shape[1:3])
    cut = (photo[0] * 2 - 1).reshape(rows, PATCH, columns, PATCH, 3).permute(0, 2, 1, 3, 4).reshape(rows * columns, -1)
    filled = functional.pad(cut, (0, 0, 0, MOST - len(cut)))[None]
    mask = (torch.arange(MOST) < len(cut)).int()[None]
    found = tiny.modules["siglip"](filled, mask, torch.tensor([[rows, columns]])).last_hidden_state
    return found[0, : len(cut)].reshape(rows, columns, -1)


def steps(tiny: Tiny, sigmas: list[float], cfg: float, shown: list[torch.Tensor], *, looked: bool) -> torch.Tensor:
    """The picture (1, H, W, 3) of Euler's steps."""
    network, vae = tiny.modules["transformer"], tiny.modules["vae"]
    encoded = [vae.encode(one.movedim(-1, 1) * 2 - 1).latent_dist.mean for one in shown]
    latents = [(one - vae.config.shift_factor) * vae.config.scaling_factor for one in encoded]
    told = [*(seen(tiny, one) for one in shown), None] if shown and looked else None
    texts = [read(tiny, prompt, len(shown)) for prompt in (PROMPT, NEGATIVE)]
    x = noise(*SIDES)
    for now, after in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
        given = [*(one[0][:, None] for one in latents), x[0][:, None]]
        found = network(
            x=[given, given],
            t=torch.tensor([1 - now] * 2),
            cap_feats=texts,
            siglip_feats=[told, told],
            image_noise_mask=[[0] * len(shown) + [1]] * 2,
            return_dict=False,
        )[0]
        good, bad = (-one[:, 0][None] for one in found)
        x = x + (bad + cfg * (good - bad)) * (after - now)
    decoded: torch.Tensor = vae.decode(x / vae.config.scaling_factor + vae.config.shift_factor, return_dict=False)[0]
    return (decoded / 2 + 0.5).clamp(0, 1).movedim(1, -1)


def told(bench: Bench, prompt: str, shown: list[torch.Tensor], **more: Any) -> Any:
    _, clip, vae, eyes = parts(bench)
    given = {f"image{number}": one for number, one in enumerate(shown, start=1)}
    usual = {"clip": clip, "image_encoder": eyes, "prompt": prompt, "auto_resize_images": False, "vae": vae}
    return text_encode_z_image_omni(bench, **usual | given | more)


@pytest.mark.parametrize("name", ["z_image", "z_image_diffusers"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_prompt_and_pictures_give_the_picture_of_the_librarys_network(tiny, name, number):
    bench = bench_of(tiny)
    model, _, vae, _ = parts(bench, name)
    assert (model.family, model.config["siglip_feat_dim"]) == ("z_image", 24)
    shown = photos()[:number]
    good, bad = (told(bench, prompt, shown) for prompt in (PROMPT, NEGATIVE))
    got = picture(bench, model, vae, good, bad, 3.0, *SIDES)
    assert float((got - steps(tiny, levels(model), 3.0, shown, looked=True)).abs().max()) <= 1e-4


def test_without_an_image_encoder_pictures_are_latents_alone(tiny):
    bench = bench_of(tiny)
    model, _, vae, _ = parts(bench)
    shown = photos()[:1]
    good, bad = (told(bench, prompt, shown, image_encoder=None) for prompt in (PROMPT, NEGATIVE))
    got = picture(bench, model, vae, good, bad, 3.0, *SIDES)
    assert float((got - steps(tiny, levels(model), 3.0, shown, looked=False)).abs().max()) <= 1e-4
    alone = told(bench, PROMPT, shown, vae=None)
    assert float((picture(bench, model, vae, alone, alone, 1.0, *SIDES) - got).abs().max()) > 1e-3


def test_a_plain_text_is_one_piece(tiny):
    bench = bench_of(tiny)
    model, clip, vae, _ = parts(bench)
    plain, own = text_encode(bench, PROMPT, clip), told(bench, PROMPT, [])
    assert torch.equal(plain[0][0], own[0][0])
    assert own[0][1]["text_pieces"].tolist() == [[own[0][0].shape[1]]]
    assert torch.equal(*(picture(bench, model, vae, one, one, 1.0, *SIDES) for one in (plain, own)))


def test_pictures_are_brought_to_a_million_pixels_where_that_is_asked(tiny):
    bench = bench_of(tiny)
    [[_, options]] = told(bench, PROMPT, photos()[1:], auto_resize_images=True, image_encoder=None)
    assert options["reference_latents"][0].shape == (1, 16, 157, 105)
    [[_, options]] = told(bench, PROMPT, photos()[:1], vae=None)
    assert ("reference_latents" in options, options["seen_pictures"][0].shape) == (False, (4, 6, 24))


@pytest.mark.parametrize(
    ("sides", "grid"), [((32, 48), (4, 6)), ((100, 100), (5, 5)), ((1000, 10), (25, 1)), ((70, 90), (4, 6))]
)
def test_a_picture_of_any_shape_has_as_many_patches_as_fit(sides, grid):
    assert fitting_grid(*sides, MOST) == grid


def test_what_does_not_fit_is_refused(tiny):
    bench = bench_of(tiny)
    model, _, vae, _ = parts(bench)
    [[context, options]] = told(bench, PROMPT, photos()[:1])
    foreign = [[context, options | {"seen_pictures": [torch.zeros(4, 4, 32)]}]]
    with pytest.raises(ModelError, match=r"what an image encoder of width 24 .* saw, got 32"):
        picture(bench, model, vae, foreign, foreign, 1.0, *SIDES)
    with (
        bench.models.use(model) as network,
        pytest.raises(ModelError, match="control nets of Z-Image do not know Omni"),
    ):
        network(torch.zeros(1, 16, 4, 4), torch.tensor([500.0]), context, control={"layers": [torch.zeros(1)]})


def test_a_lora_of_the_parts_that_see_is_put_on(tiny):
    bench = bench_of(tiny)
    model, *_ = parts(bench)
    before = tiny.modules["transformer"].state_dict()
    names = ["siglip_embedder.1", "siglip_refiner.0.attention.to_out.0", "siglip_refiner.0.attention.to_k"]
    tensors: dict[str, torch.Tensor] = {}
    changes = {name: torch.randn_like(before[f"{name}.weight"]) * 0.1 for name in names}
    for name, change in changes.items():
        tensors |= {
            f"transformer.{name}.lora_A.weight": torch.eye(change.shape[1]),
            f"transformer.{name}.lora_B.weight": change,
        }
    save(tiny.file("loras", "seeing.safetensors"), tensors)
    result = bench.models.lora(bench.paths.find("loras", "seeing.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    with bench.models.use(result.model) as network:
        state = network.module.state_dict()
        for name, change in changes.items():
            assert torch.allclose(state[f"{name}.weight"], before[f"{name}.weight"] + 0.5 * change, atol=1e-6)
