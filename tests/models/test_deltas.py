"""What each kind of LoRA makes of a weight, against its formula written out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from engine.models import deltas
from engine.models.lora import Change

TOLERANCE = 1e-5


def patched(weight: Tensor, strength: float = 1.0, *, scale: float | None = None, **parts: Any) -> Tensor:
    tensors = {part: torch.as_tensor(value, dtype=torch.float32) for part, value in parts.items()}
    return deltas.patched(Change({part: part for part in parts}, scale), tensors, weight, strength)


def rand(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def close(got: Tensor, expected: Any) -> bool:
    return got.dtype == torch.float32 and torch.allclose(got, torch.as_tensor(expected), atol=TOLERANCE)


# --- sums -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [1.0, 0.5, -2.0])
def test_a_lora_adds_up_times_down_by_alpha_over_rank(strength: float) -> None:
    weight, down, up = rand(6, 5), rand(2, 5), rand(6, 2)
    assert close(patched(weight, strength, down=down, up=up), weight + strength * up @ down)
    assert close(patched(weight, strength, down=down, up=up, alpha=3.0), weight + strength * 1.5 * up @ down)
    told = patched(weight, strength, down=down, up=up, alpha=3.0, scale=0.25)
    assert close(told, weight + strength * 0.25 * up @ down)


def test_an_alpha_may_be_a_tensor_of_one_value_and_a_weight_of_half_precision() -> None:
    weight, down, up = rand(6, 5).half(), rand(2, 5), rand(6, 2)
    assert close(patched(weight, down=down, up=up, alpha=[4.0]), weight.float() + 2 * up @ down)


def test_a_loha_multiplies_two_products_cell_by_cell() -> None:
    weight, a1, b1, a2, b2 = rand(6, 5), rand(6, 2), rand(2, 5), rand(6, 2) + 1, rand(2, 5) - 1
    expected = weight + 0.7 * (3.0 / 2) * (a1 @ b1) * (a2 @ b2)
    assert close(patched(weight, 0.7, hada_w1_a=a1, hada_w1_b=b1, hada_w2_a=a2, hada_w2_b=b2, alpha=3.0), expected)


def test_a_loha_with_cores_builds_each_factor_of_a_convolution_from_three() -> None:
    weight, t1, t2 = rand(6, 5, 3, 3), rand(2, 2, 3, 3), rand(2, 2, 3, 3) + 1
    a1, a2, b1, b2 = rand(2, 6), rand(2, 6) + 1, rand(2, 5), rand(2, 5) - 1
    expected = weight.clone()
    for out in range(6):
        for column in range(5):
            first = sum(t1[i, j] * a1[i, out] * b1[j, column] for i in range(2) for j in range(2))
            second = sum(t2[i, j] * a2[i, out] * b2[j, column] for i in range(2) for j in range(2))
            expected[out, column] += 4.0 / 2 * first * second
    parts = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2, "hada_t1": t1, "hada_t2": t2}
    assert close(patched(weight, alpha=4.0, **parts), expected)


def test_a_lokr_puts_its_second_factor_into_each_cell_of_its_first() -> None:
    weight, first, a, b = rand(6, 8), rand(2, 4), rand(3, 1), rand(1, 2)
    expected = weight.clone()
    for i in range(2):
        for j in range(4):
            expected[3 * i : 3 * i + 3, 2 * j : 2 * j + 2] += 0.5 * 3.0 * first[i, j] * (a @ b)
    assert close(patched(weight, 0.5, lokr_w1=first, lokr_w2_a=a, lokr_w2_b=b, alpha=3.0), expected)


def test_the_alpha_of_a_lokr_of_two_whole_factors_does_not_count_but_a_scale_that_a_config_tells_does() -> None:
    weight, first, second = rand(6, 8), rand(2, 4), rand(3, 2)
    whole = {"lokr_w1": first, "lokr_w2": second, "alpha": 0.01}
    assert close(patched(weight, **whole), weight + torch.kron(first, second))
    assert close(patched(weight, scale=0.5, **whole), weight + 0.5 * torch.kron(first, second))


def test_the_second_factor_of_a_lokr_may_keep_the_axes_of_its_convolution() -> None:
    weight, first, a, b = rand(6, 4, 3, 3), rand(2, 2), rand(3, 1), rand(1, 2, 3, 3)
    second = (a @ b.flatten(1)).reshape(3, 2, 3, 3)
    expected = weight.clone()
    for i in range(2):
        for j in range(2):
            expected[3 * i : 3 * i + 3, 2 * j : 2 * j + 2] += first[i, j] * second
    assert close(patched(weight, lokr_w1=first, lokr_w2_a=a, lokr_w2_b=b), expected)
    assert close(patched(weight, lokr_w1=first, lokr_w2=second), expected)


def test_a_glora_adds_the_weight_times_a_and_b() -> None:
    weight, a1, a2, b1, b2 = rand(6, 5), rand(5, 2), rand(2, 5), rand(6, 2), rand(2, 5) + 1
    expected = weight + 0.5 * (3.0 / 2) * (weight @ a1 @ a2 + b1 @ b2)
    assert close(patched(weight, 0.5, a1=a1, a2=a2, b1=b1, b2=b2, alpha=3.0), expected)
    assert close(patched(weight, a1=a1, a2=a2, b1=b1, b2=b2), weight + weight @ a1 @ a2 + b1 @ b2)


def test_the_first_gloras_have_their_factors_the_other_way_round() -> None:
    weight, a1, a2, b1, b2 = rand(6, 5), rand(2, 5), rand(5, 2), rand(2, 5) + 1, rand(6, 2)
    expected = weight + 0.5 * (3.0 / 2) * (weight @ a2 @ a1 + b2 @ b1)
    assert close(patched(weight, 0.5, a1=a1, a2=a2, b1=b1, b2=b2, alpha=3.0), expected)


def test_a_glora_of_a_convolution_mixes_its_input_channels_and_adds_a_convolution() -> None:
    weight, x = rand(6, 5, 3, 3), rand(1, 5, 7, 7)
    a1, a2, b1, b2 = rand(5, 2, 1, 1), rand(2, 5, 1, 1), rand(6, 2, 1, 1), rand(2, 5, 3, 3)
    got = conv2d(x, patched(weight, a1=a1, a2=a2, b1=b1, b2=b2, alpha=2.0))
    expected = conv2d(x + conv2d(conv2d(x, a2), a1), weight) + conv2d(conv2d(x, b2), b1)
    assert torch.allclose(got, expected, atol=1e-3)


@pytest.mark.parametrize("part", ["diff", "w_norm", "diff_b", "b_norm"])
def test_a_difference_is_added_in_the_shape_of_the_weight_and_an_alpha_beside_it_is_none(part: str) -> None:
    weight, difference = rand(6), rand(6) + 1
    assert close(patched(weight, 0.5, **{part: difference}), weight + 0.5 * difference)
    assert close(patched(weight, 0.5, alpha=9.0, **{part: difference[None]}), weight + 0.5 * difference)


@pytest.mark.parametrize("strength", [1.0, 0.25, -1.0])
def test_a_set_weight_is_the_weight_at_any_strength(strength: float) -> None:
    wanted = rand(6, 5) + 1
    assert torch.equal(patched(rand(6, 5), strength, set_weight=wanted), wanted)


# --- rotations ------------------------------------------------------------------------------------------------------


def turned(x: float) -> Tensor:
    """Cayley's rotation of two rows: of Q = [[0, x], [-x, 0]], worked out by hand."""
    return torch.tensor([[1 - x * x, 2 * x], [-2 * x, 1 - x * x]]) / (1 + x * x)


