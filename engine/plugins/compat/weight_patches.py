"""Weights of a pack's own as patches: written to a file named by its content, which goes on like the file of a LoRA.

A patch is `(tensor,)`, or a kind and its tensors: `("diff", (tensor,))`, `("set", (tensor,))`,
`("lora", (up, down, alpha, mid, dora_scale))`, `("loha", …)`, `("lokr", …)`, `("glora", …)`, `("oft", …)`, `("boft", …)`; or a
list, `[(weight, function), patch, …]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor
from xxhash import xxh3_128_hexdigest

from engine.models import deltas, lora, sd_keys, weights
from engine.models.handles import ClipHandle, ModelHandle, Patch, Source
from engine.plugins.compat.absent import refuse
from engine.plugins.compat.host import the_host

UNET_KEYS: Final = "diffusion_model."
TEXT_KEYS: Final = "clip_l.transformer."

PARTS: Final[dict[str, tuple[str, ...]]] = {
    "diff": ("diff",),
    "set": ("diff",),
    "lora": ("up", "down", "alpha", "mid", "dora_scale"),
    "loha": ("hada_w1_a", "hada_w1_b", "alpha", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2", "dora_scale"),
    "lokr": (
        "lokr_w1",
        "lokr_w2",
        "alpha",
        "lokr_w1_a",
        "lokr_w1_b",
        "lokr_w2_a",
        "lokr_w2_b",
        "lokr_t2",
        "dora_scale",
    ),
    "glora": ("a1", "a2", "b1", "b2", "alpha", "dora_scale"),
    "oft": ("oft_blocks", "rescale", "alpha"),
    "boft": ("oft_blocks", "rescale", "alpha"),
}
"""Kind of a patch → the parts that its tensors are, in the field's order."""

_SUFFIXES: Final = {part: f".lora_{part}.weight" for part in ("up", "down", "mid")} | {
    part: f".{part}.weight" for part in ("a1", "a2", "b1", "b2")
}


class Change(NamedTuple):
    """What a patch says of one weight: its tensors by part, and whether they are the weight itself."""

    parts: dict[str, Tensor]
    replaces: bool = False


def keys_of(handle: ModelHandle | ClipHandle) -> dict[str, str]:
    """The field's name of each weight → our name of it. Reads the header of the file only."""
    names: Any = {name: name for name in weights.parameter_shapes(handle)}
    if isinstance(handle, ModelHandle):
        return {key: str(ours) for key, ours in sd_keys.unet_to_original(names, handle.config, UNET_KEYS).items()}
    return {f"{TEXT_KEYS}{name}": name for name in names}


def _patched(handle: Any, patch: Patch) -> Any:
    """Of several text encoders only the first has weights that packs can reach."""
    if isinstance(handle, ClipHandle):
        first, *others = handle.towers
        return handle.with_towers([first.with_patch(patch), *others])
    return handle.with_patch(patch)


class Patching:
    """A handle that patches are put on: those that follow each other with one strength go into one file.

    Packs merge models weight by weight, with one call for each.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._waiting: dict[str, Change] = {}
        self._how = (1.0, 1.0)
        self._names: dict[str, tuple[str, tuple[int, ...]]] | None = None

    @property
    def handle(self) -> Any:
        """The handle with all patches, which are written when it is asked for."""
        if self._waiting:
            source = _written(self._waiting)
            strength, keep = self._how
            self._handle = _patched(self._handle, Patch(kind="lora", source=source, strength=strength, keep=keep))
            self._waiting = {}
        return self._handle

    @handle.setter
    def handle(self, handle: Any) -> None:
        self._handle, self._waiting = handle, {}

    def add(self, patches: Mapping[Any, Any], strength: float, keep: float) -> list[str]:
        """Put patches on those weights that there are, and return their names.

        A weight becomes keep * weight + strength * patch. Raises CompatError for kinds of patches that are not known.
        """
        known = self._known()
        found = {key: known[key] for key in map(_name, patches) if key in known}
        changes = {ours: change_of(key, patches[key], shape) for key, (ours, shape) in found.items()}
        self._wait({ours: change for ours, change in changes.items() if not change.replaces}, (strength, keep))
        self._wait({ours: change for ours, change in changes.items() if change.replaces}, (1.0, 0.0))
        return list(found)

    def _wait(self, changes: dict[str, Change], how: tuple[float, float]) -> None:
        if how == (0.0, 1.0) or not changes:
            return
        if how != self._how or self._waiting.keys() & changes.keys():
            self._handle = self.handle
        self._how = how
        self._waiting |= changes

    def _known(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The field's name of each weight → ours, and its shape; read once."""
        if self._names is None:
            shapes = weights.parameter_shapes(self._handle)
            self._names = {key: (ours, shapes[ours]) for key, ours in keys_of(self._handle).items()}
        return self._names


