"""Putting LoRAs on and taking them off: exact, ordered, and only where something changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.models.errors import CheckpointError, LoraError
from engine.models.handles import ModelHandle
from engine.models.manager import ModelManager

TO_Q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight"


@pytest.fixture
def manager() -> ModelManager:
    return ModelManager()


@pytest.fixture
def opened(manager: ModelManager, tiny_sd: Any) -> Any:
    return manager.checkpoint(tiny_sd.file("checkpoints", "tiny.safetensors"))


@pytest.fixture
def kohya(tiny_sd: Any) -> Path:
    return tiny_sd.file("loras", "kohya.safetensors")


@pytest.fixture
def diffusers(tiny_sd: Any) -> Path:
    return tiny_sd.file("loras", "diffusers.safetensors")


def weights(manager: ModelManager, handle: Any) -> dict[str, torch.Tensor]:
    with manager.use(handle) as live:
        return {name: parameter.detach().clone() for name, parameter in live.module.named_parameters()}


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(value, right[name]) for name, value in left.items())


def test_on_off_on_leaves_bit_equal_weights(manager: ModelManager, opened: Any, kohya: Path) -> None:
    plain = weights(manager, opened.model), weights(manager, opened.clip)
    result = manager.lora(kohya, opened.model, opened.clip, 0.8, 0.6)
    on = weights(manager, result.model), weights(manager, result.clip)
    assert not equal(on[0], plain[0])
    assert not equal(on[1], plain[1])
    off = weights(manager, opened.model), weights(manager, opened.clip)
    assert equal(off[0], plain[0])
    assert equal(off[1], plain[1])
    again = weights(manager, result.model), weights(manager, result.clip)
    assert equal(again[0], on[0])
    assert equal(again[1], on[1])
    assert equal(weights(ModelManager(), opened.model), plain[0])


def test_a_weight_is_the_original_plus_strength_times_up_down_alpha_over_rank(
    manager: ModelManager, opened: Any, kohya: Path
) -> None:
    tensors = load_file(kohya)
    key = f"lora_unet_{TO_Q.removesuffix('.weight').replace('.', '_')}"
    delta = tensors[f"{key}.lora_up.weight"] @ tensors[f"{key}.lora_down.weight"] * (2.0 / 4)
    plain, on = weights(manager, opened.model), weights(manager, manager.lora(kohya, opened.model, None, 0.7).model)
    assert torch.allclose(on[TO_Q], plain[TO_Q] + 0.7 * delta, atol=1e-7)
    assert torch.equal(on["conv_in.weight"], plain["conv_in.weight"])


def test_stacked_loras_add_up_in_any_order_but_keep_their_own_strengths(
    manager: ModelManager, opened: Any, kohya: Path, diffusers: Path
) -> None:
    plain = weights(manager, opened.model)
    one, two = (
        manager.lora(kohya, opened.model, None, 0.5).model,
        manager.lora(diffusers, opened.model, None, -0.3).model,
    )
    both = manager.lora(diffusers, one, None, -0.3).model
    assert [patch.strength for patch in both.patches] == [0.5, -0.3]
    a, b, ab = weights(manager, one), weights(manager, two), weights(manager, both)
    assert torch.allclose(ab[TO_Q], a[TO_Q] + b[TO_Q] - plain[TO_Q], atol=1e-6)
    ba = weights(manager, manager.lora(kohya, two, None, 0.5).model)
    assert torch.allclose(ab[TO_Q], ba[TO_Q], atol=1e-6)


def test_the_same_lora_twice_counts_twice(manager: ModelManager, opened: Any, kohya: Path) -> None:
    twice = manager.lora(kohya, manager.lora(kohya, opened.model, None, 0.4).model, None, 0.4).model
    once = manager.lora(kohya, opened.model, None, 0.8).model
    assert torch.allclose(weights(manager, twice)[TO_Q], weights(manager, once)[TO_Q], atol=1e-6)


def test_a_strength_change_replaces_only_touched_tensors(manager: ModelManager, opened: Any, kohya: Path) -> None:
    def places(handle: ModelHandle) -> dict[str, int]:
        with manager.use(handle) as network:
            return {name: parameter.data_ptr() for name, parameter in network.module.named_parameters()}

    plain = places(opened.model)
    on = places(manager.lora(kohya, opened.model, None, 0.5).model)
    touched = {name for name in plain if plain[name] != on[name]}
    assert touched == {name for name in plain if "attn" in name and name.endswith("weight")}
    stacked = manager.lora(kohya, opened.model, None, 0.5).model
    assert places(stacked) == on
    assert places(opened.model) == plain


def test_only_weights_whose_own_patches_change_are_patched_again(
    manager: ModelManager, opened: Any, kohya: Path, tmp_path: Path
) -> None:
    small = {name: value for name, value in load_file(kohya).items() if "mid_block" in name}
    save_file(small, tmp_path / "small.safetensors")
    base = manager.lora(kohya, opened.model, None, 0.5).model
    with manager.use(base) as network:
        before = {name: parameter.data_ptr() for name, parameter in network.module.named_parameters()}
        values = {name: parameter.clone() for name, parameter in network.module.named_parameters()}
    with manager.use(manager.lora(tmp_path / "small.safetensors", base).model) as network:
        changed = [n for n, p in network.module.named_parameters() if p.data_ptr() != before[n]]
        assert changed
        assert all(name.startswith("mid_block.") for name in changed)
    assert equal(weights(manager, base), values)


def test_strengths_of_model_and_text_encoder_are_separate_and_zero_leaves_a_handle_as_it_was(
    manager: ModelManager, opened: Any, kohya: Path
) -> None:
    result = manager.lora(kohya, opened.model, opened.clip, 0.25, 0.0)
    assert result.model.patches[0].strength == 0.25
    assert result.clip == opened.clip


def test_a_lora_without_text_keys_leaves_the_text_encoder_as_it_was(
    manager: ModelManager, opened: Any, diffusers: Path
) -> None:
    result = manager.lora(diffusers, opened.model, opened.clip)
    assert result.clip.identity() == opened.clip.identity()
    assert result.model.identity() != opened.model.identity()


def test_tensors_that_fit_nothing_are_reported(manager: ModelManager, opened: Any, kohya: Path, tmp_path: Path) -> None:
    extra = {"lora_unet_nowhere.lora_up.weight": torch.zeros(2, 2), "odd": torch.zeros(1)}
    save_file(load_file(kohya) | extra, tmp_path / "extra.safetensors")
    result = manager.lora(tmp_path / "extra.safetensors", opened.model, opened.clip)
    assert result.unmatched == ("lora_unet_nowhere.lora_up.weight", "odd")


def test_half_a_pair_is_reported_and_changes_nothing(
    manager: ModelManager, opened: Any, kohya: Path, tmp_path: Path
) -> None:
    tensors = load_file(kohya)
    key = f"lora_unet_{TO_Q.removesuffix('.weight').replace('.', '_')}"
    del tensors[f"{key}.lora_down.weight"]
    save_file(tensors, tmp_path / "half.safetensors")
    result = manager.lora(tmp_path / "half.safetensors", opened.model, opened.clip)
    assert f"{key}.lora_up.weight" in result.unmatched
    assert torch.equal(weights(manager, result.model)[TO_Q], weights(manager, opened.model)[TO_Q])


def test_a_lora_of_another_family_is_an_error_that_names_the_file(
    manager: ModelManager, opened: Any, tmp_path: Path
) -> None:
    tensors = {"lora_transformer_blocks_0.lora_up.weight": torch.zeros(2, 2)}
    save_file(tensors, tmp_path / "flux.safetensors")
    with pytest.raises(LoraError, match=r"flux\.safetensors: none of its 1 tensors fits"):
        manager.lora(tmp_path / "flux.safetensors", opened.model, opened.clip)


def test_a_lora_of_another_width_is_an_error_when_used_and_leaves_the_weights_whole(
    manager: ModelManager, opened: Any, kohya: Path, tmp_path: Path
) -> None:
    tensors = load_file(kohya)
    key = f"lora_unet_{TO_Q.removesuffix('.weight').replace('.', '_')}"
    tensors[f"{key}.lora_down.weight"] = torch.zeros(4, 320)
    save_file(tensors, tmp_path / "wide.safetensors")
    plain = weights(manager, opened.model)
    wide = manager.lora(tmp_path / "wide.safetensors", opened.model).model
    with (
        pytest.raises(LoraError, match=r"wide\.safetensors: does not fit down_blocks\.0\..*expected a change of shape"),
        manager.use(wide),
    ):
        pass
    assert equal(weights(manager, opened.model), plain)


def test_a_damaged_lora_is_refused_by_name(manager: ModelManager, opened: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(CheckpointError, match=r"bad\.safetensors"):
        manager.lora(tmp_path / "bad.safetensors", opened.model, opened.clip)


def test_full_differences_of_weight_and_bias_are_added(manager: ModelManager, opened: Any, tmp_path: Path) -> None:
    tensors = {
        "diffusion_model.input_blocks.0.0.diff": torch.full((32, 4, 3, 3), 0.5),
        "diffusion_model.input_blocks.0.0.diff_b": torch.full((32,), 0.25),
    }
    save_file(tensors, tmp_path / "full.safetensors")
    result = manager.lora(tmp_path / "full.safetensors", opened.model, None, 2.0)
    assert result.unmatched == ()
    plain, on = weights(manager, opened.model), weights(manager, result.model)
    assert torch.allclose(on["conv_in.weight"], plain["conv_in.weight"] + 1.0)
    assert torch.allclose(on["conv_in.bias"], plain["conv_in.bias"] + 0.5)


def test_a_convolution_may_be_changed_through_a_middle_factor(
    manager: ModelManager, opened: Any, tmp_path: Path
) -> None:
    down, mid, up = torch.randn(3, 32, 1, 1), torch.randn(3, 3, 3, 3), torch.randn(32, 3, 1, 1)
    key = "lora_unet_down_blocks_0_resnets_0_conv1"
    tensors = {f"{key}.lora_down.weight": down, f"{key}.lora_mid.weight": mid, f"{key}.lora_up.weight": up}
    save_file(tensors, tmp_path / "locon.safetensors")
    result = manager.lora(tmp_path / "locon.safetensors", opened.model)
    name = "down_blocks.0.resnets.0.conv1.weight"
    plain, on = weights(manager, opened.model)[name], weights(manager, result.model)[name]
    x = torch.randn(1, 32, 8, 8)
    conv = torch.nn.functional.conv2d
    expected = conv(x, plain, padding=1) + conv(conv(conv(x, down), mid, padding=1), up)
    assert torch.allclose(conv(x, on, padding=1), expected, atol=1e-3)


@pytest.mark.parametrize("per", ["output", "input"])
def test_a_dora_scale_sets_the_norms_of_rows_or_columns(
    manager: ModelManager, opened: Any, kohya: Path, tmp_path: Path, per: str
) -> None:
    key = f"lora_unet_{TO_Q.removesuffix('.weight').replace('.', '_')}"
    tensors = {name: value for name, value in load_file(kohya).items() if name.startswith(key)}
    norms = torch.rand(32, 1) + 1
    save_file(
        tensors | {f"{key}.dora_scale": norms if per == "output" else norms.T.contiguous()},
        tmp_path / "dora.safetensors",
    )
    result = manager.lora(tmp_path / "dora.safetensors", opened.model)
    assert result.unmatched == ()
    got = weights(manager, result.model)[TO_Q].norm(dim=1 if per == "output" else 0)
    assert torch.allclose(got, norms.flatten(), atol=1e-5)