def blocks(*values: float) -> Tensor:
    """Blocks of two rows whose skew-symmetric parts hold these values, written unevenly as training leaves them."""
    return torch.tensor([[[7.0, x + 3.0], [3.0, -7.0]] for x in values])


@pytest.mark.parametrize("strength", [1.0, 0.5, -1.0])
def test_oft_turns_each_block_of_rows_by_its_own_rotation(strength: float) -> None:
    weight, angles = rand(4, 3), (0.5, -1.0)
    expected = weight.clone()
    for k, x in enumerate(angles):
        block = torch.eye(2) + strength * (turned(x).T - torch.eye(2))
        expected[2 * k : 2 * k + 2] = block @ weight[2 * k : 2 * k + 2]
    assert close(patched(weight, strength, oft_blocks=blocks(*angles)), expected)
    assert close(patched(weight, strength, oft_blocks=blocks(*angles), alpha=0.0), expected)


def test_oft_keeps_the_angles_between_inputs_and_takes_convolutions() -> None:
    weight = rand(6, 4, 3, 3)
    flat, got = weight.flatten(1), patched(weight, oft_blocks=rand(2, 3, 3)).flatten(1)
    assert not torch.allclose(flat, got, atol=0.1)
    assert torch.allclose(flat.T @ flat, got.T @ got, atol=1e-3)


