"""Hooks against separate runs of models with the same changes put on by loaders."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.__main__ import handle_codecs
from engine.cache.codecs import Codecs
from engine.cache.digests import digest
from engine.models.errors import LoraError, ModelError
from engine.models.hooks import HookKeyframes, Hooks, Keyframe, strengths_by_level
from nodes import hook_keyframes as k
from nodes import hooks as h
from nodes.conditioning import conditioning_set_area, text_encode
from nodes.conditioning_properties import conditioning_set_properties as with_properties
from nodes.conditioning_properties import conditioning_set_properties_and_combine as and_combine
from nodes.custom_sampling import ksampler_select, random_noise, sampler_custom_advanced
from nodes.guidance import dual_model_guider
from nodes.loaders import checkpoint_loader, lora_loader, lora_loader_model_only
from nodes.sampling import ksampler, ksampler_advanced
from nodes.sigmas import basic_scheduler

KOHYA, DIFFUSERS = "kohya.safetensors", "diffusers.safetensors"
CLOSE = {"atol": 1e-5, "rtol": 1e-6}


@pytest.fixture
def parts(bench):
    return checkpoint_loader(bench, "tiny.safetensors")


@pytest.fixture
def texts(bench, parts):
    return {name: text_encode(bench, text, parts.CLIP) for name, text in (("red", "red apple"), ("none", ""))}


@pytest.fixture
def run(bench, texts):
    start = {"samples": torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))}

    def run(model: Any, positive: Any, negative: Any = None, **options: Any) -> torch.Tensor:
        told = {"seed": 1, "steps": 3, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal"} | options
        away = texts["none"] if negative is None else negative
        found: torch.Tensor = ksampler(bench, model, latent_image=start, positive=positive, negative=away, **told)[
            "samples"
        ]
        return found

    return run


def hooked(bench: Any, conditioning: Any, *names: str, strength: float = 0.8) -> Any:
    hooks = None
    for name in names:
        hooks = h.create_hook_lora_model_only(bench, name, strength, hooks)
    return with_properties(conditioning, hooks=hooks)


def variants(models: Any, model: Any) -> Any:
    with models.use(model) as network:
        return next(
            one for entry in models._entries.values() if (one := entry.with_module(network.module))
        ).weights.variants


@pytest.mark.parametrize("names", [(KOHYA,), (KOHYA, DIFFUSERS)])
def test_a_conditioning_with_hooks_is_that_of_the_model_with_the_loras(bench, parts, texts, run, names):
    patched = parts.MODEL
    for name in names:
        patched = lora_loader_model_only(bench, patched, name, 0.8)
    found, expected = run(parts.MODEL, hooked(bench, texts["red"], *names)), run(patched, texts["red"])
    torch.testing.assert_close(found, expected, **CLOSE)
    assert not torch.allclose(found, run(parts.MODEL, texts["red"]), atol=1e-3)


def test_hooks_come_on_top_of_the_models_own_patches(bench, parts, texts, run):
    first = lora_loader_model_only(bench, parts.MODEL, DIFFUSERS, 0.5)
    both = lora_loader_model_only(bench, first, KOHYA, 0.8)
    torch.testing.assert_close(run(first, hooked(bench, texts["red"], KOHYA)), run(both, texts["red"]), **CLOSE)


def test_the_other_branch_keeps_its_weights(bench, parts, texts, run):
    patched = lora_loader_model_only(bench, parts.MODEL, KOHYA, 0.8)
    model = parts.MODEL
    guider = dual_model_guider(patched, texts["red"], 3.0, model, texts["none"])
    start = {"samples": torch.zeros(2, 4, 8, 8)}
    expected = sampler_custom_advanced(
        bench, random_noise(1), guider, ksampler_select("euler"), basic_scheduler(model, "normal", 3, 1.0), start
    )[0]["samples"]
    told = {"seed": 1, "steps": 3, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal", "latent_image": start}
    found = ksampler(bench, model, positive=hooked(bench, texts["red"], KOHYA), negative=texts["none"], **told)[
        "samples"
    ]
    torch.testing.assert_close(found, expected, **CLOSE)
    assert torch.equal(run(model, texts["red"]), run(model, texts["red"]))  # and afterwards it is what it was


def test_the_negative_ones_hooks_are_for_the_model_that_predicts_for_it(bench, parts, texts):
    model = lora_loader_model_only(bench, parts.MODEL, DIFFUSERS, 0.3)
    start = {"samples": torch.zeros(1, 4, 8, 8)}

    def run(guider: Any) -> torch.Tensor:
        sigmas = basic_scheduler(model, "normal", 2, 1.0)
        return sampler_custom_advanced(bench, random_noise(1), guider, ksampler_select("euler"), sigmas, start)[0][
            "samples"
        ]

    found = run(dual_model_guider(model, texts["red"], 2.0, parts.MODEL, hooked(bench, texts["none"], KOHYA)))
    other = lora_loader_model_only(bench, parts.MODEL, KOHYA, 0.8)
    torch.testing.assert_close(found, run(dual_model_guider(model, texts["red"], 2.0, other, texts["none"])), **CLOSE)


def test_hooks_of_packed_weights_are_put_on_as_they_are_unpacked(bench, parts, texts, run, tiny_sd):
    path = tiny_sd.file("checkpoints", "fp8.safetensors")
    source = tiny_sd.file("checkpoints", "tiny.safetensors")
    from safetensors import safe_open

    with safe_open(source, "pt") as opened:
        metadata = opened.metadata()
    wanted = "model.diffusion_model."
    tensors = {
        name: one.to(torch.float8_e4m3fn) if name.startswith(wanted) and "attn" in name and one.ndim == 2 else one
        for name, one in load_file(source).items()
    }
    save_file(tensors, path, metadata)
    try:
        packed = checkpoint_loader(bench, "fp8.safetensors").MODEL
        patched = lora_loader_model_only(bench, packed, KOHYA, 0.8)
        found = run(packed, hooked(bench, texts["red"], KOHYA), cfg=2.0)
        assert torch.isfinite(found).all()
        alone = run(packed, hooked(bench, texts["red"], KOHYA))
        torch.testing.assert_close(alone, run(patched, texts["red"]), **CLOSE)
        assert not torch.allclose(alone, run(packed, texts["red"]), atol=1e-3)
    finally:
        path.unlink()


def test_each_half_is_that_of_its_own_model(bench, parts, texts, run):
    mask = torch.zeros(1, 8, 8)
    mask[:, :, :4] = 1.0
    left = with_properties(hooked(bench, texts["red"], KOHYA), mask=mask)
    right = and_combine(left, hooked(bench, texts["red"], DIFFUSERS), mask=1.0 - mask)
    found = run(parts.MODEL, right, steps=1)  # one step of euler ends at the prediction itself
    each = [
        run(lora_loader_model_only(bench, parts.MODEL, name, 0.8), texts["red"], steps=1) for name in (KOHYA, DIFFUSERS)
    ]
    torch.testing.assert_close(found[..., :4], each[0][..., :4], **CLOSE)
    torch.testing.assert_close(found[..., 4:], each[1][..., 4:], **CLOSE)


def test_an_area_is_guided_against_the_negative_under_its_own_weights(bench, parts, texts, run):
    area = conditioning_set_area(hooked(bench, texts["red"], KOHYA), 32, 64, 0, 0)
    apart = [*area, *with_properties(texts["red"])]
    plain = [*conditioning_set_area(hooked(bench, texts["none"], KOHYA), 32, 64, 0, 0), *texts["none"]]
    assert not torch.allclose(run(parts.MODEL, apart, cfg=3.0), run(parts.MODEL, apart, plain, cfg=3.0), atol=1e-4)


def test_strength_changes_at_the_step_that_its_keyframe_says_and_only_then_are_weights_made(bench, parts, texts):
    model, none = parts.MODEL, texts["none"]
    frames = k.create_hook_keyframe(0.0, 0.5, k.create_hook_keyframe(1.0, 0.0))
    hooks = h.set_hook_keyframes(h.create_hook_lora(bench, KOHYA, 0.6, 0.0), frames)
    start = {"samples": torch.zeros(1, 4, 8, 8)}
    told = {"cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "steps": 6, "negative": none}
    made = variants(bench.models, model).made
    found = ksampler(
        bench, model, seed=1, positive=with_properties(texts["red"], hooks=hooks), latent_image=start, **told
    )
    assert variants(bench.models, model).made == made + 1

    from engine.sampling.noise_schedule import NoiseSchedule

    sigmas = basic_scheduler(model, "normal", 6, 1.0)
    changes = NoiseSchedule.of(model.parameterization).percent_to_sigma(0.5)
    step = next(number for number, sigma in enumerate(sigmas.tolist()) if sigma <= changes)
    assert 0 < step < 6
    patched = lora_loader_model_only(bench, model, KOHYA, 0.6)
    told |= {"noise_seed": 1, "positive": texts["red"]}
    half = ksampler_advanced(
        bench,
        patched,
        add_noise="enable",
        latent_image=start,
        start_at_step=0,
        end_at_step=step,
        return_with_leftover_noise="enable",
        **told,
    )
    expected = ksampler_advanced(
        bench,
        model,
        add_noise="disable",
        latent_image=half,
        start_at_step=step,
        end_at_step=6,
        return_with_leftover_noise="disable",
        **told,
    )
    torch.testing.assert_close(found["samples"], expected["samples"], **CLOSE)


def test_weights_are_made_once_for_each_strength_and_kept_for_the_next_run(bench, parts, texts, run):
    conditioning = and_combine(
        hooked(bench, texts["red"], KOHYA, strength=0.31), hooked(bench, texts["red"], DIFFUSERS)
    )
    run(parts.MODEL, texts["red"])
    before = variants(bench.models, parts.MODEL).made
    first = run(parts.MODEL, conditioning, cfg=2.0)
    assert variants(bench.models, parts.MODEL).made == before + 2
    assert torch.equal(run(parts.MODEL, conditioning, cfg=2.0), first)
    assert variants(bench.models, parts.MODEL).made == before + 2
    for number in range(12):  # more than are kept
        run(parts.MODEL, hooked(bench, texts["red"], KOHYA, strength=0.1 + number / 100), steps=1)
    assert len(variants(bench.models, parts.MODEL)._kept) <= 8


def test_files_of_earlier_hooks_are_closed(bench, parts, texts, run, tiny_sd):
    tensors = load_file(tiny_sd.file("loras", DIFFUSERS))
    paths = [tiny_sd.file("loras", f"again_{number}.safetensors") for number in range(14)]
    try:
        for number, path in enumerate(paths):
            save_file({name: one * (1.0 + number / 10) for name, one in tensors.items()}, path)
            run(parts.MODEL, hooked(bench, texts["red"], path.name), steps=1)
        with bench.models.use(parts.MODEL) as network:
            entry = next(one for one in bench.models._entries.values() if one.with_module(network.module))
        assert len(entry._patch_files) <= 10
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def test_the_budget_bounds_what_is_kept(tiny_sd, bench, texts):
    from engine.models.manager import ModelManager

    models = ModelManager("cpu", byte_budget=1)
    model, _, _ = models.checkpoint(tiny_sd.file("checkpoints", "tiny.safetensors"))
    loras = [models.lora(tiny_sd.file("loras", name), model).model.patches for name in (KOHYA, DIFFUSERS)]
    with models.use(model) as network:
        for patches in (*loras, *loras):
            with models.varied(network, patches):
                pass
            kept = next(one for one in models._entries.values() if one.in_use)._instances[0].weights.variants
            assert len(kept._kept) == 1
        assert kept.made == 4


def test_a_model_as_lora_is_the_other_model_at_full_strength_and_between_them_at_half(
    bench, parts, texts, run, tiny_sd
):
    path = tiny_sd.file("checkpoints", "other.safetensors")
    source = tiny_sd.file("checkpoints", "tiny.safetensors")
    if not path.exists():
        from safetensors import safe_open

        with safe_open(source, "pt") as opened:
            metadata = opened.metadata()
        generator = torch.Generator().manual_seed(5)
        tensors = {
            name: one + 0.02 * torch.randn(one.shape, generator=generator) if one.is_floating_point() else one
            for name, one in load_file(source).items()
        }
        save_file(tensors, path, metadata)
    other = checkpoint_loader(bench, "other.safetensors")
    whole = h.create_hook_model_as_lora_model_only(bench, "other.safetensors", 1.0)
    found = run(parts.MODEL, with_properties(texts["red"], hooks=whole))
    torch.testing.assert_close(found, run(other.MODEL, texts["red"]), **CLOSE)
    from nodes.model_merging import model_merge_simple

    half = h.create_hook_model_as_lora(bench, "other.safetensors", 0.5, 1.0)
    found = run(parts.MODEL, with_properties(texts["red"], hooks=half))
    torch.testing.assert_close(
        found, run(model_merge_simple(bench, parts.MODEL, other.MODEL, 0.5), texts["red"]), **CLOSE
    )
    [[tokens, options]] = text_encode(bench, "red", h.set_clip_hooks(bench, parts.CLIP, True, False, half))
    torch.testing.assert_close(tokens, text_encode(bench, "red", other.CLIP)[0][0], **CLOSE)
    assert options["hooks"] == half
    path.unlink()


def test_a_text_encoder_under_hooks_is_the_one_with_the_lora(bench, parts):
    hooks = h.create_hook_lora(bench, KOHYA, 0.4, 0.7)
    clip = h.set_clip_hooks(bench, parts.CLIP, True, False, hooks)
    [[tokens, options]] = text_encode(bench, "red apple", clip)
    patched = lora_loader(bench, parts.MODEL, parts.CLIP, KOHYA, 0.4, 0.7).CLIP
    assert torch.equal(tokens, text_encode(bench, "red apple", patched)[0][0])
    assert options["hooks"] == hooks
    [[same, alone]] = text_encode(bench, "red apple", h.set_clip_hooks(bench, parts.CLIP, False, False, hooks))
    assert torch.equal(same, tokens)
    assert "hooks" not in alone
    assert h.set_clip_hooks(bench, parts.CLIP, hooks=None) is parts.CLIP


def test_a_schedule_encodes_each_stretch_and_the_run_takes_them_one_after_the_other(bench, parts, texts, run):
    frames = k.create_hook_keyframe(0.25, 0.5, k.create_hook_keyframe(1.0, 0.0))
    hooks = h.set_hook_keyframes(h.create_hook_lora(bench, KOHYA, 0.0, 0.8), frames)
    clip = h.set_clip_hooks(bench, parts.CLIP, False, True, hooks)
    entries = text_encode(bench, "red apple", clip)
    assert [(o["clip_start_percent"], o["clip_end_percent"]) for _, o in entries] == [(0.0, 0.5), (0.5, 1.0)]
    for (tokens, _), strength in zip(entries, (0.8, 0.2), strict=True):
        patched = lora_loader(bench, parts.MODEL, parts.CLIP, KOHYA, 0.0, strength).CLIP
        torch.testing.assert_close(tokens, text_encode(bench, "red apple", patched)[0][0], **CLOSE)
    from nodes.conditioning import conditioning_set_timestep_range

    plain = [
        entry
        for (tokens, options), (start, end) in zip(entries, ((0.0, 0.5), (0.5001, 1.0)), strict=True)
        for entry in conditioning_set_timestep_range(
            [[tokens, {"pooled_output": options["pooled_output"]}]], start, end
        )
    ]
    assert torch.equal(run(parts.MODEL, entries, steps=4), run(parts.MODEL, plain, steps=4))


def test_keyframes_by_level():
    def sigma_of(share: float) -> float:
        return 10.0 * (1.0 - share)

    def at(frames: Any, level: float, levels: Any = (10.0, 7.0, 4.0, 1.0)) -> float:
        found = strengths_by_level(frames, sigma_of, levels)
        return [strength for begins, strength in found if begins >= level][-1]

    frames = HookKeyframes().adding([Keyframe(0.5, 2.0), Keyframe(0.0, 1.0)]).frames
    assert [at(frames, level) for level in (10.0, 7.0, 5.1, 5.0, 4.0)] == [1.0, 1.0, 1.0, 2.0, 2.0]
    late = (Keyframe(0.3, 3.0), Keyframe(0.89, 4.0))
    assert [at(late, level) for level in (10.0, 1.0)] == [3.0, 4.0]  # the first holds from the beginning
    behind = (Keyframe(0.0, 1.0), Keyframe(0.0, 2.0), Keyframe(0.2, 3.0))
    assert [at(behind, level) for level in (10.0, 8.0, 7.0)] == [2.0, 3.0, 3.0]
    sure = (Keyframe(0.0, 1.0, sure=True), Keyframe(0.0, 2.0), Keyframe(0.65, 3.0))
    assert [at(sure, level) for level in (10.0, 7.0, 4.0, 3.5, 1.0)] == [1.0, 2.0, 2.0, 3.0, 3.0]
    assert [at(sure, level, (4.0, 1.0)) for level in (4.0, 1.0)] == [1.0, 3.0]  # a run that begins late


def test_keyframes_in_a_row():
    row = k.create_hook_keyframes_interpolated(0.0, 1.0, "LINEAR", 0.2, 0.8, 4).frames
    assert [(f.start, f.strength) for f in row] == [
        pytest.approx(pair) for pair in ((0.2, 0.0), (0.4, 1 / 3), (0.6, 2 / 3), (0.8, 1.0))
    ]
    assert [f.sure for f in row] == [True, False, False, False]
    listed = k.create_hook_keyframes_from_floats(
        [1.0, 0.5, 0.0], 0.0, 1.0, prev_hook_kf=HookKeyframes((Keyframe(0.9, 7.0),))
    )
    assert [(f.start, f.strength) for f in listed.frames] == [(0.0, 1.0), (0.5, 0.5), (0.9, 7.0), (1.0, 0.0)]
    assert k.create_hook_keyframes_from_floats(0.5, 0.3, 1.0).frames == (Keyframe(0.3, 0.5, sure=True),)


@pytest.mark.parametrize("name", list(k.CURVES))
def test_curves_go_from_none_to_all(name):
    curve = k.CURVES[name]
    assert curve(0.0) == pytest.approx(0.0, abs=1e-3)
    assert curve(1.0) == pytest.approx(1.0, abs=1e-3)
    if name not in ("EASE_IN", "EASE_OUT"):
        assert curve(0.5) == pytest.approx(0.5)
        assert curve(0.3) + curve(0.7) == pytest.approx(1.0)
    values = {
        "EASE_IN": 0.0625,
        "EASE_OUT": 0.4375,
        "EASE_OUT_IN": 0.375,
        "CUBIC": 0.0625,
        "BOUNCE": 0.1171875,
        "QUINTIC": 0.015625,
    }
    if name in values:
        assert curve(0.25) == pytest.approx(values[name])


@pytest.mark.parametrize("given", [[], "text", [1.0, float("nan")], None])
def test_what_is_no_row_of_numbers_is_told(given):
    with pytest.raises(ValueError, match="floats_strength"):
        k.create_hook_keyframes_from_floats(given)


def test_a_lora_of_another_family_is_told_where_it_is_used(bench, parts, texts, run, tiny_sd, monkeypatch):
    monkeypatch.setattr("engine.models.lora_families.told", lambda path, names: "whose they are")  # takes seconds
    path = tiny_sd.file("loras", "stranger.safetensors")
    save_file(
        {
            "transformer.nowhere.lora_A.weight": torch.zeros(2, 4),
            "transformer.nowhere.lora_B.weight": torch.zeros(4, 2),
        },
        path,
    )
    try:
        stranger = h.create_hook_lora(bench, "stranger.safetensors")
        with pytest.raises(LoraError, match=r"stranger.*none of its 2 tensors fits"):
            run(parts.MODEL, with_properties(texts["red"], hooks=stranger))
        assert torch.isfinite(run(parts.MODEL, texts["red"])).all()
    finally:
        path.unlink()
    odd = tiny_sd.file("loras", "odd_text.safetensors")
    save_file(
        {"lora_te_nowhere.lora_down.weight": torch.zeros(2, 4), "lora_te_nowhere.lora_up.weight": torch.zeros(4, 2)},
        odd,
    )
    try:
        with pytest.raises(LoraError, match="odd_text"):
            h.set_clip_hooks(bench, parts.CLIP, hooks=h.create_hook_lora(bench, "odd_text.safetensors"))
    finally:
        odd.unlink()


def test_a_checkpoint_of_another_family_is_told_where_it_is_used(bench, parts, texts, run):
    import msgspec

    other = parts.MODEL
    hook = Hooks((h.WeightHook(model=msgspec.structs.replace(other, prefix="nothing.of.the.kind.")),))
    with pytest.raises(ModelError, match=r"hooks: .*no weight of the same name"):
        run(parts.MODEL, with_properties(texts["red"], hooks=hook))


def test_hooks_of_no_strength_are_none(bench, texts):
    assert h.create_hook_lora(bench, KOHYA, 0.0, 0.0) == Hooks()
    earlier = h.create_hook_lora(bench, KOHYA)
    assert h.create_hook_lora(bench, DIFFUSERS, 0.0, 0.0, earlier) is earlier
    assert "hooks" not in with_properties(texts["red"], hooks=Hooks())[0][1]
    assert h.combine_hooks_2() == h.combine_hooks_4() == h.combine_hooks_8() == Hooks()
    two = h.combine_hooks_8(hooks_C=earlier, hooks_H=h.create_hook_lora(bench, DIFFUSERS))
    assert [hook.lora.path.split("/")[-1] for hook in two.hooks] == [KOHYA, DIFFUSERS]


def test_hooks_are_named_and_stored_by_what_they_are(bench, parts):
    hooks = h.set_hook_keyframes(h.create_hook_lora(bench, KOHYA, 0.5), k.create_hook_keyframe(0.5, 0.25))
    clip = h.set_clip_hooks(bench, parts.CLIP, True, True, hooks)
    model = h.create_hook_model_as_lora(bench, "tiny.safetensors")
    codecs = Codecs(handle_codecs())
    for value in (hooks, clip, model, k.create_hook_keyframe(0.5, 0.25), [[torch.zeros(1, 2, 3), {"hooks": hooks}]]):
        again = codecs.decode(b"".join(codecs.encode(value)))
        assert digest(again) == digest(value) is not None
    weaker = h.set_hook_keyframes(h.create_hook_lora(bench, KOHYA, 0.5), k.create_hook_keyframe(0.4, 0.25))
    assert digest(weaker) != digest(hooks)
    assert digest(h.set_clip_hooks(bench, parts.CLIP, True, False, hooks)) != digest(clip) != digest(parts.CLIP)
