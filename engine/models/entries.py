"""Weights in memory: those of one part of one file, and the modules that hold them, patched or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from engine.models import weights
from engine.models.errors import CheckpointError
from engine.models.handles import ClipHandle, ControlNetHandle, FileDigest, Handle, ModelHandle, Patch, Source
from engine.models.merging import OtherModel
from engine.models.patching import PatchedWeights, PatchFile, PatchSource
from engine.models.scaling import Scaled
from engine.models.variants import MOST

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import torch
    from torch import Tensor, nn

    from engine.models.beside import Beside
    from engine.models.places import Place


class LoadedFact(msgspec.Struct, frozen=True):
    """One model in memory: `bytes` counts its weights and their patched copies."""

    part: str
    path: str
    digest: str
    dtype: str
    bytes: int
    patches: int
    in_use: bool


def unchanged(source: Source, files: FileDigest) -> None:
    """Raise CheckpointError when a file no longer holds what its handle names: its weights would pass for another's."""
    path = Path(source.path)
    if not path.is_file():
        raise CheckpointError(f"{path}: the file is gone since this model was opened. Put it back, or load another.")
    if (found := files(path)) != source.digest:
        raise CheckpointError(
            f"{path}: changed since this model was opened (its content was {source.digest}, is {found}). Run the loader again."
        )


class Instance:
    """One module on shared weights. `users` counts the `use` blocks it is in; `sizes` are those of its handle's config."""

    def __init__(self, module: nn.Module, originals: dict[str, Tensor], sizes: str) -> None:
        self.module = module
        self.sizes = sizes
        self.users = 0
        self.patched: Patched = ((), "")
        parameters = weights.named_parameters(module)
        self.weights = PatchedWeights(parameters, originals)
        self._named = parameters
        self._beside: Beside | None = None
        self.parameters = sum(tensor.numel() for tensor in originals.values())

    def put(self, files: Sequence[tuple[PatchSource, Patch]]) -> None:
        """Put patches on the weights, or beside the layers as those say that can be, in the place of those there are."""
        if self._beside is not None:
            self._beside.take()
        beside = [(file, patch.strength) for file, patch in files if patch.beside]
        self.weights.apply(self.merged(files))
        if beside:
            self._layers().put(beside)

    def merged(self, files: Sequence[tuple[PatchSource, Patch]]) -> list[tuple[PatchSource, float, float]]:
        """Return what changes the weights themselves, as PatchedWeights takes it."""
        return [(self._merged(file) if patch.beside else file, patch.strength, patch.keep) for file, patch in files]

    def _merged(self, file: PatchSource) -> PatchSource:
        from engine.models.beside import Only

        within = set(self._layers().within(file))
        return Only(file, [name for name in file.changes if name not in within])

    def _layers(self) -> Beside:
        from engine.models.beside import Beside

        self._beside = self._beside or Beside(self.module, self._named)
        return self._beside


