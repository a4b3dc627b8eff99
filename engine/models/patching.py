"""Putting patches on a network's weights and taking them off again.

A weight that is patched gets a new tensor; the tensor it had is kept and put back when the patch goes, so taking patches
off is exact by construction. Only weights whose own list of patches changes are touched. A weight that is kept packed stays so:
its patches are put on it each time it is unpacked, by the same sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from engine.models import lora
from engine.models.checkpoints import load_tensors, read_header
from engine.models.errors import LoraError, shortened
from engine.models.families import family_named, tower_of
from engine.models.handles import ClipHandle, ModelHandle, Patch
from engine.models.lora import Change, Matched
from engine.models.networks.grown import grown_config, widened
from engine.models.variants import Variants, give, held, in_place

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import torch
    from torch import Tensor, nn

    from engine.models.packed.tensor import Kept

Plan: TypeAlias = tuple[tuple[str, float, float], ...]
"""The patches of one weight in order: digest of the file, strength, share kept of what was there."""


class PatchSource(Protocol):
    """What is put on one model: a LoRA's file, or another model."""

    digest: str

    @property
    def changes(self) -> Mapping[str, Any]:
        """The weights that it changes, by name."""
        ...

    def patched(self, name: str, weight: Tensor, strength: float) -> Tensor:
        """Return `weight`, the one called `name`, with its change at `strength`, float32."""
        ...

    def factors(self, name: str, weight: Tensor, strength: float) -> tuple[Tensor, Tensor, float] | None:
        """Return what `engine.models.deltas.factors` does of the change of the weight `name`."""
        ...


def matched(handle: ModelHandle | ClipHandle, path: Path, parameters: Sequence[str]) -> Matched:
    """Return what the LoRA at `path` changes in a handle's `parameters`. Reads headers only."""
    header = read_header(path)
    if isinstance(handle, ModelHandle):
        network = family_named(handle.family).network
        return lora.match_unet(header, parameters, network.paths(handle.config), network.fused(handle.config))
    return lora.match_text(header, parameters, tower_of(handle.family, handle.tower))


def grown(handle: ModelHandle, path: Path, match: Matched) -> ModelHandle:
    """Return the handle with layers as wide as the LoRA at `path` wants them. Reads headers only."""
    network = family_named(handle.family).network
    config = grown_config(network, handle.config, match, read_header(path).shapes)
    return msgspec.structs.replace(handle, config=config)


class PatchFile:
    """A LoRA file as it is put on one model: what it changes, its tensors mapped from the file."""

    def __init__(self, handle: ModelHandle | ClipHandle, patch: Patch, parameters: Sequence[str]) -> None:
        self.path = Path(patch.source.path)
        self.digest = patch.source.digest
        self.changes = matched(handle, self.path, parameters).changes
        self.tensors = load_tensors(self.path)
        self._check_numbers()
        self._grows = family_named(handle.family).network.grows if isinstance(handle, ModelHandle) else {}

    def _check_numbers(self) -> None:
        """Raise LoraError for NaN or infinity among what would be put on the model."""
        from engine.models.finite import are_finite, is_finite

        used = {name for change in self.changes.values() for name in change.parts.values()}
        if are_finite([self.tensors[name] for name in used]):
            return
        if broken := sorted(name for name in used if not is_finite(self.tensors[name])):
            raise LoraError(
                f"{self.path}: {len(broken)} of its tensors hold NaN or infinity ({shortened(broken)}), expected numbers: all "
                "that is computed with them would be NaN. Use another copy of the file, or leave this LoRA out."
            )

    def patched(self, name: str, weight: Tensor, strength: float) -> Tensor:
        """Return `weight`, the one called `name`, with its change at `strength`, float32. Raises LoraError for wrong sizes."""
        from engine.models import deltas
        from engine.models.memory import is_out_of_memory

        change = self.changes[name]
        here = self._here(change, weight.device)
        if name in self._grows and "down" in change.parts:
            here[change.parts["down"]] = widened(here[change.parts["down"]], weight.shape[1])
        try:
            return deltas.patched(change, here, weight, strength)
        except (ValueError, RuntimeError) as problem:
            if is_out_of_memory(problem):
                raise
            told = problem if isinstance(problem, ValueError) else _sizes(weight, here)
            raise LoraError(
                f"{self.path}: does not fit {name}: {told}. It was trained for a model of another size or family, or is damaged."
            ) from problem

    def factors(self, name: str, weight: Tensor, strength: float) -> tuple[Tensor, Tensor, float] | None:
        """Return what `engine.models.deltas.factors` does of the change of the weight `name`."""
        from engine.models import deltas

        change = self.changes[name]
        return deltas.factors(change, self._here(change, weight.device), weight.shape, strength)

    def _here(self, change: Change, device: torch.device) -> dict[str, Tensor]:
        """Return a change's tensors on a device, where they stay: packed weights take them at each call. Numbers stay here."""
        found = {name: self.tensors[name] for name in change.parts.values()}
        for name, tensor in found.items():
            if tensor.device != device and tensor.numel() > 1:
                found[name] = self.tensors[name] = tensor.to(device)
        return found


