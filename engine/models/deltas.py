"""What a change of a LoRA file makes of a weight.

| parts | formula, at strength s |
| --- | --- |
| down, up, mid | W + s·scale·up @ down, the middle factor of a convolution between them (LoRA, LoCon) |
| hada_* | W + s·scale·(A₁ @ B₁) ∘ (A₂ @ B₂) (LoHa) |
| lokr_* | W + s·scale·A ⊗ B (LoKr) |
| a1, a2, b1, b2 | W + s·scale·(W @ A₁ @ A₂ + B₁ @ B₂) (GLoRA) |
| oft_blocks (k, n, n), rescale | rows of W in blocks turned by I + s·(R − I), R orthogonal (OFT) |
| oft_blocks (m, k, n, n), rescale | the same m times over, pairing rows that lie ever further apart (BOFT) |
| diff, diff_b, w_norm, b_norm | W + s·difference |
| set_weight | the tensor itself, whatever s |

`scale` is alpha / rank, 1 without an alpha. With magnitudes (`dora_scale`, `magnitude`; DoRA) the result W′ of s = 1 is brought
to them, and W + s·(W′ − W) taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from engine.models.lora import Change
from engine.models.shapes import rows_of

_PLAIN = ("diff", "w_norm", "diff_b", "b_norm")


def patched(change: Change, tensors: Mapping[str, Tensor], weight: Tensor, strength: float = 1.0) -> Tensor:
    """Return `weight` with a change on it, in its shape, float32; `tensors` holds the file's by name, on its device.

    Raises ValueError or RuntimeError when the sizes do not give the shape of `weight`.
    """
    weight = weight.float()
    parts = {part: tensors[name].float() for part, name in change.parts.items()}
    if change.rows:
        return _of_rows(change, parts, weight, strength)
    if "set_weight" in parts:
        return _shaped(parts["set_weight"], weight)
    if "oft_blocks" in parts:
        return _rotated(parts, weight, strength)
    return weight + strength * _of_magnitude(parts, weight, _added(parts, weight, change.scale))


def factors(
    change: Change, tensors: Mapping[str, Tensor], shape: Sequence[int], strength: float
) -> tuple[Tensor, Tensor, float] | None:
    """Return up (R, r), down (r, C) and a factor, of which the product is what a plain LoRA adds to a weight of R rows.

    None for any other change, and for one that does not have the sizes of `shape`.
    """
    parts = {part: tensors[name] for part, name in change.parts.items()}
    if not {"up", "down"} <= parts.keys() <= {"up", "down", "alpha"}:
        return None
    up, down = parts["up"].flatten(1), parts["down"].flatten(1)
    rank = down.shape[0]
    if (change.rows and len(up) != change.of) or up.shape[1] != rank or not rank:
        return None
    up = rows_of(up, change.rows) if change.rows else up
    if len(up) != shape[0] or down.shape[1] != math.prod(shape[1:]):
        return None
    scale = float(parts["alpha"]) / rank if "alpha" in parts else 1.0
    return up, down, strength * (scale if change.scale is None else change.scale)


def with_factors(weight: Tensor, found: Sequence[tuple[Tensor, Tensor, float]]) -> Tensor:
    """Return `weight` with what several plain LoRAs add, in one product of all their factors side by side.

    Where the device multiplies bfloat16 quickly, a bfloat16 weight takes factors in bfloat16, summed in float32 and rounded once,
    in the end, to bfloat16: what the factors lose is to what they add as that rounding is to the weight. Of all other weights
    factors and result are float32.
    """
    if not found:
        return weight
    dtype = weight.dtype if weight.dtype is torch.bfloat16 and multiplies_bfloat16(weight.device) else torch.float32
    ups, downs = side_by_side(found, dtype)
    flat = weight.flatten(1)
    summed = torch.addmm(flat, ups, downs) if flat.dtype is dtype else flat.float().addmm_(ups, downs)
    return summed.reshape(weight.shape)


def side_by_side(found: Sequence[tuple[Tensor, Tensor, float]], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return factors (R, r) and (r, C) in `dtype` of which the product is that of all `found`; the smaller has the scales."""
    ups, downs = torch.cat([up for up, _, _ in found], dim=1), torch.cat([down for _, down, _ in found])
    scales = torch.tensor([scale for _, _, scale in found]).repeat_interleave(
        torch.tensor([len(down) for _, down, _ in found])
    )
    scales = scales.to(ups.device)
    if ups.numel() < downs.numel():
        ups = ups.float() * scales
    else:
        downs = downs.float() * scales[:, None]
    return _in(ups, dtype), _in(downs, dtype)


