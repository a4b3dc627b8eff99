"""Tensors of a pack's own as patches of weights: the same as a LoRA in a file, and as adding them by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.models.manager import ModelManager
from engine.plugins.compat.absent import CompatError

KEY = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
TEXT_KEY = "clip_l.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight"


@pytest.mark.parametrize("name", ["kohya", "diffusers"])
def test_a_lora_by_its_tensors_is_the_lora_by_its_file(model: Any, picture: Any, tiny_sd: Any, name: str) -> None:
    import comfy.lora
    import comfy.sd
    import comfy.utils

    weights = comfy.utils.load_torch_file(str(tiny_sd.file("loras", f"{name}.safetensors")))
    whole, _ = comfy.sd.load_lora_for_models(model, None, weights, 0.6, 0.0)
    key_map = comfy.lora.model_lora_keys_unet(model.model, {})
    changed = model.clone()
    found = changed.add_patches(comfy.lora.load_lora(weights, key_map), 0.6)
    assert KEY in found
    assert torch.equal(picture(changed), picture(whole))
    assert not torch.allclose(picture(changed), picture(model))


def test_a_lora_in_memory_goes_on_the_model_and_the_text_encoder(parts: Any, tiny_sd: Any) -> None:
    import comfy.sd
    import comfy.utils

    model, clip = parts[:2]
    weights = comfy.utils.load_torch_file(str(tiny_sd.file("loras", "kohya.safetensors")))
    _, whole = comfy.sd.load_lora_for_models(model, clip, weights, 0.5, 0.25)
    changed, text = comfy.sd.load_lora_for_models(model, clip, dict(weights), 0.5, 0.25)
    assert len(changed.handle.patches) == len(text.handle.patches) == 1
    assert torch.equal(text.encode("red apple"), whole.encode("red apple"))
    assert not torch.allclose(text.encode("red apple"), clip.encode("red apple"))


def test_patches_are_added_to_the_weights_as_they_say(model: Any) -> None:
    weight = model.model_state_dict(KEY)[KEY].clone()
    up, down = torch.randn(32, 2), torch.randn(2, 32)
    bias = "diffusion_model.out.2.bias"
    old_bias = model.model_state_dict(bias)[bias].clone()
    changed = model.clone()
    patches = {
        KEY: ("lora", (up, down, 1.0, None, None)),
        bias: (torch.ones_like(old_bias),),
        "elsewhere.weight": (up,),
    }
    assert changed.add_patches(patches, 0.5, 0.9) == [KEY, bias]
    assert torch.allclose(changed.model_state_dict(KEY)[KEY], 0.9 * weight + 0.5 * (up @ down) / 2, atol=1e-5)
    assert torch.allclose(changed.model_state_dict(bias)[bias], 0.9 * old_bias + 0.5)
    assert torch.equal(model.model_state_dict(KEY)[KEY], weight)


def test_a_patch_may_replace_a_weight_or_only_scale_it(model: Any) -> None:
    weight = model.model_state_dict(KEY)[KEY].clone()
    replaced, scaled = model.clone(), model.clone()
    replaced.add_patches({KEY: ("set", (torch.ones(32, 32),))}, 0.3)
    scaled.add_patches({KEY: (None,)}, 0.0, 0.25)
    assert torch.equal(replaced.model_state_dict(KEY)[KEY], torch.ones(32, 32))
    assert torch.allclose(scaled.model_state_dict(KEY)[KEY], weight * 0.25)


def test_a_text_encoder_takes_patches_too(parts: Any) -> None:
    clip = parts[1]
    weight = clip.patcher.model_state_dict()[TEXT_KEY].clone()
    scaled = clip.clone()
    assert scaled.add_patches({TEXT_KEY: (None,)}, 0.0, 2.0) == [TEXT_KEY]
    assert torch.allclose(scaled.get_sd()[TEXT_KEY], weight * 2)
    assert torch.equal(clip.get_sd()[TEXT_KEY], weight)


def test_two_models_are_merged_weight_by_weight(model: Any, tiny_sd: Any) -> None:
    import comfy.sd
    import comfy.utils

    weights = comfy.utils.load_torch_file(str(tiny_sd.file("loras", "kohya.safetensors")))
    other, _ = comfy.sd.load_lora_for_models(model, None, weights, 1.0, 0.0)
    merged = model.clone()
    for key, patch in other.get_key_patches("diffusion_model.").items():
        merged.add_patches({key: patch}, 0.25, 0.75)
    assert len(merged.handle.patches) == 1
    both = 0.75 * model.model_state_dict(KEY)[KEY].clone() + 0.25 * other.model_state_dict(KEY)[KEY].clone()
    assert torch.allclose(merged.model_state_dict(KEY)[KEY], both, atol=1e-5)


def test_a_patched_model_is_data_named_by_what_is_in_the_patch(model: Any) -> None:
    def patched(value: float) -> str:
        changed = model.clone()
        changed.add_patches({KEY: (torch.full((32, 32), value),)})
        return str(changed.handle.identity())

    assert patched(1.0) == patched(1.0)
    assert patched(1.0) != patched(2.0)


def test_a_patch_file_that_is_gone_has_its_model_made_again(model: Any) -> None:
    from pathlib import Path

    from engine.__main__ import handle_codecs
    from engine.cache.codecs import Codecs

    changed = model.clone()
    changed.add_patches({KEY: (torch.full((32, 32), 3.0),)})
    codecs = Codecs(handle_codecs())
    stored = b"".join(codecs.encode(changed.handle))
    assert codecs.decode(stored) == changed.handle
    Path(changed.handle.patches[0].source.path).unlink()
    with pytest.raises(FileNotFoundError):
        codecs.decode(stored)


def test_weights_are_calculated_as_the_manager_does(model: Any, tiny_manager: ModelManager) -> None:
    import comfy.lora

    weight = model.model_state_dict(KEY)[KEY].clone()
    patch = ("lora", (torch.randn(32, 2), torch.randn(2, 32), 2.0, None, torch.rand(32, 1)))
    changed = model.clone()
    changed.add_patches({KEY: patch}, 0.5)
    made = comfy.lora.calculate_weight([(0.5, patch, 1.0, None, None)], weight, KEY)
    assert torch.allclose(made, changed.model_state_dict(KEY)[KEY], atol=1e-5)


def test_a_calculated_weight_that_is_set_is_the_tensor_whatever_the_strength(node: Any) -> None:
    import comfy.lora

    patches = [(0.3, ("set", (torch.full((2, 2), 4.0),)), 0.5, None, None)]
    assert torch.equal(comfy.lora.calculate_weight(patches, torch.ones(2, 2), "any.weight"), torch.full((2, 2), 4.0))


def test_patches_of_different_weights_keep_their_own_strengths(model: Any) -> None:
    other = KEY.replace("to_q", "to_k")
    before = {key: model.model_state_dict(key)[key].clone() for key in (KEY, other)}
    changed = model.clone()
    for key, strength in ((KEY, 0.5), (other, 2.0)):
        changed.add_patches({key: (torch.ones(32, 32),)}, strength)
    assert torch.allclose(changed.model_state_dict(KEY)[KEY], before[KEY] + 0.5)
    assert torch.allclose(changed.model_state_dict(other)[other], before[other] + 2.0)


def rotation(blocks: torch.Tensor) -> torch.Tensor:
    """Cayley's rotations of skew-symmetric parts, (k, n, n)."""
    skew, one = blocks - blocks.transpose(-1, -2), torch.eye(blocks.shape[-1])
    return (one + skew) @ torch.linalg.inv(one - skew)


