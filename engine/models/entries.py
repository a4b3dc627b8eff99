"""Weights in memory: those of one part of one file, and the modules that hold them, patched or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.models import weights
from engine.models.errors import CheckpointError
from engine.models.handles import ClipHandle, ControlNetHandle, FileDigest, Handle, ModelHandle, Patch, Source
from engine.models.merging import OtherModel
from engine.models.patching import PatchedWeights, PatchFile, PatchSource

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


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
    """One module on shared weights. `users` counts the `use` blocks it is in."""

    def __init__(self, module: nn.Module, originals: dict[str, Tensor]) -> None:
        self.module = module
        self.users = 0
        self.patches: tuple[Patch, ...] = ()
        self.weights = PatchedWeights(weights.named_parameters(module), originals)


class Entry:
    """The weights of one part of one file on the device, and the modules that hold them."""

    def __init__(
        self, handle: Handle, originals: dict[str, Tensor], device: torch.device, dtype: torch.dtype, files: FileDigest
    ) -> None:
        self._handle = handle
        self._files = files
        self._originals = originals
        self._instances: list[Instance] = []
        self._unfilled: nn.Module | None = None
        self._original_bytes = sum(tensor.nbytes for tensor in originals.values())
        self._patch_files: dict[str, PatchSource] = {}
        self.parameters = sum(tensor.numel() for tensor in originals.values())
        self.device = device
        self.dtype = dtype

    @classmethod
    def load(cls, handle: Handle, device: str, dtype: str, files: FileDigest) -> Entry:
        """Read the weights of a handle onto a device."""
        import torch

        place, kind = torch.device(device), getattr(torch, dtype)
        module = weights.empty_module(handle)
        parameters = weights.load_parameters(handle, device=place, dtype=kind, module=module)
        if isinstance(handle, ControlNetHandle) and handle.base is not None:
            _add(parameters, handle, handle.base, files)
        entry = cls(handle, parameters, place, kind, files)
        entry._unfilled = module
        return entry

    @property
    def in_use(self) -> bool:
        """Whether one of its modules is in a `use` block."""
        return any(instance.users for instance in self._instances)

    @property
    def bytes(self) -> int:
        """Bytes of the weights and of their patched copies."""
        return self._original_bytes + sum(instance.weights.patched_bytes for instance in self._instances)

    def fact(self) -> LoadedFact:
        """Return what is told of it."""
        return LoadedFact(
            part=weights.title(self._handle),
            path=self._handle.source.path,
            digest=self._handle.source.digest,
            dtype=str(self.dtype).removeprefix("torch."),
            bytes=self.bytes,
            patches=max((len(instance.patches) for instance in self._instances), default=0),
            in_use=self.in_use,
        )

    def instance_for(self, handle: Handle) -> Instance:
        """Return a module with the handle's patches: one that has them, an idle one re-patched, or a new one.

        A new one is only needed while the same weights are in use with other patches; it shares the unpatched ones.
        """
        patches = handle.patches if isinstance(handle, ModelHandle | ClipHandle) else ()
        for instance in self._instances:
            if instance.patches == patches:
                return instance
        instance = next((i for i in self._instances if not i.users), None) or self._new_instance(handle)
        self._patch(instance, handle, patches)
        return instance

    def _new_instance(self, handle: Handle) -> Instance:
        module, self._unfilled = weights.module_with(handle, self._originals, self._unfilled), None
        instance = Instance(module, self._originals)
        self._instances = [i for i in self._instances if i.users] + [instance]
        return instance

    def _patch(self, instance: Instance, handle: Handle, patches: tuple[Patch, ...]) -> None:
        instance.patches = ()
        if isinstance(handle, ModelHandle | ClipHandle):
            instance.weights.apply(
                [(self._patch_file(handle, patch, instance), patch.strength, patch.keep) for patch in patches]
            )
        instance.patches = patches
        wanted = {patch.key for one in self._instances for patch in one.patches}
        self._patch_files = {digest: file for digest, file in self._patch_files.items() if digest in wanted}

    def _patch_file(self, handle: ModelHandle | ClipHandle, patch: Patch, instance: Instance) -> PatchSource:
        if patch.key not in self._patch_files:
            self._patch_files[patch.key] = _opened(handle, patch, instance.weights.names, self._files)
        return self._patch_files[patch.key]


def _opened(
    handle: ModelHandle | ClipHandle | ControlNetHandle, patch: Patch, names: Sequence[str], files: FileDigest
) -> PatchSource:
    """What a patch puts on a model's weights `names`, and what other models bring along."""
    unchanged(patch.source, files)
    other = patch.other
    if other is not None:
        return OtherModel(handle, patch, lambda one, shared: _opened(other, one, shared, files))
    assert isinstance(handle, ModelHandle | ClipHandle)
    return PatchFile(handle, patch, names)


def _add(parameters: dict[str, Tensor], handle: ControlNetHandle, base: ModelHandle, files: FileDigest) -> None:
    """Add a denoiser's weights, with its patches, to a ControlNet that is kept as the difference to them."""
    whole = _opened(handle, Patch(kind="model", source=base.source, other=base), list(parameters), files)
    for name in whole.changes:
        parameters[name] = whole.patched(name, parameters[name], 1.0).to(parameters[name].dtype)