def _in(factor: Tensor, dtype: torch.dtype) -> Tensor:
    """By way of float32: on a CPU half precision to bfloat16 takes four times as long without."""
    return factor if factor.dtype is dtype else factor.float().to(dtype)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 no more slowly than float32, and sums it in float32."""
    if device.type == "cpu":
        return torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return device.type == "cuda"


_A_ROW_EACH = ("magnitude", "rescale", "dora_scale")
"""Parts that have a value for each row of what is stacked, but for a `dora_scale` of columns."""


def _of_rows(change: Change, parts: Mapping[str, Tensor], weight: Tensor, strength: float) -> Tensor:
    """Return a weight with its rows of a change that was made for several, stacked."""
    own = {part: rows_of(value.flatten(), change.rows) for part, value in parts.items() if part in _A_ROW_EACH}
    if "dora_scale" in own and parts["dora_scale"].ndim > 1 and parts["dora_scale"].shape[0] == 1:
        raise ValueError(
            "a dora_scale of columns is for weights that are stacked in the original layout and lie apart here"
        )
    whole = weight.new_zeros((change.of, *weight.shape[1:]))
    if "set_weight" in parts:
        return _shaped(rows_of(_shaped(parts["set_weight"], whole), change.rows), weight)
    if "oft_blocks" in parts:
        return _rotated({**parts, **own}, weight, strength, change)
    if "a1" in parts:
        outputs = "b2" if _is_first_glora(parts) else "b1"
        added = _added({**parts, outputs: rows_of(parts[outputs], change.rows)}, weight, change.scale)
    else:
        added = rows_of(_added(parts, whole, change.scale), change.rows)
    return weight + strength * _of_magnitude(own, weight, added)


def _of_magnitude(parts: Mapping[str, Tensor], weight: Tensor, added: Tensor) -> Tensor:
    """What is added once the sum is brought to the magnitudes that are told."""
    if "magnitude" in parts:
        added = _to_magnitude(weight + added, parts["magnitude"]) - weight
    if "dora_scale" in parts:
        added = _to_scale(weight, weight + added, parts["dora_scale"]) - weight
    return added


def _shaped(full: Tensor, weight: Tensor) -> Tensor:
    if full.numel() != math.prod(weight.shape):
        raise ValueError(f"expected a change of shape {list(weight.shape)}, got {list(full.shape)}")
    return full.reshape(weight.shape)


def _added(parts: Mapping[str, Tensor], weight: Tensor, told: float | None) -> Tensor:
    """Return what strength 1 adds, before magnitudes; `told`: the scale, where a config beside the tensors says it.

    A LoKr of two whole factors has no rank, and its alpha does not count.
    """
    if part := next((part for part in _PLAIN if part in parts), None):
        return _shaped(parts[part], weight)
    if "down" in parts:
        full, rank = _low_rank(parts), parts["down"].shape[0]
    elif "hada_w1_a" in parts:
        full, rank = _hadamard(parts), parts["hada_w1_b"].shape[0]
    elif "a1" in parts:
        full, rank = _generalised(parts, weight)
    else:
        full, rank = _kronecker(parts)
    scale = float(parts["alpha"]) / rank if "alpha" in parts and rank else 1.0
    return _shaped(full, weight) * (scale if told is None else told)


# --- sums -----------------------------------------------------------------------------------------------------------


def _low_rank(parts: Mapping[str, Tensor]) -> Tensor:
    """LoRA (Hu et al. 2021): up (out, r, …) @ down (r, in, …)."""
    up, down = parts["up"], parts["down"]
    if "mid" in parts:
        return _tucker(parts["mid"], up.flatten(1).T, down.flatten(1))
    return up.flatten(1) @ down.flatten(1)


def _tucker(core: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Compose core (p, r, kh, kw) with first (p, out) and second (r, in) to (out, in, kh, kw)."""
    return torch.einsum("prhw,po,ri->oihw", core, first, second)


