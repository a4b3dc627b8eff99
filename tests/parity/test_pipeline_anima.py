"""Anima: whole runs, from the prompt, by our nodes and by diffusers' modular pipeline on the same modules."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.models.errors import ModelError, TokenizerError
from engine.models.manager import ModelManager
from engine.paths import Paths
from nodes.conditioning import text_encode
from nodes.loaders import denoiser_loader, text_encoder_loader, vae_loader
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench
from tests.families import Tiny, save
from tests.runs import STEPS, bench_of, levels, noise, picture, text
from tests.tiny_anima import both, write

PROMPT, NEGATIVE = "a photo of the red apple, on a (tree:1.2)", "blue dog"
SIDES = (48, 80)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return write(tmp_path_factory.mktemp("tiny_anima"))


@pytest.fixture(autouse=True)
def enlarging(monkeypatch) -> None:
    """What the library's network has from torchvision."""
    from diffusers.models.transformers import transformer_cosmos

    functional = SimpleNamespace(resize=lambda mask, size, **_: torch.nn.functional.interpolate(mask, size))
    modes = SimpleNamespace(NEAREST="nearest")
    made = SimpleNamespace(functional=functional, InterpolationMode=modes)
    monkeypatch.setattr(transformer_cosmos, "transforms", made, raising=False)


def parts(bench: Bench, name: str = "anima.safetensors") -> tuple[Any, Any, Any]:
    clip = text_encoder_loader(bench, "qwen_3_06b_base.safetensors", "stable_diffusion")
    return denoiser_loader(bench, name), clip, vae_loader(bench, "qwen_image_vae.safetensors")


def theirs(tiny: Tiny, model: Any, cfg: float, negative: str = NEGATIVE) -> torch.Tensor:
    from diffusers.guiders import ClassifierFreeGuidance
    from diffusers.modular_pipelines.anima.modular_blocks_anima import AnimaAutoBlocks
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    pipeline = AnimaAutoBlocks().init_pipeline()
    scheduler, guider = FlowMatchEulerDiscreteScheduler(), ClassifierFreeGuidance(guidance_scale=cfg)
    pipeline.update_components(scheduler=scheduler, guider=guider, **tiny.modules, **tiny.tokenizers)
    images = pipeline(
        prompt=PROMPT,
        negative_prompt=negative,
        num_inference_steps=STEPS,
        sigmas=levels(model),
        latents=noise(*SIDES)[:, :, None],
        height=SIDES[0],
        width=SIDES[1],
        output_type="pt",
        output="images",
    )
    return images.movedim(1, -1)


@pytest.mark.parametrize(("cfg", "negative"), [(1.0, NEGATIVE), (4.0, NEGATIVE), (4.0, "")])
def test_a_prompt_gives_the_pipelines_picture(tiny, cfg, negative):
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    assert (model.family, model.parameterization.shift) == ("anima", 3.0)
    good, bad = text_encode(bench, PROMPT, clip), text_encode(bench, negative, clip)
    got = picture(bench, model, vae, good, bad, cfg, *SIDES)
    assert float((got - theirs(tiny, model, cfg, negative)).abs().max()) <= 1e-4
    assert float((got - picture(bench, model, vae, bad, bad, cfg, *SIDES)).abs().max()) > 1e-3


@pytest.mark.parametrize("name", ["anima.safetensors", "net.safetensors", "prefixed.safetensors"])
def test_every_tensor_of_the_network_is_the_pipelines(tiny, name):
    bench = bench_of(tiny)
    with bench.models.use(denoiser_loader(bench, name)) as network:
        state = network.module.state_dict()
    wanted = both(tiny.modules["transformer"], tiny.modules["text_conditioner"])
    assert state.keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in state.items())