def change_of(key: Any, patch: Any, shape: Sequence[int] = ()) -> Change:
    """What a patch of the field's says of the weight `key`; one without a tensor adds nothing, in `shape`."""
    if isinstance(patch, list):
        (weight, function), *rest = patch
        return Change({"diff": calculate_weight(rest, function(weight.float()), str(key))})
    if isinstance(patch, Tensor):
        return Change({"diff": patch})
    kind: Any = getattr(patch, "name", None)
    tensors: Any = getattr(patch, "weights", ())
    if kind is None:
        kind, tensors = (patch[0], patch[1]) if isinstance(patch[0], str) else ("diff", patch)
    if kind == "diff" and tensors[0] is None:
        return Change({"diff": torch.zeros(tuple(shape))})
    if kind not in PARTS:
        refuse(f"a weight patch of kind {kind!r} for {key}", f"one of the kinds {', '.join(PARTS)}")
    values = dict(zip(PARTS[kind], tensors, strict=False))
    parts = {part: torch.as_tensor(value) for part, value in values.items() if value is not None}
    return Change(parts, replaces=kind == "set")


def calculate_weight(
    patches: Sequence[Any],
    weight: Tensor,
    key: str,
    intermediate_dtype: Any = torch.float32,
    original_weights: Any = None,
) -> Tensor:
    """Return `weight` with patches (strength, patch, strength of the weight, part of the weight, function) on it."""
    for entry in patches:
        strength, patch, keep, place, function = (*entry, *(1.0, None, None)[len(entry) - 2 :])[:5]
        if function is not None:
            refuse(f"a weight patch with a function for {key}", "patches that are tensors")
        target = weight if place is None else weight.narrow(*place)
        change = change_of(key, patch, target.shape)
        base = torch.zeros_like(target) if change.replaces else keep * target
        whole = patched(change, base, 1.0 if change.replaces else strength)
        if place is None:
            weight = whole.to(weight.dtype)
        else:
            target.copy_(whole)
    return weight


def patched(change: Change, weight: Tensor, strength: float) -> Tensor:
    """Return `weight` with a change on it, float32."""
    names = {part: part for part in change.parts}
    tensors = {part: tensor.to(weight.device) for part, tensor in change.parts.items()}
    return deltas.patched(lora.Change(names), tensors, weight, strength)


def _name(key: Any) -> str:
    if not isinstance(key, str):
        refuse(f"a weight patch for a part of a weight, {key!r}", "patches for whole weights")
    return key


def _written(changes: Mapping[str, Change]) -> Source:
    """Write the tensors by our names of the weights they are for, unless a file of this content is there."""
    tensors: dict[str, Tensor] = {}
    for name, change in changes.items():
        module, _, kind = name.rpartition(".")
        for part, tensor in change.parts.items():
            suffix = ".diff_b" if kind == "bias" else _SUFFIXES.get(part, f".{part}")
            tensors[module + suffix] = tensor.detach().cpu().contiguous()
    data = save({name: tensors[name] for name in sorted(tensors)})
    digest = xxh3_128_hexdigest(data)
    path = the_host().paths.directory("temp") / "weight_patches" / f"{digest}.safetensors"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(data)
        partial.replace(path)
    return Source(str(path), digest)
