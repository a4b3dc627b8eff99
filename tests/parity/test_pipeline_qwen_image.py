"""Qwen-Image, Edit, Edit-Plus and Layered: whole runs by our nodes and by diffusers' pipelines on the same modules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.noise import initial_noise
from nodes import conditioning_qwen
from nodes.conditioning import text_encode
from nodes.conditioning_edit import reference_latent, reference_latents_method
from nodes.latent import set_latent_noise_mask
from nodes.latent_layers import empty_latent_of_layers
from nodes.latent_pieces import latent_cut, latent_cut_to_batch
from nodes.loaders import denoiser_loader, lora_loader_model_only, text_encoder_loader, vae_loader
from nodes.sampling import ksampler, ksampler_advanced
from nodes.vae import vae_decode, vae_encode
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import SEED, STEPS, bench_of, levels
from tests.tiny_processor import Processor, told_of_pictures
from tests.tiny_qwen_image import PICTURE_TOKEN, WIDTH, write_qwen_image

PROMPT, NEGATIVE = "a photo of the red apple, (twice:1.3)", "blue ball"


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Tiny:
    return write_qwen_image(tmp_path_factory.mktemp("tiny_qwen_image"))


@pytest.fixture(scope="module")
def newer(tmp_path_factory) -> Tiny:
    """As Edit 2511: references count as free of noise."""
    return write_qwen_image(tmp_path_factory.mktemp("tiny_qwen_2511"), clean_references=True)


@pytest.fixture(scope="module")
def layered(tmp_path_factory) -> Tiny:
    return write_qwen_image(tmp_path_factory.mktemp("tiny_qwen_layered"), layered=True)


def loaded(tiny: Tiny) -> tuple[Bench, Any, Any]:
    bench = bench_of(tiny)
    return bench, denoiser_loader(bench, "qwen_image.safetensors"), vae_loader(bench, "qwen_image_vae.safetensors")


def text(seed: int, length: int) -> torch.Tensor:
    return torch.randn(1, length, WIDTH, generator=torch.Generator().manual_seed(seed))


def encoder_of(bench: Bench) -> Any:
    return text_encoder_loader(bench, "qwen_2.5_vl_7b.safetensors", "qwen_image")


def prompts(bench: Bench) -> list[Any]:
    return [text_encode(bench, prompt, encoder_of(bench)) for prompt in (PROMPT, NEGATIVE)]


def conditionings(*references: Any) -> list[Any]:
    """A positive and a negative one, of different lengths."""
    found = [[[text(1, 7), {}]], [[text(2, 5), {}]]]
    for latent in references:
        found = [reference_latent(one, latent) for one in found]
    return found


class Unscaled:
    """torch as a pipeline's module has it, but for the norms by which it scales its guidance."""

    def __getattr__(self, name: str) -> Any:
        return (lambda *args, **told: torch.tensor(1.0)) if name == "norm" else getattr(torch, name)


def theirs(
    kind: str, tiny: Tiny, model: Any, monkeypatch: Any, cfg: float, *sizes: int, lora: Any = None, **told: Any
) -> torch.Tensor:
    """`sizes`: (layers,) height, width of the noise in latent pixels. The pipelines' guidance is left as it is without scaling."""
    import importlib

    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    module = importlib.import_module(f"diffusers.pipelines.qwenimage.pipeline_{kind}")
    names = {
        "qwenimage": "Image",
        "qwenimage_edit": "ImageEdit",
        "qwenimage_edit_plus": "ImageEditPlus",
        "qwenimage_layered": "ImageLayered",
        "qwenimage_inpaint": "ImageInpaint",
    }
    monkeypatch.setattr(module, "torch", Unscaled())
    processor = Processor(tiny.tokenizers["tokenizer"], "qwen2_5_vl", 14)
    others = {} if kind in ("qwenimage", "qwenimage_inpaint") else {"processor": processor}
    encoder = tiny.modules["text_encoder"]
    monkeypatch.setattr(encoder, "forward", told_of_pictures(encoder, PICTURE_TOKEN))
    pipeline = getattr(module, f"Qwen{names[kind]}Pipeline")(
        scheduler=FlowMatchEulerDiscreteScheduler(), **tiny.tokenizers, **others, **tiny.modules
    )
    pipeline.set_progress_bar_config(disable=True)
    if lora is not None:
        pipeline.load_lora_weights(dict(lora[0]), adapter_name="one")
        pipeline.set_adapters("one", lora[1])
    noise = initial_noise(torch.zeros(1, 16, *((1,) * (3 - len(sizes))), *sizes), SEED)
    layers, height, width = noise.shape[2:]
    packing = (layers,) if kind == "qwenimage_layered" else ()
    if kind == "qwenimage_inpaint":  # which noises the picture itself, and draws from what the VAE says
        monkeypatch.setattr(module, "retrieve_latents", lambda output, **_: output.latent_dist.mode())
        monkeypatch.setattr(module, "randn_tensor", lambda shape, **_: noise.movedim(2, 1))
    else:
        told["latents"] = pipeline._pack_latents(noise.movedim(2, 1), 1, 16, height, width, *packing)
    made = pipeline(
        prompt=PROMPT,
        negative_prompt=NEGATIVE if cfg > 1 else None,
        true_cfg_scale=cfg,
        num_inference_steps=STEPS,
        sigmas=levels(model),  # our own levels: how schedules are made is tested elsewhere
        output_type="pt",
        **told,
    ).images
    if lora is not None:
        pipeline.unload_lora_weights()
    return made