def test_a_prompt_stands_in_t5s_tokens_too_and_each_of_them_is_cut(tiny):
    bench = bench_of(tiny)
    _, clip, _ = parts(bench)
    [[context, options]] = text_encode(bench, "a red apple", clip)
    assert (context.shape[0], options["t5xxl_ids"].shape) == (1, (1, 4))
    [[context, options]] = text_encode(bench, "a red apple, " * 300, clip)
    assert (context.shape[1], options["t5xxl_ids"].shape) == (512, (1, 512))
    assert options["t5xxl_ids"][0, -1] == 1
    assert ["cut to 512" in told for told in bench.warned] == [True, True]


def test_without_t5s_tokenizer_the_message_says_where_to_put_it(tiny, tmp_path):
    folder = tmp_path / "text_encoders" / "qwen3"
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_bytes(tiny.file("text_encoders", "qwen3/tokenizer.json").read_bytes())
    bench = Bench(ModelManager("cpu", tokenizer_dirs=[folder.parent]), Paths(tiny.base))
    _, clip, _ = parts(bench)
    with pytest.raises(TokenizerError, match=r"no tokenizer with 32128 tokens found to spell prompts for t5 too"):
        text_encode(bench, PROMPT, clip)


def test_odd_sides_are_filled_up_and_pictures_of_a_row_do_not_see_one_another(tiny):
    bench = bench_of(tiny)
    width = tiny.modules["text_encoder"].config.hidden_size
    with bench.models.use(denoiser_loader(bench, "anima.safetensors")) as network:
        x, t = torch.randn(2, 16, 1, 5, 7), torch.tensor([500.0, 250.0])
        context, spelled = torch.cat([text(4, width, 3), text(4, width, 4)]), torch.tensor([[3, 5, 1], [4, 6, 1]])
        made = network(x, t, context, options={"t5xxl_ids": spelled})
        filled = torch.nn.functional.pad(x[1:, :, 0], (0, 1, 0, 1), mode="circular")
        whole = network(filled, t[1:], context[1:], options={"t5xxl_ids": spelled[1:]})
    assert made.shape == x.shape
    assert torch.allclose(made[1:, :, 0], whole[..., :5, :7], atol=1e-5)


def test_a_conditioning_of_another_family_is_refused(tiny):
    bench = bench_of(tiny)
    model, _, vae = parts(bench)
    width = tiny.modules["text_encoder"].config.hidden_size
    foreign = [[text(5, width + 8, 3), {"t5xxl_ids": torch.tensor([[1]])}]]
    with pytest.raises(ModelError, match=f"expected a conditioning of width {width}, got {width + 8}"):
        picture(bench, model, vae, foreign, foreign, 1.0, *SIDES)
    bare = [[text(5, width, 3), {}]]
    with pytest.raises(ModelError, match="Anima wants a conditioning with T5's tokens of the prompt, got none"):
        picture(bench, model, vae, bare, bare, 1.0, *SIDES)


@pytest.mark.parametrize("prefix", ["diffusion_model.", "base_model.model.", "", KOHYA])
def test_a_lora_changes_the_picture_as_in_the_pipeline_and_leaves_nothing_behind(tiny, prefix):
    from engine.models.networks.anima_sizes import paths

    parts_of = {name: tiny.modules[name] for name in ("transformer", "text_conditioner")}
    pairs = {name: low_rank(module) for name, module in parts_of.items()}
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    with ExitStack() as both_changed:
        for name, module in parts_of.items():
            both_changed.enter_context(applied(module, pairs[name], 0.5))
        wanted = theirs(tiny, model, 1.0)
    whole = {f"{part}.{name}": pair for part, found in pairs.items() for name, pair in found.items()}
    original = None if prefix == "" else paths({name: module.config for name, module in parts_of.items()})
    save(tiny.file("loras", "change.safetensors"), under(prefix, whole, original))
    told = text_encode(bench, PROMPT, clip)
    given = vae, told, told, 1.0, *SIDES
    before = picture(bench, model, *given)
    result = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert result.unmatched == ()
    got = picture(bench, result.model, *given)
    assert float((got - wanted).abs().max()) <= 1e-4
    assert float((got - before).abs().max()) > 1e-3
    assert torch.equal(picture(bench, model, *given), before)
