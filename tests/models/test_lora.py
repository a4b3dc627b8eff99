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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_was_on_before_leaves_nothing_in_the_weights(
    dtype: str, opened: Any, kohya: Path, diffusers: Path
) -> None:
    manager = ModelManager(dtype=dtype)
    one = manager.lora(kohya, opened.model, None, 0.5).model
    both = manager.lora(diffusers, one, None, -0.3).model
    other = manager.lora(diffusers, opened.model, None, 0.9).model
    at_once = weights(ModelManager(dtype=dtype), both)
    plain = weights(manager, opened.model)
    for before in (one, other, both, opened.model):
        weights(manager, before)
        assert equal(weights(manager, both), at_once)
    assert equal(weights(manager, opened.model), plain)


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
def test_a_dora_scale_counts_against_the_old_norms_of_rows_or_the_new_ones_of_columns(
    manager: ModelManager, opened: Any, kohya: Path, tmp_path: Path, per: str
) -> None:
    key = f"lora_unet_{TO_Q.removesuffix('.weight').replace('.', '_')}"
    tensors = {name: value for name, value in load_file(kohya).items() if name.startswith(key)}
    scale = torch.rand(32, 1) + 1
    save_file(
        tensors | {f"{key}.dora_scale": scale if per == "output" else scale.T.contiguous()},
        tmp_path / "dora.safetensors",
    )
    result = manager.lora(tmp_path / "dora.safetensors", opened.model)
    assert result.unmatched == ()
    plain, got = weights(manager, opened.model)[TO_Q], weights(manager, result.model)[TO_Q]
    new = plain + tensors[f"{key}.lora_up.weight"] @ tensors[f"{key}.lora_down.weight"] * (2.0 / 4)
    norms = plain.norm(dim=1, keepdim=True) if per == "output" else new.norm(dim=0, keepdim=True)
    assert torch.allclose(got, new / norms * (scale if per == "output" else scale.T), atol=1e-5)


def test_a_second_dora_is_computed_on_what_the_first_made(
    manager: ModelManager, opened: Any, kohya: Path, tmp_path: Path
) -> None:
    handle, expected = opened.model, weights(manager, opened.model)[TO_Q]
    low_rank = {name: value for name, value in load_file(kohya).items() if name.startswith(QUERY)}
    delta = low_rank[f"{QUERY}.lora_up.weight"] @ low_rank[f"{QUERY}.lora_down.weight"] * (2.0 / 4)
    for name, strength in (("first", 1.0), ("second", 0.5)):
        scale = torch.rand(32, 1) + 1
        save_file(low_rank | {f"{QUERY}.dora_scale": scale}, tmp_path / f"{name}.safetensors")
        handle = manager.lora(tmp_path / f"{name}.safetensors", handle, None, strength).model
        whole = (expected + delta) / expected.norm(dim=1, keepdim=True) * scale
        expected = expected + strength * (whole - expected)
    assert torch.allclose(weights(manager, handle)[TO_Q], expected, atol=1e-5)


CONV = "lora_unet_down_blocks_0_resnets_0_conv1"
NORM = "lora_unet_down_blocks_0_resnets_0_norm1"
TEXT_NORM = "lora_te_text_model_encoder_layers_0_layer_norm1"
QUERY = f"lora_unet_{TO_Q.removesuffix('.weight').replace('.', '_')}"
CONV_WEIGHT = "down_blocks.0.resnets.0.conv1.weight"
NORM_BIAS = "down_blocks.0.resnets.0.norm1.bias"
RELATIVES: dict[str, tuple[dict[str, tuple[int, ...]], str]] = {
    "glora": (
        {f"{QUERY}.a1.weight": (32, 2), f"{QUERY}.a2.weight": (2, 32), f"{QUERY}.b1.weight": (32, 2),
         f"{QUERY}.b2.weight": (2, 32), f"{QUERY}.alpha": ()},
        TO_Q,
    ),
    "oft": ({f"{CONV}.oft_blocks": (4, 8, 8), f"{CONV}.rescale": (32, 1, 1, 1), f"{CONV}.alpha": ()}, CONV_WEIGHT),
    "oft of kohya-ss": ({f"{QUERY}.oft_blocks": (4, 8, 8), f"{QUERY}.alpha": ()}, TO_Q),
    "boft": ({f"{QUERY}.oft_blocks": (3, 8, 4, 4)}, TO_Q),
    "bias of a norm": ({f"{NORM}.b_norm": (32,)}, NORM_BIAS),
    "set": ({f"{CONV}.set_weight": (32, 32, 3, 3)}, CONV_WEIGHT),
    "set, original naming": ({"diffusion_model.input_blocks.1.0.in_layers.2.set_weight": (32, 32, 3, 3)}, CONV_WEIGHT),
    "lycoris prefix": ({f"lycoris_{CONV.removeprefix('lora_unet_')}.oft_blocks": (4, 8, 8)}, CONV_WEIGHT),
}  # fmt: skip
"""Kind → its tensors' shapes, and the one weight they change."""