GLORA = tuple(torch.randn(shape, generator=torch.Generator().manual_seed(4)) for shape in ((32, 2), (2, 32)) * 2)
BLOCKS = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(5)) * 0.2
PAIRS = torch.randn(1, 16, 2, 2, generator=torch.Generator().manual_seed(6)) * 0.2
ROTATED = {
    "glora": ((*GLORA, 3.0, None), lambda w: w + 1.5 * (w @ GLORA[0] @ GLORA[1] + GLORA[2] @ GLORA[3])),
    "oft": ((BLOCKS, None, None, None), lambda w: torch.block_diag(*rotation(BLOCKS).mT) @ w),
    "boft": ((PAIRS, None, 0.0, None), lambda w: torch.block_diag(*rotation(PAIRS[0])) @ w),
}


@pytest.mark.parametrize("kind", ROTATED)
def test_patches_that_depend_on_the_weight_are_of_the_weight_as_it_is_then(model: Any, kind: str) -> None:
    import comfy.lora

    tensors, made = ROTATED[kind]
    weight = model.model_state_dict(KEY)[KEY].clone()
    changed = model.clone()
    changed.add_patches({KEY: (kind, tensors)}, 0.5, 0.8)
    scaled = 0.8 * weight
    expected = scaled + 0.5 * (made(scaled) - scaled)
    assert torch.allclose(changed.model_state_dict(KEY)[KEY], expected, atol=1e-5)
    calculated = comfy.lora.calculate_weight([(0.5, (kind, tensors), 0.8, None, None)], weight.clone(), KEY)
    assert torch.allclose(calculated, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shapes", "key"),
    [
        ({"a1.weight": (32, 2), "a2.weight": (2, 32), "b1.weight": (32, 2), "b2.weight": (2, 32), "alpha": ()}, KEY),
        ({"oft_blocks": (4, 8, 8)}, KEY),
        ({"oft_blocks": (2, 8, 4, 4), "rescale": (32, 1)}, KEY),
        ({"set_weight": (32, 32)}, KEY),
        ({"w_norm": (32,), "b_norm": (32,)}, "diffusion_model.input_blocks.1.1.norm.weight"),
    ],
)
def test_tensors_of_a_loras_relatives_are_the_same_in_memory_and_in_a_file(
    model: Any, tmp_path: Any, shapes: dict[str, Any], key: str
) -> None:
    import comfy.lora
    import comfy.sd
    import comfy.utils
    from safetensors.torch import save_file

    module = key.removeprefix("diffusion_model.").removesuffix(".weight").replace(".", "_")
    tensors = {f"lora_unet_{module}.{part}": torch.randn(shape) * 0.2 for part, shape in shapes.items()}
    save_file(tensors, tmp_path / "relative.safetensors")
    whole, _ = comfy.sd.load_lora_for_models(
        model, None, comfy.utils.load_torch_file(str(tmp_path / "relative.safetensors")), 0.6, 0.0
    )
    changed = model.clone()
    found = changed.add_patches(comfy.lora.load_lora(tensors, comfy.lora.model_lora_keys_unet(model.model, {})), 0.6)
    assert key in found
    plain = model.model_state_dict("diffusion_model.")
    one, other = whole.model_state_dict("diffusion_model."), changed.model_state_dict("diffusion_model.")
    assert {name for name in plain if not torch.equal(plain[name], one[name])} == set(found)
    assert all(torch.equal(one[name], other[name]) for name in plain)