def test_the_alpha_of_oft_bounds_the_norm_of_all_rotations_together_by_the_number_of_rows() -> None:
    weight, angles = rand(4, 3), (0.3, -0.4)
    norm = math.sqrt(2 * sum(x * x for x in angles))
    free = patched(weight, oft_blocks=blocks(*angles))
    assert close(patched(weight, oft_blocks=blocks(*angles), alpha=norm / 4 + 0.01), free)
    bound = patched(weight, oft_blocks=blocks(*angles), alpha=norm / 4 / 2)
    assert close(bound, patched(weight, oft_blocks=blocks(*(x / 2 for x in angles))))
    assert not torch.allclose(bound, free, atol=1e-2)


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_boft_turns_pairs_of_rows_that_lie_further_apart_stage_by_stage(strength: float) -> None:
    weight = rand(4, 3)
    stages = [((0, 1, 0.5), (2, 3, -0.25)), ((0, 2, 1.0), (1, 3, 0.75))]
    expected = weight.clone()
    for stage in stages:
        for first, second, x in stage:
            block = torch.eye(2) + strength * (turned(x) - torch.eye(2))
            expected[[first, second]] = block @ expected[[first, second]]
    given = torch.stack([blocks(*(x for *_, x in stage)) for stage in stages])
    assert close(patched(weight, strength, oft_blocks=given), expected)


def test_boft_of_wider_blocks_takes_half_of_each_from_two_neighbouring_stretches() -> None:
    weight, given = rand(16, 3), rand(2, 4, 4, 4) * 0.3
    members = [
        [[0, 2, 1, 3], [4, 6, 5, 7], [8, 10, 9, 11], [12, 14, 13, 15]],
        [[0, 4, 1, 5], [2, 6, 3, 7], [8, 12, 9, 13], [10, 14, 11, 15]],
    ]
    expected = weight.clone()
    for stage, pairs in zip(given, members, strict=True):
        for block, rows in zip(stage, pairs, strict=True):
            skew = block - block.T
            expected[rows] = torch.linalg.solve((torch.eye(4) - skew).T, (torch.eye(4) + skew).T).T @ expected[rows]
    assert close(patched(weight, oft_blocks=given), expected)


@pytest.mark.parametrize("given", [blocks(0.5, -1.0), torch.stack([blocks(0.5, -1.0), blocks(0.25, 0.75)])])
def test_rescale_multiplies_the_turned_rows(given: Tensor) -> None:
    weight, rescale = rand(4, 3, 1, 1), torch.tensor([0.5, 1.0, 2.0, 3.0])
    plain = patched(weight, oft_blocks=given)
    expected = plain * rescale[:, None, None, None]
    assert close(patched(weight, oft_blocks=given, rescale=rescale), expected)
    assert close(patched(weight, oft_blocks=given, rescale=rescale[:, None, None, None]), expected)