@pytest.mark.parametrize("kind", RELATIVES)
def test_the_relatives_of_a_lora_are_matched_by_their_names(
    manager: ModelManager, opened: Any, tmp_path: Path, kind: str
) -> None:
    shapes, changed = RELATIVES[kind]
    save_file({name: torch.randn(shape) * 0.2 for name, shape in shapes.items()}, tmp_path / "relative.safetensors")
    result = manager.lora(tmp_path / "relative.safetensors", opened.model, opened.clip, 0.5)
    assert result.unmatched == ()
    assert result.clip == opened.clip
    plain, on = weights(manager, opened.model), weights(manager, result.model)
    assert [name for name in plain if not torch.equal(plain[name], on[name])] == [changed]


def test_differences_of_norms_are_added_to_their_weights_and_biases_in_both_networks(
    manager: ModelManager, opened: Any, tmp_path: Path
) -> None:
    shapes = {f"{key}.{part}_norm": torch.randn(32) for key in (NORM, TEXT_NORM) for part in "wb"}
    save_file(shapes, tmp_path / "norms.safetensors")
    result = manager.lora(tmp_path / "norms.safetensors", opened.model, opened.clip, 0.5, 0.25)
    assert result.unmatched == ()
    for before, after, module, key, strength in (
        (opened.model, result.model, "down_blocks.0.resnets.0.norm1", NORM, 0.5),
        (opened.clip, result.clip, "encoder.layers.0.layer_norm1", TEXT_NORM, 0.25),
    ):
        plain, on = weights(manager, before), weights(manager, after)
        for part in ("weight", "bias"):
            (name,) = (name for name in plain if name.endswith(f"{module}.{part}"))
            assert torch.allclose(on[name], plain[name] + strength * shapes[f"{key}.{part[0]}_norm"], atol=1e-6)


def test_a_set_weight_is_taken_whatever_the_strength(manager: ModelManager, opened: Any, tmp_path: Path) -> None:
    save_file({f"{CONV}.set_weight": torch.ones(32, 32, 3, 3)}, tmp_path / "set.safetensors")
    result = manager.lora(tmp_path / "set.safetensors", opened.model, None, 0.3)
    assert torch.equal(weights(manager, result.model)[CONV_WEIGHT], torch.ones(32, 32, 3, 3))


def test_of_several_changes_of_one_weight_the_whole_ones_count(
    manager: ModelManager, opened: Any, tmp_path: Path
) -> None:
    low_rank = {f"{QUERY}.lora_up.weight": torch.randn(32, 2), f"{QUERY}.lora_down.weight": torch.randn(2, 32)}
    save_file(low_rank | {f"{QUERY}.diff": torch.ones(32, 32)}, tmp_path / "both.safetensors")
    result = manager.lora(tmp_path / "both.safetensors", opened.model)
    assert set(result.unmatched) == set(low_rank)
    plain, on = weights(manager, opened.model)[TO_Q], weights(manager, result.model)[TO_Q]
    assert torch.allclose(on, plain + 1, atol=1e-6)


def test_a_rotation_on_top_of_a_lora_turns_what_the_lora_made(
    manager: ModelManager, opened: Any, kohya: Path, tmp_path: Path
) -> None:
    blocks = torch.randn(4, 8, 8) * 0.2
    save_file({f"{QUERY}.oft_blocks": blocks}, tmp_path / "oft.safetensors")
    once = manager.lora(kohya, opened.model, None, 0.5).model
    both = manager.lora(tmp_path / "oft.safetensors", once).model
    skew = blocks - blocks.transpose(1, 2)
    turns = torch.linalg.solve((torch.eye(8) - skew).mT, (torch.eye(8) + skew).mT)
    expected = torch.block_diag(*turns) @ weights(manager, once)[TO_Q]
    assert torch.allclose(weights(manager, both)[TO_Q], expected, atol=1e-5)