def sampled(bench: Bench, model: Any, both: Any, latent: Any, cfg: float) -> Any:
    positive, negative = both
    settings = {"seed": SEED, "steps": STEPS, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple"}
    return ksampler(bench, model, **settings, positive=positive, negative=negative, latent_image=latent)


def ours(bench: Bench, model: Any, vae: Any, both: Any, height: int, width: int, cfg: float = 1.0) -> torch.Tensor:
    empty = {"samples": torch.zeros(1, 16, height // 8, width // 8)}
    return vae_decode(bench, sampled(bench, model, both, empty, cfg), vae)


def picture(seed: int, height: int, width: int, colours: int = 3) -> tuple[Any, torch.Tensor]:
    """A picture of 8 bits as the library takes it, and as ours."""
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, colours), dtype=np.uint8)
    return Image.fromarray(pixels), torch.from_numpy(pixels)[None] / 255


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).abs().max())


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_a_prompt_gives_the_pipelines_picture(plain, monkeypatch, cfg):
    bench, model, vae = loaded(plain)
    assert (model.family, model.latent.axes) == ("qwen_image", 3)
    expected = theirs("qwenimage", plain, model, monkeypatch, cfg, 8, 12, height=64, width=96).movedim(1, -1)
    assert difference(ours(bench, model, vae, prompts(bench), 64, 96, cfg), expected) <= 1e-4
    same = denoiser_loader(bench, "prefixed.safetensors"), vae_loader(bench, "diffusers.safetensors")
    assert difference(ours(bench, *same, prompts(bench), 64, 96, cfg), expected) <= 1e-4


@pytest.fixture
def as_they_are(monkeypatch):
    """Pictures of 112 x 112, which every grid divides, keep their size in the pipelines and in our nodes."""
    import diffusers.pipelines.qwenimage.pipeline_qwenimage_edit as edit
    import diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus as edit_plus

    monkeypatch.setattr(edit, "calculate_dimensions", lambda area, ratio: (112, 112, None))
    monkeypatch.setattr(edit_plus, "calculate_dimensions", lambda area, ratio: (112, 112))
    for name in ("PIXELS", "SEEN_PIXELS"):
        monkeypatch.setattr(conditioning_qwen, name, 112 * 112)


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_edit_goes_by_a_picture_as_the_pipeline_does(plain, monkeypatch, as_they_are, cfg):
    bench, model, vae = loaded(plain)
    image, pixels = picture(1, 112, 112)
    both = [
        conditioning_qwen.text_encode_qwen_image_edit(bench, encoder_of(bench), prompt, vae, pixels)
        for prompt in (PROMPT, NEGATIVE)
    ]
    expected = theirs("qwenimage_edit", plain, model, monkeypatch, cfg, 8, 12, height=64, width=96, image=image)
    got = ours(bench, model, vae, both, 64, 96, cfg)
    assert difference(got, expected.movedim(1, -1)) <= 1e-4
    assert difference(got, ours(bench, model, vae, prompts(bench), 64, 96, cfg)) > 1e-3


