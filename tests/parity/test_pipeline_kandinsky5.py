"""Kandinsky 5 for pictures: whole runs, from the prompt, by our nodes and by diffusers' pipeline on the same modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.errors import ModelError
from engine.models.manager import ModelManager
from engine.paths import Paths
from engine.sampling.noise import initial_noise
from nodes.conditioning import text_encode
from nodes.conditioning_kandinsky import text_encode_kandinsky5
from nodes.loaders import denoiser_loader, dual_text_encoder_loader, vae_loader
from tests.changes import KOHYA, applied, low_rank, under
from tests.conftest import Bench, _tokenizer_json
from tests.families import Tiny, save
from tests.runs import SEED, STEPS, bench_of, levels, picture, text
from tests.tiny_kandinsky5 import write

PROMPT, NEGATIVE = "a photo of the red apple on the tree", "blue dog"


@pytest.fixture(scope="module")
def tiny(tiny_sd, tmp_path_factory) -> Tiny:
    files = tiny_sd.tokenizer_files
    return write(tmp_path_factory.mktemp("tiny_kandinsky5"), files, _tokenizer_json(files))


def parts(bench: Bench) -> tuple[Any, Any, Any]:
    clip = dual_text_encoder_loader(bench, "qwen.safetensors", "clip_l.safetensors", "kandinsky5_image")
    return denoiser_loader(bench, "kandinsky5.safetensors"), clip, vae_loader(bench, "ae.safetensors")


def theirs(tiny: Tiny, model: Any, cfg: float) -> torch.Tensor:
    from diffusers.pipelines.kandinsky5.pipeline_kandinsky_t2i import Kandinsky5T2IPipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    class Given(FlowMatchEulerDiscreteScheduler):
        """At our own levels: how schedules are made is tested elsewhere."""

        def set_timesteps(self, steps, device=None):
            super().set_timesteps(sigmas=levels(model), device=device)

    pipeline = Kandinsky5T2IPipeline(scheduler=Given(), **tiny.modules, **tiny.tokenizers)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.resolutions = [(96, 64)]
    noise = initial_noise(torch.zeros(1, 16, 8, 12), SEED)
    result = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=cfg,
        latents=noise.movedim(1, -1)[:, None],
        height=64,
        width=96,
        output_type="pt",
    )
    return result.image.movedim(1, -1)


@pytest.mark.parametrize("cfg", [1.0, 3.5])
def test_a_prompt_gives_the_pipelines_picture(tiny, cfg):
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    assert (model.family, model.parameterization.shift) == ("kandinsky5_image", 3.0)
    positive, negative = text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip)
    got = picture(bench, model, vae, positive, negative, cfg, 64, 96)
    assert float((got - theirs(tiny, model, cfg)).abs().max()) <= 1e-4
    assert float((got - picture(bench, model, vae, negative, negative, cfg, 64, 96)).abs().max()) > 1e-3


def test_each_encoder_may_have_a_text_of_its_own(tiny):
    bench = bench_of(tiny)
    _, clip, _ = parts(bench)
    [[context, told]] = text_encode_kandinsky5(bench, clip, NEGATIVE, PROMPT)
    assert torch.equal(context, text_encode(bench, PROMPT, clip)[0][0])
    assert torch.equal(told["pooled_output"], text_encode(bench, NEGATIVE, clip)[0][1]["pooled_output"])


def test_odd_sides_are_filled_up_and_cut_off_again(tiny):
    bench = bench_of(tiny)
    model, clip, _ = parts(bench)
    [[context, options]] = text_encode(bench, PROMPT, clip)
    with bench.models.use(model) as network:
        x, t = torch.randn(1, 16, 5, 7), torch.full((1,), 500.0)
        given = network.inputs(options, x, True)
        whole = network(torch.nn.functional.pad(x, (0, 1, 0, 1), mode="circular"), t, context, options=given)
        assert torch.equal(network(x, t, context, options=given), whole[..., :5, :7])


def test_in_half_precision_times_stay_exact(tiny):
    """The library computes times and modulations in float32, and their layers must be so."""
    results = {}
    for dtype in ("float32", "bfloat16"):
        folders = [tiny.base / "models" / "text_encoders"]
        bench = Bench(ModelManager("cpu", dtype=dtype, tokenizer_dirs=folders), Paths(tiny.base))
        model, clip, vae = parts(bench)
        told = text_encode(bench, PROMPT, clip)
        results[dtype] = picture(bench, model, vae, told, told, 1.0, 64, 96)
        with bench.models.use(model) as network:
            state = network.module.state_dict()
        exact = {name.split(".")[0] for name, value in state.items() if value.dtype == torch.float32}
        assert "time_embeddings" in exact
        assert ("visual_embeddings" in exact) == (dtype == "float32")
    assert float((results["float32"] - results["bfloat16"]).abs().mean()) < 0.02


def test_turned_queries_and_keys_are_rounded_to_bfloat16_whatever_the_network_is_in(tiny, monkeypatch):
    """As its authors' code does, so in float32 too; what reads the text is not turned."""
    from diffusers.models.transformers import transformer_kandinsky

    attend, rounded = transformer_kandinsky.dispatch_attention_fn, []

    def recorded(query: torch.Tensor, key: torch.Tensor, *args: Any, **told: Any) -> torch.Tensor:
        rounded.append(all(torch.equal(one, one.bfloat16().float()) for one in (query, key)))
        return attend(query, key, *args, **told)

    monkeypatch.setattr(transformer_kandinsky, "dispatch_attention_fn", recorded)
    bench = bench_of(tiny)
    with bench.models.use(denoiser_loader(bench, "kandinsky5.safetensors")) as network:
        options = {"pooled": text(1, 32, 3)[0]}
        network(torch.randn(1, 16, 8, 12), torch.tensor([500.0]), text(5, 24, 1), options=options)
    assert rounded == [
        True,
        True,
        False,
        True,
        False,
    ]  # the text's layer, then two of the picture that also read the text


