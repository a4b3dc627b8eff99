"""Merging models: the weights of another model of the same kind, put on as a patch is, and taken off exactly.

Of each weight k · W₁ + s · W₂ is taken, W₂ with the patches of its own model on it. Opening reads headers only; no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from engine.models import weights
from engine.models.errors import ModelError, shortened
from engine.models.families import family_named
from engine.models.handles import ClipHandle, ControlNetHandle, Handle, ModelHandle, Patch
from engine.models.hooks import without_hooks
from engine.models.packed import load_tensors, read_header
from engine.models.patching import PatchSource, patched

if TYPE_CHECKING:
    from torch import Tensor

AHandle = TypeVar("AHandle", ModelHandle, ClipHandle)


class Share(NamedTuple):
    """How much of each model: `keep` times the first, and `strength` times the other, of weights that are `within`.

    `within`: beginnings of names in the original layout, () for all; `without`: of those that are left as they are.
    """

    keep: float
    strength: float
    within: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


def block_shares(ratios: Mapping[str, float]) -> list[Share]:
    """Return the shares of means in which each block, by how its names begin in the original layout, has a ratio of its own.

    Of a name with several beginnings the longest counts; weights that no block has take the first ratio.
    """
    rest = next(iter(ratios.values()))
    by_ratio: dict[float, list[str]] = {}
    for begun, ratio in ratios.items():
        by_ratio.setdefault(ratio, []).append(begun)
    found = [Share(rest, 1.0 - rest, without=tuple(ratios))] if rest != 1.0 else []
    for ratio, within in by_ratio.items():
        nested = (
            one for one in ratios if ratios[one] != ratio and any(one != own and one.startswith(own) for own in within)
        )
        found.append(Share(ratio, 1.0 - ratio, within=tuple(within), without=tuple(nested)))
    return found


def merged(handle: AHandle, other: AHandle, shares: Sequence[Share]) -> tuple[AHandle, tuple[str, ...]]:
    """Return `handle` with `other` merged into it, and the weights left out: of another size, both told, or not in the other.

    Raises ModelError where the two have no weight in common.
    """
    names, left = _in_common(handle, other)
    if not names:
        raise ModelError(
            f"{handle.source.path} and {other.source.path} cannot be merged: they have no weight of the same name and size "
            f"(the first has {shortened(list(weights.parameter_shapes(handle)))}, the second "
            f"{shortened(list(weights.parameter_shapes(other)))}). Merge models of the same family."
        )
    plain = other.weights_alone() if isinstance(other, ModelHandle) else without_hooks(other)
    patches = [
        Patch(
            kind="model",
            source=other.source,
            strength=share.strength,
            keep=share.keep,
            other=plain,
            within=share.within,
            without=share.without,
        )
        for share in shares
        if (share.keep, share.strength) != (1.0, 0.0)
    ]
    return handle.with_patch(*patches), left


def _in_common(handle: Handle, other: Handle) -> tuple[set[str], tuple[str, ...]]:
    own, theirs = weights.parameter_shapes(handle), weights.parameter_shapes(other)
    names = {name for name, shape in own.items() if theirs.get(name) == shape}
    left = (f"{name} {list(own[name])} against {list(theirs[name])}" if name in theirs else name for name in own)
    return names, tuple(sorted(one for one in left if one.partition(" ")[0] not in names))


class OtherModel:
    """Another model as it is put on one: the weights that they have in common, read when they are asked for."""

    def __init__(
        self,
        handle: ModelHandle | ClipHandle | ControlNetHandle,
        patch: Patch,
        opened: Callable[[Patch, Sequence[str]], PatchSource],
    ) -> None:
        assert patch.other is not None
        self.digest = patch.key
        self._other: ModelHandle | ClipHandle = patch.other
        names, _ = _in_common(handle, self._other)
        self.changes: Mapping[str, object] = dict.fromkeys(sorted(_within(handle, patch, names)))
        header = read_header(Path(self._other.source.path))
        tensors = load_tensors(header, weights.file_names(self._other, header.shapes))
        self._tensors: dict[str, Tensor] = weights.renamed(self._other, tensors)
        self._patches = [(opened(one, sorted(names)), one.strength, one.keep) for one in self._other.patches]

    def patched(self, name: str, weight: Tensor, strength: float) -> Tensor:
        """Return `weight`, the one called `name`, with `strength` times the other model's, float32."""
        return weight.float() + strength * self._value(name).to(weight.device).float()

    def factors(self, name: str, weight: Tensor, strength: float) -> None:
        """It is no product of factors."""

    def _value(self, name: str) -> Tensor:
        from engine.models.packed.tensor import PackedTensor

        value = self._tensors[name]
        value = value.unpacked() if isinstance(value, PackedTensor) else value
        return patched(name, value, [item for item in self._patches if name in item[0].changes])


def _within(handle: Handle, patch: Patch, names: set[str]) -> set[str]:
    """Those of a model's weights that a patch is for."""
    if not patch.within and not patch.without:
        return names
    original = _original_names(handle, names)
    found = {name for name in names if not patch.within or original[name].startswith(patch.within)}
    return {name for name in found if not (patch.without and original[name].startswith(patch.without))}


def _original_names(handle: Handle, names: set[str]) -> dict[str, str]:
    """Return what the original layout calls weights, as far as it has them one by one."""
    if not isinstance(handle, ModelHandle):
        return {name: name for name in names}
    network = family_named(handle.family).network
    stacked = {ours: theirs for theirs, parts in network.fused(handle.config).items() for ours in parts}
    paths = {**network.paths(handle.config), **stacked}
    in_file = _in_file(handle)
    return {name: _original(name, paths, in_file) for name in names}


def _original(name: str, paths: Mapping[str, str], in_file: Mapping[str, str]) -> str:
    """The original name of the innermost module around a weight that has one, else what its file calls it."""
    module = name.rpartition(".")[0]
    while module and module not in paths:
        module = module.rpartition(".")[0]
    return f"{paths[module]}." if module in paths else in_file.get(name, name)


def _in_file(handle: ModelHandle) -> dict[str, str]:
    """What a model's file calls its weights, the prefix taken off; nothing of weights that are made of several of its tensors."""
    from engine.models.traced import traced

    header = read_header(Path(handle.source.path))
    views = traced(handle, {name: header.shapes[name] for name in weights.file_names(handle, header.shapes)}).views
    return {view.parameter: name[len(handle.prefix) :] for name, found in views.items() for view in found}