@pytest.mark.parametrize("of", ["file", "workflow"])
def test_edit_plus_goes_by_several_pictures(plain, newer, monkeypatch, as_they_are, of):
    """Edit 2511 takes them as free of noise: its file says so, or the node in the workflows that came with it."""
    tiny = newer if of == "file" else plain
    bench, model, vae = loaded(tiny)
    (first, one), (second, two) = picture(1, 112, 112), picture(2, 112, 112)
    both = [
        conditioning_qwen.text_encode_qwen_image_edit_plus(bench, encoder_of(bench), prompt, vae, one, None, two)
        for prompt in (PROMPT, NEGATIVE)
    ]
    told = {"height": 64, "width": 96, "image": [first, second]}
    if of == "workflow":
        plainly = theirs("qwenimage_edit_plus", plain, model, monkeypatch, 3.0, 8, 12, **told)  # as 2509
        assert difference(ours(bench, model, vae, both, 64, 96, 3.0), plainly.movedim(1, -1)) <= 1e-4
        both = [reference_latents_method(one, "index_timestep_zero") for one in both]
        for part in (plain.modules["transformer"], *plain.modules["transformer"].transformer_blocks):
            monkeypatch.setattr(part, "zero_cond_t", True)
    expected = theirs("qwenimage_edit_plus", tiny, model, monkeypatch, 3.0, 8, 12, **told)
    assert difference(ours(bench, model, vae, both, 64, 96, 3.0), expected.movedim(1, -1)) <= 1e-4


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_layered_takes_a_picture_to_layers(layered, monkeypatch, cfg):
    import diffusers.pipelines.qwenimage.pipeline_qwenimage_layered as pipelines

    bench, model, vae = loaded(layered)
    image, pixels = picture(3, 48, 64, colours=4)
    monkeypatch.setattr(pipelines, "calculate_dimensions", lambda area, ratio: (64, 48))
    expected = theirs("qwenimage_layered", layered, model, monkeypatch, cfg, 3, 6, 8, layers=2, image=image)[0]
    both = [reference_latent(told, vae_encode(bench, pixels, vae)) for told in prompts(bench)]
    done = sampled(bench, model, both, empty_latent_of_layers(64, 48, 2), cfg)
    assert done["samples"].shape == (1, 16, 3, 6, 8)
    assert [shown.shape for shown in bench.previews] == [(192, 256, 3)] * STEPS, (
        "of the whole picture, which comes first"
    )
    layers = vae_decode(bench, latent_cut_to_batch(latent_cut(done, "t", 1, 16384), "t", 1), vae)
    assert layers.shape == (2, 48, 64, 4)
    assert difference(layers, expected.movedim(1, -1)) <= 1e-4


def lora_of(module: Any, naming: str) -> dict[str, torch.Tensor]:
    """Rank 2 on an attention of either stream, a layer behind, and modulation."""
    targets = ("attn.to_q", "attn.to_out.0", "attn.add_k_proj", "img_mlp.net.2", "txt_mod.1")
    found, draw = {}, torch.Generator().manual_seed(9)
    for name in (f"transformer_blocks.{i}.{target}" for i in range(2) for target in targets):
        layer = module.get_submodule(name)
        down = torch.randn(2, layer.in_features, generator=draw) * 0.1
        up = torch.randn(layer.out_features, 2, generator=draw) * 0.1
        spelled = {"peft": f"transformer.{name}", "bare": name, "original": f"diffusion_model.{name}"}
        stem = spelled.get(naming) or f"lora_unet_{name.replace('.', '_')}"
        ends = ("lora_A", "lora_B") if naming == "peft" else ("lora_down", "lora_up")
        found |= {f"{stem}.{ends[0]}.weight": down, f"{stem}.{ends[1]}.weight": up}
        if naming != "peft":
            found[f"{stem}.alpha"] = torch.tensor(1.0)
    return found


@pytest.mark.parametrize("naming", ["peft", "bare", "original", "kohya"])
def test_a_lora_moves_the_picture_as_in_the_pipeline_and_off_again(plain, monkeypatch, naming):
    bench, model, vae = loaded(plain)
    before = ours(bench, model, vae, prompts(bench), 64, 64)
    tensors = lora_of(plain.modules["transformer"], naming)
    file = plain.file("loras", f"{naming}.safetensors")
    save(file, tensors)
    patched = lora_loader_model_only(bench, model, file.name, 0.8)
    got = ours(bench, patched, vae, prompts(bench), 64, 64)
    expected = theirs(
        "qwenimage", plain, model, monkeypatch, 1.0, 8, 8, height=64, width=64, lora=(tensors, 0.8)
    ).movedim(1, -1)
    assert difference(got, expected) <= 1e-4
    assert difference(got, before) > 1e-3
    assert torch.equal(ours(bench, model, vae, prompts(bench), 64, 64), before)


