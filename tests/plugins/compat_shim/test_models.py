"""Models, text encoders and VAEs as packs handle them, on a real tiny Stable Diffusion."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.handles import ModelHandle
from engine.plugins.compat.absent import CompatError
from engine.plugins.compat.values import from_pack, to_pack


def test_values_of_packs_and_of_the_engine_turn_into_each_other(parts: Any) -> None:
    model = parts[0]
    assert isinstance(model.handle, ModelHandle)
    assert from_pack(to_pack(model.handle)) is model.handle
    assert from_pack([model, 1]) == [model.handle, 1]
    for pipe in ((model, parts[1], "seed"), [model, model]):
        again = to_pack(from_pack(pipe))
        assert type(again) is type(pipe)
        assert [type(item) for item in again] == [type(item) for item in pipe]
        assert again[0].handle is model.handle
    for plain in (1, "a", [2], {"samples": 3}, None):
        assert to_pack(plain) is plain
        assert from_pack(plain) is plain


def test_a_pack_encodes_text_denoises_and_decodes(parts: Any, node: Any) -> None:
    import nodes

    model, clip, vae, _ = parts
    tokens = clip.tokenize("a red apple")
    cond, pooled = clip.encode_from_tokens(tokens, return_pooled=True)
    positive = [[cond, {"pooled_output": pooled}]]
    (negative,) = nodes.CLIPTextEncode().encode(clip, "")
    (same,) = nodes.CLIPTextEncode().encode(clip, "a red apple")
    assert torch.equal(same[0][0], cond)
    latent = {"samples": torch.zeros(1, 4, 8, 8)}
    (done,) = nodes.common_ksampler(model, 1, 2, 2.0, "euler", "normal", positive, negative, latent)
    (again,) = nodes.KSampler().sample(model, 1, 2, 2.0, "euler", "normal", positive, negative, latent, 1.0)
    assert torch.equal(done["samples"], again["samples"])
    assert vae.decode(done["samples"]).shape == (1, 64, 64, 3)
    assert node.told[-1] == (2, 2)


def test_sampling_by_the_functions_of_the_field_is_that_of_the_node(parts: Any) -> None:
    import comfy.sample
    import comfy.samplers

    import nodes

    model, clip, _, _ = parts
    positive = clip.encode_from_tokens_scheduled(clip.tokenize("cat"))
    latent = torch.zeros(1, 4, 8, 8)
    (node,) = nodes.common_ksampler(model, 5, 2, 3.0, "euler", "karras", positive, positive, {"samples": latent})
    noise = comfy.sample.prepare_noise(latent, 5)
    steps = []
    done = comfy.sample.sample(
        model,
        noise,
        2,
        3.0,
        "euler",
        "karras",
        positive,
        positive,
        latent,
        seed=5,
        callback=lambda *step: steps.append(step[0]),
    )
    assert torch.allclose(done, node["samples"])
    assert steps == [0, 1]
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, positive)
    guider.set_cfg(3.0)
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "karras", 2)
    guided = guider.sample(noise, latent, comfy.samplers.sampler_object("euler"), sigmas, seed=5)
    assert torch.allclose(guided, done)


def test_a_clone_is_patched_alone(parts: Any, tiny_sd: Any) -> None:
    import comfy.sd
    import comfy.utils

    model, clip, _, _ = parts
    weights = comfy.utils.load_torch_file(str(tiny_sd.file("loras", "kohya.safetensors")))
    changed, text = comfy.sd.load_lora_for_models(model.clone(), clip, weights, 0.5, 0.25)
    assert len(changed.handle.patches) == 1
    assert len(text.handle.patches) == 1
    assert model.handle.patches == ()
    earlier = clip.clone()
    earlier.clip_layer(-2)
    assert earlier.handle != clip.handle


def test_what_a_lora_of_a_pack_leaves_over_is_told(parts: Any, node: Any, tiny_sd: Any, tmp_path: Any) -> None:
    import comfy.sd
    import comfy.utils

    from tests.families import save

    path = tmp_path / "more.safetensors"
    save(path, tiny_sd.loras["kohya"] | {"lora_unet_nowhere.lora_up.weight": torch.zeros(2, 2)})
    comfy.sd.load_lora_for_models(parts[0], parts[1], comfy.utils.load_torch_file(str(path)), 1.0, 1.0)
    assert node.warned == [
        "more.safetensors: 1 tensors fit nothing in this model, such as lora_unet_nowhere.lora_up.weight."
    ]


def test_what_packs_look_at_of_a_model_is_there(parts: Any) -> None:
    model, _, vae, _ = parts
    assert model.model.latent_format.latent_channels == 4
    assert model.get_model_object("model_sampling").sigma_max > model.get_model_object("model_sampling").sigma_min
    assert vae.downscale_ratio == 8
    assert vae.encode(torch.rand(1, 64, 64, 3)).shape == (1, 4, 8, 8)
    assert vae.vae_encode_crop_pixels(torch.rand(1, 67, 70, 3)).shape == (1, 64, 64, 3)


def test_places_that_no_network_of_ours_has_are_refused_by_name(parts: Any) -> None:
    model = parts[0]
    with pytest.raises(CompatError, match=r"set_injections.*would need"):
        model.set_injections("mine", [])
    with pytest.raises(CompatError, match=r"diffusion_model\.double_blocks.*take apart"):
        model.get_model_object("diffusion_model.double_blocks")
    with pytest.raises(CompatError, match=r"add_object_patch\('diffusion_model.forward'\)"):
        model.add_object_patch("diffusion_model.forward", None)


def test_packs_that_ask_whether_a_part_is_there_are_told_that_it_is_not(parts: Any) -> None:
    model, clip, vae, _ = parts
    for thing in (model, model.model, model.model.diffusion_model, clip, clip.cond_stage_model, vae):
        assert not hasattr(thing, "double_blocks")
        assert getattr(thing, "_mine", 3) == 3
    with pytest.raises(CompatError, match=r"model\.model\.double_blocks.*take apart"):
        _ = model.model.double_blocks


def test_a_pack_encodes_tokens_with_the_network_itself(parts: Any) -> None:
    clip = parts[1]
    pairs = clip.tokenize("red apple", return_word_ids=True)
    assert [token[2] for token in pairs["l"][0]][:4] == [0, 1, 2, 0]
    cond, pooled = clip.encode_from_tokens(pairs, return_pooled=True)
    found = clip.cond_stage_model.clip_l.encode_token_weights(pairs["l"])
    assert torch.equal(found[0], cond)
    assert torch.equal(found[1], pooled)
    clip.cond_stage_model.set_clip_options({"layer": -2})
    earlier, _ = clip.cond_stage_model.encode_token_weights(pairs)
    skipped = clip.clone()
    skipped.clip_layer(-2)
    assert torch.equal(earlier, skipped.encode_from_tokens(pairs))
    assert not torch.equal(earlier, cond)
    clip.cond_stage_model.reset_clip_options()
    assert torch.equal(clip.cond_stage_model.encode_token_weights(pairs)[0], cond)