def test_blocks_for_another_number_of_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"blocks for 6 rows, got \[2, 2, 2\]"):
        patched(rand(6, 3), oft_blocks=blocks(0.5, 0.5))


# --- magnitudes -----------------------------------------------------------------------------------------------------


def test_a_dora_scale_per_output_is_divided_by_the_norm_of_the_old_rows() -> None:
    weight = torch.tensor([[3.0, 4.0], [6.0, 8.0]])
    parts = {"up": [[1.0], [2.0]], "down": [[0.0, 1.0]], "dora_scale": [[10.0], [5.0]]}
    assert close(patched(weight, **parts), [[6.0, 10.0], [3.0, 5.0]])
    assert close(patched(weight, 0.5, **parts), [[4.5, 7.0], [4.5, 6.5]])
    assert close(patched(weight, alpha=2.0, **parts), [[6.0, 12.0], [3.0, 6.0]])


def test_a_dora_scale_of_a_row_without_a_norm_gives_zero() -> None:
    weight = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    got = patched(weight, up=[[1.0], [1.0]], down=[[0.0, 1.0]], dora_scale=[[10.0], [5.0]])
    assert close(got, [[6.0, 10.0], [0.0, 0.0]])
    assert close(
        patched(torch.zeros(2, 2), up=[[0.0], [0.0]], down=[[0.0, 1.0]], dora_scale=[[1.0], [1.0]]), [[0.0, 0.0]] * 2
    )


def test_a_dora_scale_per_input_is_divided_by_the_norm_of_the_new_columns() -> None:
    weight = torch.tensor([[3.0, 0.0], [0.0, 0.0]])
    got = patched(weight, up=[[0.0], [1.0]], down=[[4.0, 0.0]], dora_scale=[[10.0, 7.0]])
    assert close(got, [[6.0, 0.0], [8.0, 0.0]])