def test_a_conditioning_of_another_family_is_refused(tiny):
    bench = bench_of(tiny)
    model, clip, vae = parts(bench)
    [[context, _]] = text_encode(bench, PROMPT, clip)
    with pytest.raises(ModelError, match=r"pooled text of width 32, got none.*text encoders, qwen25_7b and clip_l"):
        picture(bench, model, vae, [[context, {}]], [[context, {}]], 1.0, 64, 64)
    foreign = [[text(5, 32, 3), {"pooled_output": torch.zeros(1, 32)}]]
    with pytest.raises(ModelError, match=r"kandinsky5\.safetensors: expected a conditioning of width 24, got 32"):
        picture(bench, model, vae, foreign, foreign, 1.0, 64, 64)


@pytest.mark.parametrize("naming", ["diffusion_model.", "transformer.", "base_model.model.", KOHYA])
def test_a_lora_changes_the_picture_as_in_the_pipeline_and_leaves_nothing_behind(tiny, naming):
    bench = bench_of(tiny)
    module = tiny.modules["transformer"]
    pairs = low_rank(module, scale=0.1)
    save(tiny.file("loras", "change.safetensors"), under(naming, pairs))
    model, clip, vae = parts(bench)
    given = vae, text_encode(bench, PROMPT, clip), text_encode(bench, NEGATIVE, clip), 3.0, 64, 96
    before = picture(bench, model, *given)
    told = bench.models.lora(bench.paths.find("loras", "change.safetensors"), model, None, 0.5, 0.0)
    assert told.unmatched == ()
    changed = picture(bench, told.model, *given)
    with applied(module, pairs, 0.5):
        wanted = theirs(tiny, model, 3.0)
    assert float((changed - wanted).abs().max()) <= 1e-4
    assert float((changed - before).abs().max()) > 1e-3
    assert torch.equal(picture(bench, model, *given), before)
