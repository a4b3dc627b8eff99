"""LoRA files: which weights they change. How much is told by `engine.models.deltas`.

Low-rank adaptation (Hu et al. 2021) and its relatives, under the names that trainers give them. Matching names needs no
torch: a loader node can say what fits before any weight is read.

| names | written by |
| --- | --- |
| `lora_unet_down_blocks_0_…`, `lora_te_text_model_…` + `.lora_up/.lora_down/.lora_mid/.alpha` | kohya-ss |
| the same with the original layout's module names, `lora_unet_input_blocks_1_1_…` | others |
| the same + `.hada_*`, `.lokr_*` (LoHa, LoKr), `.a1.weight` … `.b2.weight` (GLoRA), `.dora_scale` | LyCORIS |
| the same + `.oft_blocks`, `.rescale` (OFT, and BOFT where the blocks have four axes) | LyCORIS, kohya-ss |
| `unet.….lora_A/lora_B`, `text_encoder.…`, `….lora.up/down`, `….processor.to_q_lora.up/down` | diffusers |
| `base_model.model.….lora_A.weight` | PEFT |
| `….diff`, `….diff_b`; `….w_norm`, `….b_norm` | full differences of weight and bias; the same of normalisations |
| `….set_weight` | the weight itself |
| `double_blocks.0.….lora_B.bias`, `….query_norm.scale` | Black Forest Labs: differences of biases, normalisations themselves |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from engine.models.checkpoints import read_json
from engine.models.families import families
from engine.models.families.base import Fused, Rows, Tower
from engine.models.header import Header
from engine.models.towers import kind_named

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
    (".a1.weight", "a1"),
    (".a2.weight", "a2"),
    (".b1.weight", "b1"),
    (".b2.weight", "b2"),
    (".oft_blocks", "oft_blocks"),
    (".rescale", "rescale"),
    (".diff_b", "diff_b"),
    (".lora_B.bias", "diff_b"),
    (".diff", "diff"),
    (".w_norm", "w_norm"),
    (".b_norm", "b_norm"),
    (".set_weight", "set_weight"),
    (".alpha", "alpha"),
)
UNET_PREFIXES = ("lora_unet_", "lycoris_unet_", "lycoris_")
_COMPLETE = (
    {"set_weight"},
    {"diff"},
    {"w_norm"},
    {"down", "up"},
    {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"},
    {"lokr_w1", "lokr_w2"},
    {"lokr_w1", "lokr_w2_a", "lokr_w2_b"},
    {"lokr_w1_a", "lokr_w1_b", "lokr_w2"},
    {"lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b"},
    {"a1", "a2", "b1", "b2"},
    {"oft_blocks"},
)
"""What must be there to change a weight; of a file that holds several of these for one weight the first counts."""
_OF_BIASES = ("b_norm", "diff_b")
_WHOLE = ("set_weight", "diff", "w_norm")
"""Changes that have no parts beside themselves."""


class Change(msgspec.Struct, frozen=True):
    """What a file holds for one weight: {part: tensor name}, and its scale where a config beside the tensors tells it.

    `rows`: the pieces of what it makes that are for this weight, where the file has several weights stacked, `of` so many rows.
    """

    parts: dict[str, str]
    scale: float | None = None
    rows: Rows = ()
    of: int = 0


class Matched(msgspec.Struct, frozen=True):
    """{parameter name: change}, and the file's tensors that fit none."""

    changes: dict[str, Change]
    unmatched: list[str]


def match_unet(
    header: Header, parameters: Iterable[str], original: Mapping[str, str], fused: Fused | None = None
) -> Matched:
    """Match a LoRA's tensors to a network's `parameters`.

    `original` is {diffusers module path: original module path}, `fused` what stands stacked in the original layout.
    """
    modules = _modules(parameters)
    names: dict[str, str] = {}
    for module in modules:
        old = _original_path(module, original)
        for spelling in (module, old) if old else (module,):
            names |= dict.fromkeys(_spellings(spelling), module)
    found = _match(header, names, modules)
    return _with_fused(header, found, fused, modules) if fused and found.unmatched else found


def _spellings(path: str) -> list[str]:
    """How files name a network's module."""
    flat = path.replace(".", "_")
    prefixes = (
        "",
        "unet.",
        "transformer.",
        "conditional_transformer.",
        "base_model.model.",
        "diffusion_model.",
        "model.diffusion_model.",
    )
    return [*(f"{prefix}{flat}" for prefix in UNET_PREFIXES), *(f"{prefix}{path}" for prefix in prefixes)]


