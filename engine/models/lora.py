"""LoRA files: which weights they change, and by how much.

Low-rank adaptation (Hu et al. 2021) and its relatives, under the names that trainers give them. The first half, matching
names, needs no torch: a loader node can say what fits before any weight is read.

| names | written by |
| --- | --- |
| `lora_unet_down_blocks_0_…`, `lora_te_text_model_…` + `.lora_up/.lora_down/.lora_mid/.alpha` | kohya-ss |
| the same with the original layout's module names, `lora_unet_input_blocks_1_1_…` | others |
| the same + `.hada_*`, `.lokr_*` (LoHa, LoKr), `.dora_scale` | LyCORIS |
| `unet.….lora_A/lora_B`, `text_encoder.…`, `….lora.up/down`, `….processor.to_q_lora.up/down` | diffusers |
| `base_model.model.….lora_A.weight` | PEFT |
| `….diff`, `….diff_b` | full differences of weight and bias |
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.models.checkpoints import Header, read_json

if TYPE_CHECKING:
    from torch import Tensor

# (suffix of a tensor name, part it is), the longest first where one ends in another.
_SUFFIXES: tuple[tuple[str, str], ...] = (
    (".lora_linear_layer.down.weight", "down"),
    (".lora_linear_layer.up.weight", "up"),
    (".lora_down.weight", "down"),
    (".lora_up.weight", "up"),
    (".lora_mid.weight", "mid"),
    (".lora_A.default.weight", "down"),
    (".lora_B.default.weight", "up"),
    (".lora_A.weight", "down"),
    (".lora_B.weight", "up"),
    (".lora.down.weight", "down"),
    (".lora.up.weight", "up"),
    ("_lora.down.weight", "down"),
    ("_lora.up.weight", "up"),
    (".dora_scale", "dora_scale"),
    (".lora_magnitude_vector.default.weight", "magnitude"),
    (".lora_magnitude_vector.weight", "magnitude"),
    (".lora_magnitude_vector", "magnitude"),
    (".hada_w1_a", "hada_w1_a"),
    (".hada_w1_b", "hada_w1_b"),
    (".hada_w2_a", "hada_w2_a"),
    (".hada_w2_b", "hada_w2_b"),
    (".hada_t1", "hada_t1"),
    (".hada_t2", "hada_t2"),
    (".lokr_w1", "lokr_w1"),
    (".lokr_w2", "lokr_w2"),
    (".lokr_w1_a", "lokr_w1_a"),
    (".lokr_w1_b", "lokr_w1_b"),
    (".lokr_w2_a", "lokr_w2_a"),
    (".lokr_w2_b", "lokr_w2_b"),
    (".lokr_t2", "lokr_t2"),
    (".diff_b", "diff_b"),
    (".diff", "diff"),
    (".alpha", "alpha"),
)
UNET_PREFIXES = ("lora_unet_", "lycoris_unet_", "lycoris_")
TEXT_PREFIXES = ("lora_te_", "lora_te1_", "lycoris_te_")
_COMPLETE = (
    {"down", "up"},
    {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"},
    {"lokr_w1", "lokr_w2"},
    {"lokr_w1", "lokr_w2_a", "lokr_w2_b"},
    {"lokr_w1_a", "lokr_w1_b", "lokr_w2"},
    {"lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b"},
    {"diff"},
    {"diff_b"},
)


class Change(msgspec.Struct, frozen=True):
    """What a file holds for one weight: {part: tensor name}, and its scale where a config beside the tensors tells it."""

    parts: dict[str, str]
    scale: float | None = None


class Matched(msgspec.Struct, frozen=True):
    """{parameter name: change}, and the file's tensors that fit none."""

    changes: dict[str, Change]
    unmatched: list[str]


def match_unet(header: Header, parameters: Iterable[str], original: Mapping[str, str]) -> Matched:
    """Match a LoRA's tensors to a U-Net's `parameters`; `original` is {diffusers module path: original module path}."""
    modules = _modules(parameters)
    names: dict[str, str] = {}
    for module in modules:
        old = _original_path(module, original)
        for spelling in (module, old) if old else (module,):
            flat = spelling.replace(".", "_")
            names |= {f"{prefix}{flat}": module for prefix in UNET_PREFIXES}
            names |= {
                f"{prefix}{spelling}": module for prefix in ("", "unet.", "base_model.model.", "diffusion_model.")
            }
            names[f"model.diffusion_model.{spelling}"] = module
    return _match(header, names, modules)