def test_what_a_mask_keeps_and_makes_anew_is_the_pipelines(plain, monkeypatch):
    """The last two of four steps over a picture, of which the right half is made anew."""
    from PIL import Image

    bench, model, vae = loaded(plain)
    image, pixels = picture(6, 64, 96)
    mask = np.zeros((64, 96), dtype=np.uint8)
    mask[:, 48:] = 255
    told = {"image": image, "mask_image": Image.fromarray(mask), "strength": 0.5, "height": 64, "width": 96}
    expected = theirs("qwenimage_inpaint", plain, model, monkeypatch, 3.0, 8, 12, **told)
    latent = set_latent_noise_mask(vae_encode(bench, pixels, vae), torch.from_numpy(mask)[None] / 255)
    positive, negative = prompts(bench)
    steps = {"steps": STEPS, "start_at_step": 2, "cfg": 3.0, "sampler_name": "euler", "scheduler": "simple"}
    done = ksampler_advanced(
        bench, model, noise_seed=SEED, **steps, positive=positive, negative=negative, latent_image=latent
    )
    assert difference(vae_decode(bench, done, vae), expected.movedim(1, -1)) <= 1e-4


def test_a_batch_with_masks_and_areas_runs_over_latents_with_frames(plain):
    """What is kept comes back bit for bit; a condition for an area and its counterpart are cut in height and width alone."""
    bench, model, vae = loaded(plain)
    latent = vae_encode(bench, picture(5, 64, 96)[1], vae)
    batch = {"samples": latent["samples"].repeat(2, 1, 1, 1, 1), "noise_mask": torch.zeros(1, 64, 96)}
    batch["noise_mask"][:, :, 48:] = 1.0
    positive, negative = conditionings()
    half = [[positive[0][0], {"area": (4, 8, 0, 4), "strength": 1.0}]]
    whole = sampled(bench, model, (positive, negative), batch, 3.0)["samples"]
    both = sampled(bench, model, (positive + half, negative), batch, 3.0)["samples"]
    assert whole.shape == both.shape == (2, 16, 1, 8, 12)
    for made in (whole, both):
        assert torch.equal(made[..., :6], batch["samples"][..., :6])
        assert float((made[..., 6:] - batch["samples"][..., 6:]).abs().mean()) > 0.1
    assert float((whole - both).abs().max()) > 1e-4


def test_odd_sides_are_filled_up_and_cut_off_again(plain):
    bench, model, _ = loaded(plain)
    with bench.models.use(model) as network:
        x, t = torch.randn(2, 16, 1, 5, 7), torch.full((2,), 500.0)
        filled = torch.nn.functional.pad(x[:, :, 0], (0, 1, 0, 1), mode="circular")[:, :, None]
        given = text(1, 3).repeat(2, 1, 1)
        assert torch.equal(network(x, t, given), network(filled, t, given)[..., :5, :7])


def test_another_familys_conditioning_is_told(plain):
    bench, model, vae = loaded(plain)
    foreign = [[torch.zeros(1, 7, 64), {}]]
    with pytest.raises(ModelError, match=r"qwen_image\.safetensors: expected a conditioning of width 48, got 64"):
        ours(bench, model, vae, [foreign, foreign], 64, 64)


def test_a_way_to_place_references_that_is_not_known_is_told(plain):
    bench, model, vae = loaded(plain)
    both = conditionings(vae_encode(bench, picture(1, 48, 80)[1], vae))
    both = [reference_latents_method(told, "index_timestep_zero_isolated") for told in both]
    with pytest.raises(ModelError, match=r"Qwen-Image knows index, .*, got 'index_timestep_zero_isolated'"):
        ours(bench, model, vae, both, 64, 64)


def test_references_lie_on_sheets_of_their_own_or_on_one():
    from engine.models.networks.sheets import laid_out

    wide, tall = (4, 8), (8, 4)

    def places(method: str, layers: int = 1) -> list[tuple[int, int, int]]:
        return [sheet.at for sheet in laid_out([(6, 6)] * layers, [wide, wide, tall], method)]

    assert places("index") == places("index_timestep_zero") == [(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0)]
    assert places("negative_index", 2) == [(0, 0, 0), (1, 0, 0), (-1, 0, 0), (-2, 0, 0), (-3, 0, 0)]
    assert places("offset") == places("uxo") == [(0, 0, 0), (1, 0, 0), (1, 4, 0), (1, 0, 8)]