def _with_fused(header: Header, found: Matched, fused: Fused, modules: Mapping[str, set[str]]) -> Matched:
    """Add the changes of stacked modules: of each, every module that it is gets its rows."""
    stacked = {path: {"weight", "bias"} for path in fused}
    names = {spelling: path for path in fused for spelling in _spellings(path)}
    whole = _match(header, names, stacked)
    changes = dict(found.changes)
    for name, change in whole.changes.items():
        path, _, kind = name.rpartition(".")
        of = max(end for rows in fused[path].values() for _, end in rows)
        for module, rows in fused[path].items():
            if kind in modules.get(module, ()):
                changes.setdefault(f"{module}.{kind}", msgspec.structs.replace(change, rows=rows, of=of))
    left = set(whole.unmatched)
    return Matched(changes, [tensor for tensor in found.unmatched if tensor in left])


def match_text(header: Header, parameters: Iterable[str], tower: Tower) -> Matched:
    """Match a LoRA's tensors to a text encoder's `parameters`, under the names that files have for its kind."""
    modules = _modules(parameters)
    spelled = kind_named(tower.kind).spelled
    names: dict[str, str] = {}
    for module in modules:
        for spelling in spelled(module):
            names |= {f"{prefix}{spelling.replace('.', '_')}": module for prefix in tower.lora_prefixes}
            names[f"{tower.folder}.{spelling}"] = module
            names[f"text_encoders.{tower.name}.transformer.{spelling}"] = module
            if tower.folder == "text_encoder":  # names that tell no tower mean the first
                names[f"base_model.model.{spelling}"] = module
                names[spelling] = module
    return _match(header, names, modules, f"{tower.folder}.")


def is_for_text(name: str) -> bool:
    """Say whether a LoRA's tensor is for a text encoder of some family, by how its name begins."""
    towers = [tower for family in families() for tower in family.towers]
    begun = {prefix for tower in towers for prefix in (*tower.lora_prefixes, f"{tower.folder}.")}
    return name.startswith(("text_encoders.", *begun))


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


def _match(
    header: Header, names: Mapping[str, str], modules: Mapping[str, set[str]], component: str = "unet."
) -> Matched:
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
            f"{module}.{kind}": change
            for kind, change in _changes(found, _told_scale(config, component, module, found, header))
        }
        kept = {name: change for name, change in kept.items() if name.rpartition(".")[2] in modules[module]}
        changes |= kept
        used = {tensor for change in kept.values() for tensor in change.parts.values()}
        unmatched += [tensor for part, tensor in found.items() if tensor not in used and part != "alpha"]
    return Matched(changes, unmatched)


@lru_cache(maxsize=1 << 14)  # the LoRAs that are put on one model have the same names
def split_name(tensor: str) -> tuple[str, str]:
    """Return (module as the file calls it, part); part "" for a name of no known layout."""
    if tensor.endswith(("query_norm.scale", "key_norm.scale")):
        return tensor.removesuffix(".scale"), "set_weight"
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
    of_weight = {part: tensor for part, tensor in found.items() if part not in _OF_BIASES}
    complete = next((parts for parts in _COMPLETE if parts <= of_weight.keys()), None)
    if complete is not None:
        alone = complete & set(_WHOLE)
        kept = {
            part: tensor for part, tensor in of_weight.items() if (part in complete if alone else part not in _WHOLE)
        }
        yield "weight", Change(kept, None if alone else scale)
    for part in _OF_BIASES:
        if part in found:
            yield "bias", Change({part: found[part]})


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


def _told_scale(
    config: Mapping[str, Any], component: str, module: str, found: Mapping[str, str], header: Header
) -> float | None:
    """Return the scale that PEFT's config gives for one module, alpha / rank; None when it tells no alpha."""

    def told(name: str) -> Any:
        return config.get(component + name, config.get(name))

    def of_module(name: str, pattern_name: str) -> Any:
        patterns = (told(pattern_name) or {}).items()
        return next((value for pattern, value in patterns if f".{module}".endswith(f".{pattern}")), told(name))

    alpha = of_module("alpha" if told("lora_alpha") is None else "lora_alpha", "alpha_pattern")
    rank = header.shapes[found["down"]][0] if "down" in found else of_module("r", "rank_pattern")
    if alpha is None or not rank:
        return None
    return float(alpha) / (float(rank) ** 0.5 if told("use_rslora") else float(rank))