def match_text(header: Header, parameters: Iterable[str]) -> Matched:
    """Match a LoRA's tensors to a text encoder's `parameters` (`text_model.*`)."""
    modules = _modules(parameters)
    names: dict[str, str] = {}
    for module in modules:
        flat, bare = module.replace(".", "_"), module.removeprefix("text_model.")
        names |= {f"{prefix}{flat}": module for prefix in TEXT_PREFIXES}
        for spelling in (module, bare):
            names |= {f"{prefix}{spelling}": module for prefix in ("text_encoder.", "base_model.model.")}
        names[module] = module
    return _match(header, names, modules)


def _modules(parameters: Iterable[str]) -> dict[str, set[str]]:
    """Return {module path: {"weight", "bias"} it has}."""
    modules: dict[str, set[str]] = {}
    for name in parameters:
        module, _, kind = name.rpartition(".")
        modules.setdefault(module, set()).add(kind)
    return modules


def _original_path(module: str, original: Mapping[str, str]) -> str | None:
    path = module
    while path:
        if path in original:
            return original[path] + module[len(path) :]
        path = path.rpartition(".")[0]
    return None


def _match(header: Header, names: Mapping[str, str], modules: Mapping[str, set[str]]) -> Matched:
    parts: dict[str, dict[str, str]] = {}
    unmatched = []
    for tensor in header.shapes:
        base, part = split_name(tensor)
        module = names.get(base) if part else None
        if module is None:
            unmatched.append(tensor)
        else:
            parts.setdefault(module, {})[part] = tensor
    config = adapter_config(header)
    changes: dict[str, Change] = {}
    for module, found in parts.items():
        kept = {
            f"{module}.{kind}": change for kind, change in _changes(found, _told_scale(config, module, found, header))
        }
        kept = {name: change for name, change in kept.items() if name.rpartition(".")[2] in modules[module]}
        changes |= kept
        used = {tensor for change in kept.values() for tensor in change.parts.values()}
        unmatched += [tensor for part, tensor in found.items() if tensor not in used and part != "alpha"]
    return Matched(changes, unmatched)


def split_name(tensor: str) -> tuple[str, str]:
    """Return (module as the file calls it, part); part "" for a name of no known layout."""
    for suffix, part in _SUFFIXES:
        if tensor.endswith(suffix):
            base = tensor[: -len(suffix)]
            base = base.replace(".processor.", ".")
            if suffix.startswith("_lora"):
                base = re.sub(r"\.to_out$", ".to_out.0", base)
                base = re.sub(r"\.self_attn\.to_(q|k|v)$", r".self_attn.\1_proj", base)
                base = re.sub(r"\.self_attn\.to_out\.0$", ".self_attn.out_proj", base)
            return base, part
    return tensor, ""


def _changes(found: Mapping[str, str], scale: float | None) -> Iterable[tuple[str, Change]]:
    weight = {part: tensor for part, tensor in found.items() if part != "diff_b"}
    if any(complete <= weight.keys() for complete in _COMPLETE):
        yield "weight", Change(weight, None if "diff" in weight else scale)
    if "diff_b" in found:
        yield "bias", Change({"diff_b": found["diff_b"]})


# --- alpha told beside the tensors ----------------------------------------------------------------------------------


def adapter_config(header: Header) -> dict[str, Any]:
    """Return PEFT's adapter config: of the file's metadata (diffusers writes it there), or adapter_config.json beside it."""
    if text := header.metadata.get("lora_adapter_metadata"):
        try:
            value = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError:
            return {}
        return value
    beside = Path(header.path).with_name("adapter_config.json")
    return read_json(beside) if beside.is_file() else {}