def _sizes(weight: Tensor, parts: Mapping[str, Tensor]) -> str:
    told = ", ".join(f"{name} {list(part.shape)}" for name, part in parts.items())
    return f"expected parts that make a change of shape {list(weight.shape)}, got {told}"


def patched(name: str, value: Tensor, items: Sequence[tuple[PatchSource, float, float]]) -> Tensor:
    """Return a weight with patches on it in their order, in its dtype or float32; plain LoRAs in a row are one product."""
    from engine.models.deltas import with_factors

    waiting: list[tuple[Tensor, Tensor, float]] = []
    for file, strength, keep in items:
        factors = file.factors(name, value, strength) if keep == 1.0 else None
        if factors is not None:
            waiting.append(factors)
            continue
        value, waiting = with_factors(value, waiting), []
        value = file.patched(name, value if keep == 1.0 else keep * value.float(), strength)
    return with_factors(value, waiting)


def _planned(
    patches: Sequence[tuple[PatchSource, float, float]],
) -> tuple[dict[str, list[tuple[PatchSource, float, float]]], dict[str, Plan]]:
    """What is to be put on each weight, and how that is told from other plans."""
    wanted: dict[str, list[tuple[PatchSource, float, float]]] = {}
    for patch in patches:
        for name in patch[0].changes:
            wanted.setdefault(name, []).append(patch)
    plans = {
        name: tuple((file.digest, strength, keep) for file, strength, keep in items) for name, items in wanted.items()
    }
    return wanted, plans


class PatchedWeights:
    """The weights of one module instance: the originals, and the patches now on them."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], originals: Mapping[str, Tensor]) -> None:
        self._parameters = parameters
        self._originals = originals
        self._plans: dict[str, Plan] = {}
        self.variants = Variants()

    @property
    def names(self) -> list[str]:
        """The parameters that can be patched."""
        return list(self._parameters)

    @property
    def patched_bytes(self) -> int:
        """Bytes of the tensors that stand in for originals; packed weights are changed where they are used."""
        from engine.models.packed.tensor import PackedTensor

        patched = [self._parameters[name] for name in self._plans]
        own = sum(parameter.nbytes for parameter in patched if not isinstance(parameter, PackedTensor))
        return own + self.variants.bytes

    def apply(self, patches: Sequence[tuple[PatchSource, float, float]]) -> int:
        """Make the weights original + patches in order, and return how many were touched. [] restores all exactly.

        A patch is (file, strength, share kept of what was there before).
        When a patch does not fit, every weight is restored and LoraError is raised.
        """
        wanted, plans = _planned(patches)
        touched = self._touched(plans)
        try:
            for name in touched:
                self._set(name, wanted.get(name, []), plans.get(name))
        except BaseException:
            self.restore()
            raise
        return len(touched)

    def _touched(self, plans: Mapping[str, Plan]) -> list[str]:
        return [name for name in plans.keys() | self._plans.keys() if plans.get(name) != self._plans.get(name)]

    def varied(
        self, patches: Sequence[tuple[PatchSource, float, float]], room: Callable[[int], None]
    ) -> AbstractContextManager[None]:
        """Let the weights be original + `patches` in the block, and then what they were; made once, and kept.

        `room` is told how many bytes are about to be taken. Raises LoraError for a patch that does not fit, before anything is
        in another place.
        """
        key = tuple((file.digest, strength, keep) for file, strength, keep in patches)
        values = self.variants.get(key)
        if values is None:
            wanted, plans = _planned(patches)
            touched = self._touched(plans)
            room(sum(self._originals[name].nbytes for name in touched if name in plans))
            values = {
                name: self._made(name, wanted[name]) if name in wanted else held(self._originals[name])
                for name in touched
            }
            self.variants.keep(key, values)
        return in_place(self._parameters, values)

    def restore(self) -> None:
        """Put every original back."""
        for name in list(self._plans):
            self._set(name, [], None)

    def _set(self, name: str, items: Sequence[tuple[PatchSource, float, float]], plan: Plan | None) -> None:
        self.variants.drop()  # they are of the weights as they were
        give(self._parameters[name], self._originals[name] if plan is None else self._made(name, items))
        if plan is None:
            self._plans.pop(name, None)
        else:
            self._plans[name] = plan

    def _made(self, name: str, items: Sequence[tuple[PatchSource, float, float]]) -> Tensor | Kept:
        """Return the weight `name` with patches on it, in the form in which its parameter holds it."""
        from engine.models.packed.tensor import Changed, PackedTensor

        original = self._originals[name]

        def changed(value: Tensor) -> Tensor:
            return patched(name, value, items)

        if isinstance(original, PackedTensor):
            made = Changed(original.kept, changed)
            if any(file.factors(name, original, strength) is None for file, strength, _ in items):
                made.unpacked()  # what does not fit is told now, and not in the middle of a run
            return made
        return changed(original).to(original.dtype)