def test_the_magnitudes_that_peft_writes_are_the_norms_of_the_new_rows() -> None:
    weight = torch.tensor([[3.0, 3.0], [0.0, 0.0]])
    got = patched(weight, up=[[1.0], [0.0]], down=[[0.0, 1.0]], magnitude=[10.0, 5.0])
    assert close(got, [[6.0, 8.0], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"up": rand(6, 2), "down": rand(2, 4)}, r"expected a change of shape \[6, 5\], got \[6, 4\]"),
        ({"up": rand(6, 2), "down": rand(2, 5), "dora_scale": rand(4, 1)}, "expected 6 magnitudes, got 4"),
        ({"up": rand(6, 2), "down": rand(2, 5), "dora_scale": rand(1, 4)}, "expected 5 magnitudes, got 4"),
        ({"set_weight": rand(6, 4)}, r"expected a change of shape \[6, 5\], got \[6, 4\]"),
    ],
)
def test_sizes_that_do_not_fit_are_told(parts: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        patched(rand(6, 5), **parts)


def test_the_two_factors_of_a_plain_lora_give_what_it_adds() -> None:
    from engine.models.deltas import factors

    tensors = {"u": torch.randn(6, 2), "d": torch.randn(2, 4), "a": torch.tensor(3.0), "m": torch.randn(2, 2, 1, 1)}
    plain = {"up": "u", "down": "d", "alpha": "a"}
    for change, rows in ((Change(plain), 6), (Change(plain, 0.25), 6), (Change(plain, rows=((4, 6), (0, 1)), of=6), 3)):
        weight = torch.randn(rows, 4)
        found = factors(change, tensors, weight.shape, 0.7)
        assert found is not None
        got = deltas.with_factors(weight, [found, found])
        torch.testing.assert_close(got, deltas.patched(change, tensors, weight, 1.4))
    for change, shape in ((Change(plain | {"mid": "m"}), (6, 4)), (Change(plain), (5, 4)), (Change(plain), (6, 3))):
        assert factors(change, tensors, shape, 0.7) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("sizes", [(96, 200), (200, 96)])
def test_a_weight_in_bfloat16_takes_loras_with_no_more_error_than_its_own_rounding(dtype: Any, sizes: Any) -> None:
    torch.manual_seed(0)
    rows, columns = sizes
    weight = (torch.randn(rows, columns) * 0.05).bfloat16()
    found = [(torch.randn(rows, 8).to(dtype) * 0.03, torch.randn(8, columns).to(dtype) * 0.03, 0.3) for _ in range(20)]
    exact = weight.double() + sum(scale * (up.double() @ down.double()) for up, down, scale in found)
    added = float((exact - weight.double()).std() / weight.double().std())
    assert 0.05 < added < 0.2
    got = deltas.with_factors(weight, found).bfloat16().double()
    least = float((exact.bfloat16().double() - exact).norm())
    assert float((got - exact).norm()) < 1.05 * least
    assert float((got - exact).abs().max()) < exact.abs().max() * 2**-8


# --- stacked weights ------------------------------------------------------------------------------------------------

STACKED: dict[str, dict[str, Any]] = {
    "LoRA": {"up": rand(8, 2), "down": rand(2, 5), "alpha": 3.0},
    "LoHa": {"hada_w1_a": rand(8, 2), "hada_w1_b": rand(2, 5), "hada_w2_a": rand(8, 2) + 1, "hada_w2_b": rand(2, 5)},
    "LoKr": {"lokr_w1": rand(2, 1), "lokr_w2": rand(4, 5)},
    "GLoRA": {"a1": rand(5, 2), "a2": rand(2, 5), "b1": rand(8, 2), "b2": rand(2, 5)},
    "GLoRA's first versions": {"a1": rand(2, 5), "a2": rand(5, 2), "b1": rand(2, 5), "b2": rand(8, 2)},
    "DoRA": {"up": rand(8, 2), "down": rand(2, 5), "magnitude": rand(8).abs() + 1},
    "LyCORIS's DoRA": {"up": rand(8, 2), "down": rand(2, 5), "dora_scale": rand(8, 1).abs() + 1},
    "OFT": {"oft_blocks": rand(4, 2, 2), "alpha": 0.05, "rescale": rand(8, 1)},
    "a difference": {"diff": rand(8, 5)},
    "a weight": {"set_weight": rand(8, 5)},
}


@pytest.mark.parametrize("kind", STACKED)
@pytest.mark.parametrize("rows", [((0, 4),), ((6, 8), (2, 4))])
def test_a_weight_of_several_stacked_ones_gets_its_rows_of_what_the_whole_gets(kind: str, rows: Any) -> None:
    parts, weight = STACKED[kind], rand(8, 5) + 1
    whole = patched(weight, 0.6, **parts)
    tensors = {part: torch.as_tensor(value, dtype=torch.float32) for part, value in parts.items()}
    change = Change({part: part for part in parts}, rows=rows, of=8)
    own = torch.cat([weight[start:end] for start, end in rows])
    got = deltas.patched(change, tensors, own, 0.6)
    assert close(got, torch.cat([whole[start:end] for start, end in rows]))
    assert not torch.allclose(got, own)


@pytest.mark.parametrize(
    ("parts", "rows", "says"),
    [
        ({"oft_blocks": rand(2, 4, 4)}, ((0, 2),), "turn rows of several weights"),
        ({"oft_blocks": rand(2, 2, 4, 4)}, ((0, 4),), "turn rows of several weights"),
        ({"up": rand(8, 2), "down": rand(2, 5), "dora_scale": rand(1, 5)}, ((0, 4),), "of columns"),
    ],
)
def test_what_needs_the_other_weights_too_is_refused(parts: Any, rows: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        deltas.patched(Change({part: part for part in parts}, rows=rows, of=8), parts, rand(rows[0][1], 5))
