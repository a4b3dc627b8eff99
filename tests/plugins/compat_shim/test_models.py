"""Models, text encoders and VAEs as packs handle them, on a real tiny Stable Diffusion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from engine.models.handles import ModelHandle
from engine.paths import Paths
from engine.plugins.compat.absent import CompatError
from engine.plugins.compat.host import Host
from engine.plugins.compat.install import install_shim, uninstall_shim
from engine.plugins.compat.running import running
from engine.plugins.compat.values import from_pack, to_pack


@pytest.fixture
def node(bench: Any, tiny_sd: Any) -> Iterator[Any]:
    """Inside the function of a pack's node."""
    install_shim(Host(Paths(tiny_sd.base)))
    with running(bench):
        yield bench
    uninstall_shim()


@pytest.fixture
def parts(node: Any, tiny_sd: Any) -> Any:
    import comfy.sd

    return comfy.sd.load_checkpoint_guess_config(str(tiny_sd.file("checkpoints", "tiny.safetensors")))


def test_values_of_packs_and_of_the_engine_turn_into_each_other(parts: Any) -> None:
    model = parts[0]
    assert isinstance(model.handle, ModelHandle)
    assert from_pack(to_pack(model.handle)) is model.handle
    assert from_pack([model, 1]) == [model.handle, 1]
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


def test_tensors_that_are_no_file_s_are_refused_as_a_lora(parts: Any) -> None:
    import comfy.sd

    with pytest.raises(CompatError, match="give the path of a file"):
        comfy.sd.load_lora_for_models(parts[0], None, {"a": torch.zeros(1)}, 1.0, 0.0)


def test_what_packs_look_at_of_a_model_is_there(parts: Any) -> None:
    model, _, vae, _ = parts
    assert model.model.latent_format.latent_channels == 4
    assert model.get_model_object("model_sampling").sigma_max > model.get_model_object("model_sampling").sigma_min
    assert vae.downscale_ratio == 8
    assert vae.encode(torch.rand(1, 64, 64, 3)).shape == (1, 4, 8, 8)
    assert vae.vae_encode_crop_pixels(torch.rand(1, 67, 70, 3)).shape == (1, 64, 64, 3)


@pytest.mark.parametrize("hook", ["set_model_sampler_cfg_function", "set_model_attn2_patch", "add_wrapper_with_key"])
def test_functions_inside_the_network_are_refused_when_they_are_put_there(parts: Any, hook: str) -> None:
    with pytest.raises(CompatError, match=f"{hook}.*would need hooks"):
        getattr(parts[0], hook)(lambda *args: None)


def test_a_guider_that_changes_the_prediction_is_refused_when_it_samples(parts: Any) -> None:
    from comfy.samplers import CFGGuider

    class Mine(CFGGuider):
        def predict_noise(self, *args: Any, **kwargs: Any) -> Any:
            return None

    with pytest.raises(CompatError, match="guidance that packs may replace"):
        Mine(parts[0]).sample(None, None, "euler", None)