def _told_scale(config: Mapping[str, Any], module: str, found: Mapping[str, str], header: Header) -> float | None:
    """Return the scale that PEFT's config gives for one module, alpha / rank; None when it tells no alpha."""
    component = "text_encoder." if module.startswith("text_model.") else "unet."

    def told(name: str) -> Any:
        return config.get(component + name, config.get(name))

    def of_module(name: str, pattern_name: str) -> Any:
        patterns = (told(pattern_name) or {}).items()
        return next((value for pattern, value in patterns if module.endswith(pattern)), told(name))

    alpha = of_module("alpha" if told("lora_alpha") is None else "lora_alpha", "alpha_pattern")
    rank = header.shapes[found["down"]][0] if "down" in found else of_module("r", "rank_pattern")
    if alpha is None or not rank:
        return None
    return float(alpha) / (float(rank) ** 0.5 if told("use_rslora") else float(rank))


# --- how much -------------------------------------------------------------------------------------------------------


def delta(change: Change, tensors: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    """Return what a change at strength 1 adds to `weight`, in its shape, float32.

    `tensors` holds the file's tensors by name, on the device of `weight`. With down (r, in, …) and up (out, r, …) this is
    up @ down * alpha / r; a LoKr of two whole factors has no rank, and its alpha does not count. With a magnitude (DoRA,
    Liu et al. 2024) it is what brings weight + delta to the norms that the magnitude tells.

    Raises ValueError when the sizes do not give the shape of `weight`.
    """
    shape = tuple(weight.shape)
    parts = {part: tensors[name].float() for part, name in change.parts.items()}
    if "down" in parts:
        full, rank = _low_rank(parts), parts["down"].shape[0]
    elif "hada_w1_a" in parts:
        full, rank = _hadamard(parts), parts["hada_w1_b"].shape[0]
    elif "diff" in parts or "diff_b" in parts:
        full, rank = parts["diff" if "diff" in parts else "diff_b"], 0
    else:
        full, rank = _kronecker(parts)
    if full.numel() != math.prod(shape):
        raise ValueError(f"expected a change of shape {list(shape)}, got {list(full.shape)}")
    scale = float(parts["alpha"]) / rank if "alpha" in parts and rank else 1.0
    added = full.reshape(shape) * (scale if change.scale is None else change.scale)
    if "magnitude" in parts:
        return _to_magnitude(weight.float() + added, parts["magnitude"], 0) - weight.float()
    if "dora_scale" in parts:
        per_input = parts["dora_scale"].ndim > 1 and parts["dora_scale"].shape[0] == 1
        return _to_magnitude(weight.float() + added, parts["dora_scale"], int(per_input)) - weight.float()
    return added


def _to_magnitude(weight: Tensor, magnitude: Tensor, kept: int) -> Tensor:
    """Scale `weight` (out, in, …) to norms `magnitude`: one per output (`kept` 0), or per input (1) as LyCORIS may do."""
    if magnitude.numel() != weight.shape[kept]:
        raise ValueError(f"expected {weight.shape[kept]} magnitudes, got {magnitude.numel()}")
    shape = [1] * weight.ndim
    shape[kept] = weight.shape[kept]
    norm: Tensor = weight.transpose(0, kept).flatten(1).norm(dim=1)
    return weight * (magnitude.flatten() / norm).reshape(shape)


def _low_rank(parts: Mapping[str, Tensor]) -> Tensor:
    up, down = parts["up"], parts["down"]
    if "mid" in parts:
        return _tucker(parts["mid"], up.flatten(1).T, down.flatten(1))
    return up.flatten(1) @ down.flatten(1)


def _tucker(core: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Compose core (p, r, kh, kw) with first (p, out) and second (r, in) to (out, in, kh, kw)."""
    import torch

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
    import torch

    rank, factors = 0, []
    for i in ("1", "2"):
        whole = parts.get(f"lokr_w{i}")
        if whole is None:
            a, b = parts[f"lokr_w{i}_a"], parts[f"lokr_w{i}_b"]
            rank = b.shape[0]
            whole = _tucker(parts["lokr_t2"], a, b) if i == "2" and "lokr_t2" in parts else a @ b
        factors.append(whole)
    first, second = factors
    if second.ndim == 4:
        first = first[:, :, None, None]
    return torch.kron(first.contiguous(), second.contiguous()), rank