def _hadamard(parts: Mapping[str, Tensor]) -> Tensor:
    """LoHa (Hyeon-Woo et al. 2022): the elementwise product of two low-rank matrices, or of two Tucker products."""
    factors = []
    for i in ("1", "2"):
        a, b = parts[f"hada_w{i}_a"], parts[f"hada_w{i}_b"]
        factors.append(_tucker(parts[f"hada_t{i}"], a, b) if f"hada_t{i}" in parts else a @ b)
    return factors[0] * factors[1]


def _kronecker(parts: Mapping[str, Tensor]) -> tuple[Tensor, int]:
    """LoKr (Yeh et al. 2023): a Kronecker product, each factor whole or low-rank; with its rank, 0 if both are whole."""
    rank, factors = 0, []
    for i in ("1", "2"):
        whole = parts.get(f"lokr_w{i}")
        if whole is None:
            a, b = parts[f"lokr_w{i}_a"], parts[f"lokr_w{i}_b"]
            rank = b.shape[0]
            whole = _tucker(parts["lokr_t2"], a, b) if i == "2" and "lokr_t2" in parts else a @ b.flatten(1)
        factors.append(whole)
    first, second = factors
    if second.ndim == 4:
        first = first[:, :, None, None]
    return torch.kron(first.contiguous(), second.contiguous()), rank


def _generalised(parts: Mapping[str, Tensor], weight: Tensor) -> tuple[Tensor, int]:
    """GLoRA (Chavan et al. 2023): W A + B, both of low rank; with its rank.

    LyCORIS stores A as a1 (in, r) and a2 (r, in), B as b1 (out, r) and b2 (r, in …); its first versions had them the other
    way round.
    """
    a1, a2, b1, b2 = (parts[name].flatten(1) for name in ("a1", "a2", "b1", "b2"))
    if _is_first_glora(parts):
        flat = weight.flatten(1)
        return flat @ a2 @ a1 + b2 @ b1, a1.shape[0]
    mixed = torch.einsum("oi...,ij->oj...", weight, a1 @ a2)
    return mixed + _shaped(b1 @ b2, weight), a2.shape[0]


def _is_first_glora(parts: Mapping[str, Tensor]) -> bool:
    return parts["a1"].shape[0] < parts["a1"].flatten(1).shape[1]


# --- rotations ------------------------------------------------------------------------------------------------------


def _rotated(parts: Mapping[str, Tensor], weight: Tensor, strength: float, stacked: Change | None = None) -> Tensor:
    """OFT (Qiu et al. 2023) of blocks (k, n, n), BOFT (Liu et al. 2024) of (m, k, n, n), each row times its `rescale`.

    `stacked`: of which rows of the whole that the blocks are for the weight is.
    """
    blocks = parts["oft_blocks"]
    count = stacked.of if stacked else weight.shape[0]
    bound = float(parts["alpha"]) * count if "alpha" in parts else 0.0
    if blocks.shape[-3] * blocks.shape[-1] != count:
        raise ValueError(f"expected blocks for {count} rows, got {list(blocks.shape)}")
    turn = strength * (_orthogonal(blocks, bound) - torch.eye(blocks.shape[-1], device=blocks.device))
    if stacked:
        turn = blocks = _blocks_of(turn, stacked)
    if blocks.ndim == 3:
        rows = weight.reshape(*blocks.shape[:2], *weight.shape[1:])
        result = weight + torch.einsum("knm,kn...->km...", turn, rows).flatten(0, 1)
    else:
        result = _butterfly(turn, weight)
    return result * parts["rescale"].reshape(-1, *[1] * (weight.ndim - 1)) if "rescale" in parts else result


