"""Krea 2: whole runs, from the prompt, by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.models.manager import ModelManager
from engine.paths import Paths
from nodes.conditioning import text_encode
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import STEPS, bench_of, levels, library, noise, picture, text
from tests.tiny_krea2 import LAYERS, TEXT, write

PROMPT, NEGATIVE = "a photo of the red apple, on a (tree:1.2)", "blue dog"
SIDES = (48, 80)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_krea2"))


def parts(bench: Bench, name: str = "krea2.safetensors") -> tuple[Any, Any, Any]:
    clip = text_encoder_loader(bench, "qwen3vl.safetensors", "krea2")
    return denoiser_loader(bench, name), clip, vae_loader(bench, "qwen_image_vae.safetensors")


def theirs(tiny: Tiny, model: Any, cfg: float) -> torch.Tensor:
    from diffusers.pipelines.krea2.pipeline_krea2 import Krea2Pipeline

    pipeline = library(Krea2Pipeline, tiny)
    result = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        guidance_scale=cfg - 1.0,  # counted from the positive prediction there
        latents=pipeline._pack_latents(noise(*SIDES), 1, 16, SIDES[0] // 8, SIDES[1] // 8),
        height=SIDES[0],
        width=SIDES[1],
        output_type="pt",
    )
    return result.images.movedim(1, -1)


@pytest.mark.parametrize("cfg", [1.0, 5.5])
def test_a_prompt_gives_the_pipelines_picture(tiny, cfg):
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    assert (model.family, model.in_channels) == ("krea2", 16)
    assert model.parameterization.shift == pytest.approx(3.158193)
    positive, negative = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    got = picture(bench, model, vae, positive, negative, cfg, *SIDES)
    assert float((got - theirs(tiny, model, cfg)).abs().max()) <= 1e-4
    assert float((got - picture(bench, model, vae, negative, negative, cfg, *SIDES)).abs().max()) > 1e-3


@pytest.mark.parametrize("name", ["krea2.safetensors", "diffusers.safetensors", "prefixed.safetensors"])
def test_every_tensor_of_the_network_is_the_pipelines(tiny, name):
    bench = bench_of(tiny)
    with bench.models.use(denoiser_loader(bench, name)) as network:
        state = network.module.state_dict()
    wanted = tiny.modules["transformer"].state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in state.items())


def test_a_long_prompt_keeps_the_end_of_the_template(tiny):
    bench = bench_of(tiny)
    _, clip, _ = parts(bench)
    [[context, _]] = text_encode(bench, PROMPT * 40, clip)
    assert context.shape == (1, 512, LAYERS * TEXT)
    assert "cut to 546" in bench.warned[0]


def test_odd_sides_are_filled_up_and_pictures_of_a_row_do_not_see_one_another(tiny):
    bench = bench_of(tiny)
    with bench.models.use(denoiser_loader(bench, "krea2.safetensors")) as network:
        x, t = torch.randn(2, 16, 3, 5, 7), torch.tensor([5000.0, 2500.0])
        context = torch.cat([text(4, LAYERS * TEXT, 3), text(4, LAYERS * TEXT, 4)])
        made = network(x, t, context)
        filled = torch.nn.functional.pad(x[1:, :, 2], (0, 1, 0, 1), mode="circular")
        whole = network(filled, t[1:], context[1:])
    assert made.shape == x.shape
    assert torch.allclose(made[1:, :, 2], whole[..., :5, :7], atol=1e-5)


def test_a_conditioning_of_another_family_is_refused(tiny):
    bench = bench_of(tiny)
    model, _, vae = parts(bench)
    foreign = [[text(5, 32, 3), {}]]
    with pytest.raises(ModelError, match=r"krea2\.safetensors: expected a conditioning of width 192, got 32"):
        picture(bench, model, vae, foreign, foreign, 1.0, *SIDES)
    references = [[text(5, LAYERS * TEXT, 3), {"reference_latents": [torch.zeros(1, 16, 1, 6, 10)]}]]
    with pytest.raises(ModelError, match="pictures to go by is not known here"):
        picture(bench, model, vae, references, references, 1.0, *SIDES)


def test_in_half_precision_its_norms_stay_exact(tiny):
    folders = [tiny.base / "models" / "text_encoders"]
    bench = Bench(ModelManager("cpu", dtype="bfloat16", tokenizer_dirs=folders), Paths(tiny.base))
    with bench.models.use(denoiser_loader(bench, "krea2.safetensors")) as network:
        state = network.module.state_dict()
    exact = {name.rpartition(".")[0].rpartition(".")[2] for name, one in state.items() if one.dtype == torch.float32}
    assert exact == {"norm", "norm1", "norm2", "norm_q", "norm_k"}


@pytest.fixture(scope="module")
def changed(tiny) -> tuple[Any, torch.Tensor]:
    """A LoRA of every layer, and the pipeline's picture with half of it."""
    module = tiny.modules["transformer"]
    pairs = low_rank(module)
    with applied(module, pairs, 0.5):
        return pairs, theirs(tiny, denoiser_loader(bench_of(tiny), "krea2.safetensors"), 1.0)


@pytest.mark.parametrize("prefix", ["diffusion_model.", "base_model.model.", "transformer.", KOHYA])
def test_a_lora_changes_the_picture_as_in_the_pipeline_and_leaves_nothing_behind(tiny, changed, prefix):
    from engine.models.networks.krea2_sizes import paths

    pairs, wanted = changed
    bench = bench_of(tiny)
    original = None if prefix == "transformer." else paths(tiny.modules["transformer"].config)
    save(tiny.file("loras", "change.safetensors"), under(prefix, pairs, original))
    model, clip, vae = parts(bench)
    told = text_encode(bench, PROMPT, clip)
    given = vae, told, told, 1.0, *SIDES
    before = picture(bench, model, *given)
    result = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = picture(bench, result.model, *given)
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - before).abs().max()) > 1e-3
    assert torch.equal(picture(bench, model, *given), before)