class Entry:
    """The weights of one part of one file on the device, and the modules that hold them.

    Handles may want different shares of a part: a language model that writes has layers that prompts do not need, and some
    LoRAs widen a layer. What the file has once is then held once.
    """

    def __init__(self, handle: Handle, device: str, dtype: str, files: FileDigest) -> None:
        import torch

        self._handle = handle
        self._files = files
        self._held: dict[Place, Tensor] = {}
        self._originals: dict[str, dict[str, Tensor]] = {}
        self._unfilled: dict[str, nn.Module] = {}
        self._instances: list[Instance] = []
        self._patch_files: dict[tuple[str, str], PatchSource] = {}
        self.device = torch.device(device)
        self.dtype: torch.dtype = getattr(torch, dtype)

    def holds(self, handle: Handle) -> bool:
        """Whether every weight of a handle is here."""
        return sizes_of(handle) in self._originals

    def hold(self, handle: Handle) -> None:
        """Read those weights of a handle onto the device that are not there yet."""
        module = weights.empty_module(handle)
        found = weights.load_parameters(handle, device=self.device, dtype=self.dtype, module=module, held=self._held)
        if isinstance(handle, ControlNetHandle) and handle.base is not None:
            _add(found, handle, handle.base, self._files)
        self._originals[sizes_of(handle)], self._unfilled[sizes_of(handle)] = found, module

    @property
    def in_use(self) -> bool:
        """Whether one of its modules is in a `use` block."""
        return any(instance.users for instance in self._instances)

    @property
    def bytes(self) -> int:
        """Bytes of the weights and of their patched copies."""
        held = {id(tensor): tensor.nbytes for one in self._originals.values() for tensor in one.values()}
        return sum(held.values()) + sum(instance.weights.patched_bytes for instance in self._instances)

    def fact(self) -> LoadedFact:
        """Return what is told of it."""
        return LoadedFact(
            part=weights.title(self._handle),
            path=self._handle.source.path,
            digest=self._handle.source.digest,
            dtype=str(self.dtype).removeprefix("torch."),
            bytes=self.bytes,
            patches=max((len(instance.patched[0]) for instance in self._instances), default=0),
            in_use=self.in_use,
        )

    def instance_for(self, handle: Handle) -> Instance:
        """Return a module of the handle's sizes with its patches: one that has them, an idle one re-patched, or a new one.

        A new one is only needed while the same weights are in use with other patches; it shares the unpatched ones.
        """
        sizes = sizes_of(handle)
        alike = [instance for instance in self._instances if instance.sizes == sizes]
        patched = _patched(handle)
        for instance in alike:
            if instance.patched == patched:
                return instance
        instance = next((i for i in alike if not i.users), None) or self._new_instance(handle, sizes)
        self._patch(instance, handle, patched)
        return instance

    def _new_instance(self, handle: Handle, sizes: str) -> Instance:
        originals = self._originals[sizes]
        instance = Instance(weights.module_with(handle, originals, self._unfilled.pop(sizes, None)), originals, sizes)
        self._instances = [i for i in self._instances if i.users or i.sizes != sizes] + [instance]
        return instance

    def _patch(self, instance: Instance, handle: Handle, patched: Patched) -> None:
        patches, whose = patched
        if isinstance(handle, ModelHandle | ClipHandle):
            # What cannot be opened is told before the instance, which may have other patches, is touched.
            files = [(self._patch_file(handle, patch, instance, whose), patch) for patch in patches]
            instance.patched = ((), "")
            instance.put(files)
        instance.patched = patched
        wanted = {(patch.key, _whose(one)) for one in self._instances for patch in one.patched[0]}
        self._patch_files = {key: file for key, file in self._patch_files.items() if key in wanted}

    def varied(
        self,
        instance: Instance,
        handle: ModelHandle | ClipHandle,
        patches: Sequence[Patch],
        room: Callable[[int], None],
    ) -> AbstractContextManager[None]:
        """Let a module's weights have `patches` beside its handle's in the block; see `PatchedWeights.varied`."""
        whose = f"{handle.family} {handle.tower if isinstance(handle, ClipHandle) else ''}"
        files = [(self._patch_file(handle, patch, instance, whose), patch) for patch in (*handle.patches, *patches)]
        self._forget_files({(patch.key, f"{whose} {instance.sizes}") for _, patch in files})
        return instance.weights.varied(instance.merged(files), room)

    def _forget_files(self, now: set[tuple[str, str]]) -> None:
        """Close what was opened longest ago, beyond what is put on, `now` included, and as many as there may be variants."""
        put_on = now | {(patch.key, _whose(one)) for one in self._instances for patch in one.patched[0]}
        spare = [key for key in self._patch_files if key not in put_on]
        for key in spare[: max(0, len(spare) - MOST)]:
            del self._patch_files[key]

    def with_module(self, module: nn.Module) -> Instance | None:
        """Return that of its modules which is this one."""
        return next((one for one in self._instances if one.module is module), None)

    def drop_variants(self) -> int:
        """Drop the weights that are kept to take the place of others, and return the bytes that frees."""
        return sum(instance.weights.variants.drop() for instance in self._instances)

    def _patch_file(
        self, handle: ModelHandle | ClipHandle, patch: Patch, instance: Instance, whose: str
    ) -> PatchSource:
        key = patch.key, f"{whose} {instance.sizes}"
        if key not in self._patch_files:
            self._patch_files[key] = opened_patch(handle, patch, instance.weights.names, self._files)
        return self._patch_files[key]


Patched: TypeAlias = tuple[tuple[Patch, ...], str]
"""The patches on a module, and whose names they were read under: families call the same encoder by different ones in LoRAs."""


def sizes_of(handle: Handle) -> str:
    """Name what a handle's network has to be like."""
    return msgspec.json.encode(handle.config, order="sorted").decode()


def _patched(handle: Handle) -> Patched:
    if not isinstance(handle, ModelHandle | ClipHandle) or not handle.patches:
        return (), ""
    return handle.patches, f"{handle.family} {handle.tower if isinstance(handle, ClipHandle) else ''}"


def _whose(instance: Instance) -> str:
    return f"{instance.patched[1]} {instance.sizes}"


def opened_patch(
    handle: ModelHandle | ClipHandle | ControlNetHandle, patch: Patch, names: Sequence[str], files: FileDigest
) -> PatchSource:
    """Return what a patch puts on a model's weights `names`, and what other models bring along. Raises CheckpointError."""
    if patch.kind == "scale":
        return Scaled(patch, names)
    unchanged(patch.source, files)
    other = patch.other
    if other is not None:
        return OtherModel(handle, patch, lambda one, shared: opened_patch(other, one, shared, files))
    assert isinstance(handle, ModelHandle | ClipHandle)
    return PatchFile(handle, patch, names)


def _add(parameters: dict[str, Tensor], handle: ControlNetHandle, base: ModelHandle, files: FileDigest) -> None:
    """Add a denoiser's weights, with its patches, to a ControlNet that is kept as the difference to them."""
    whole = opened_patch(handle, Patch(kind="model", source=base.source, other=base), list(parameters), files)
    for name in whole.changes:
        parameters[name] = whole.patched(name, parameters[name], 1.0).to(parameters[name].dtype)