def _blocks_of(turn: Tensor, stacked: Change) -> Tensor:
    """The blocks (k, n, n) that turn a weight's own rows."""
    side = turn.shape[-1]
    if turn.ndim != 3 or any(place % side for piece in stacked.rows for place in piece):
        raise ValueError(
            f"blocks {list(turn.shape)} turn rows of several weights together, which are stacked in the original layout and "
            "lie apart here"
        )
    found: Tensor = rows_of(turn, [(start // side, end // side) for start, end in stacked.rows])
    return found


def _orthogonal(blocks: Tensor, bound: float) -> Tensor:
    """Cayley's (I + Q)(I − Q)⁻¹ of the blocks' skew-symmetric parts Q, whose norm in all is held to `bound`; 0 is none."""
    skew = blocks - blocks.transpose(-1, -2)
    norm = float(skew.detach().norm()) + 1e-8
    if 0 < bound < norm:
        skew = skew * (bound / norm)
    identity = torch.eye(blocks.shape[-1], device=blocks.device)
    inverse: Tensor = torch.linalg.inv(identity - skew)
    return (identity + skew) @ inverse


def _butterfly(turns: Tensor, weight: Tensor) -> Tensor:
    """Turn rows of (out, …) by I + turns (m, k, n, n), stage by stage.

    In stage i a block's rows are n/2 from each of two neighbouring stretches of 2^i·n/2 rows, taken by turns.
    """
    rows = torch.arange(weight.shape[0], device=weight.device)
    for i, turn in enumerate(turns):
        stretch = 2**i * turn.shape[-1] // 2
        order = rows.reshape(-1, 2, stretch).transpose(1, 2).flatten()
        blocks = weight[order].reshape(*turn.shape[:2], *weight.shape[1:])
        moved = torch.einsum("knm,km...->kn...", turn, blocks).flatten(0, 1)
        weight = weight.index_add(0, order, moved)
    return weight


# --- magnitudes -----------------------------------------------------------------------------------------------------


def _to_magnitude(weight: Tensor, magnitude: Tensor) -> Tensor:
    """Scale each row of `weight` (out, in, …) to the norm `magnitude` tells (DoRA, Liu et al. 2024, as PEFT has it)."""
    return weight * _per(weight, magnitude, 0, _norms(weight, 0))


def _to_scale(old: Tensor, new: Tensor, scale: Tensor) -> Tensor:
    """Scale `new` (out, in, …) by `dora_scale` over norms: per output of the `old` weight, as the field does; per input of `new`.

    LyCORIS, whose name it is, divides by the norms of `new` in both, so there its rows have the norms that `scale` tells.
    """
    if scale.ndim > 1 and scale.shape[0] == 1:
        return new * _per(new, scale, 1, _norms(new, 1))
    return new * _per(new, scale, 0, _norms(old, 0))


def _norms(weight: Tensor, kept: int) -> Tensor:
    norms: Tensor = weight.transpose(0, kept).flatten(1).norm(dim=1)
    return norms


def _per(weight: Tensor, magnitude: Tensor, kept: int, norms: Tensor) -> Tensor:
    """Return magnitude / norms along the axis `kept` of `weight`; 0 where a norm is 0, instead of no number."""
    if magnitude.numel() != weight.shape[kept]:
        raise ValueError(f"expected {weight.shape[kept]} magnitudes, got {magnitude.numel()}")
    shape = [1] * weight.ndim
    shape[kept] = weight.shape[kept]
    ratio = magnitude.flatten() / (norms + torch.finfo(norms.dtype).eps)
    return torch.where(norms == 0, 0.0, ratio).reshape(shape)