def test_patches_of_an_unknown_kind_and_for_parts_of_weights_are_refused(model: Any) -> None:
    with pytest.raises(CompatError, match="kind 'magic'"):
        model.clone().add_patches({KEY: ("magic", ())})
    with pytest.raises(CompatError, match="part of a weight"):
        model.clone().add_patches({(KEY, (0, 0, 4)): (torch.ones(4, 32),)})


def test_patches_count_in_the_order_they_are_put_on(model: Any) -> None:
    weight = model.model_state_dict(KEY)[KEY].clone()
    changed = model.clone()
    ones = torch.ones(32, 32)
    changed.add_patches({KEY: (ones,)}, 1.0)
    changed.add_patches({KEY: (ones,)}, 1.0, 0.5)
    changed.add_patches({KEY: (ones,)}, 1.0, 0.5)
    assert torch.allclose(changed.model_state_dict(KEY)[KEY], ((weight + 1) * 0.5 + 1) * 0.5 + 1, atol=1e-5)
    copied = changed.clone()
    copied.add_patches({KEY: (ones,)}, 1.0)
    assert len(copied.handle.patches) == len(changed.handle.patches) + 1


def test_weights_that_a_pack_loads_into_a_clone_are_that_clone_s(model: Any, picture: Any) -> None:
    before = picture(model)
    changed = model.clone()
    state = dict(changed.model.diffusion_model.state_dict())
    name = KEY.removeprefix("diffusion_model.")
    state[name] = state[name] + 1.0
    changed.model.diffusion_model.load_state_dict(state)
    assert torch.equal(changed.model_state_dict(KEY)[KEY], state[name])
    assert len(changed.handle.patches) == 1
    assert not torch.allclose(picture(changed), before)
    assert torch.equal(picture(model), before)


def test_what_a_pack_writes_into_weights_stays_its_own(model: Any, parts: Any, picture: Any) -> None:
    before = picture(model)
    for state in (model.model.state_dict(), model.model.diffusion_model.state_dict(), parts[1].get_sd()):
        for name in state:
            state[name].fill_(1.0)
        for value in state.values():
            value.zero_()
        for _, value in state.items():
            value += 1
        assert all(value.eq(1).all() for value in dict(state).values())
        first = next(iter(state))
        assert state.pop(first).eq(1).all()
        assert first not in state
        assert state.pop(first, None) is None
        assert state.get(first, 3) == 3
        assert state.copy().keys() == state.keys()
    assert torch.equal(picture(model), before)
    assert not model.model_state_dict(KEY)[KEY].eq(1).all()
