"""The weights of one part of a model with its patches on them, as tensors that are made when they are written.

`as_in_file` gives them under the names of the handle's own file (its prefix taken off), `as_parameters` under the library's.
A tensor keeps the dtype of the file; what is packed there is written unpacked, as bf16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from engine.models import entries, weights
from engine.models.entries import unchanged
from engine.models.families import family_named
from engine.models.handles import ClipHandle, FileDigest, Handle, ModelHandle
from engine.models.merging import OtherModel
from engine.models.packed import load_tensors, read_header
from engine.models.packed.tensor import PackedTensor
from engine.models.patching import PatchSource, patched
from engine.models.saving.pieces import Piece, tag_of
from engine.models.traced import View, numbered, put_back, traced

UNPACKED: Final = torch.bfloat16
_OTHER_PARTS: Final = (
    "model.diffusion_model.",
    "first_stage_model.",
    "cond_stage_model.",
    "conditioner.",
    "text_encoders.",
)


class _Part(NamedTuple):
    """A handle with its file's tensors, mapped, and what is put on them."""

    handle: Handle
    tensors: dict[str, Tensor]
    patches: list[tuple[PatchSource, float, float]]

    def change(self, parameter: str, value: Tensor) -> Tensor:
        """Return a parameter's value with its patches, in its dtype."""
        items = [item for item in self.patches if parameter in item[0].changes]
        return patched(parameter, value, items).to(value.dtype) if items else value

    def changes(self, parameter: str) -> bool:
        """Whether a patch is for this parameter."""
        return any(parameter in item[0].changes for item in self.patches)

    def is_merged(self, parameter: str) -> bool:
        """Whether another model is merged into this parameter."""
        return any(isinstance(item[0], OtherModel) and parameter in item[0].changes for item in self.patches)


def as_parameters(handle: Handle, files: FileDigest, *, merged_only: bool = False) -> list[Piece]:
    """Return the weights under the names of the library's network. `merged_only`: those that another model is merged into."""
    part = _opened(handle, files)
    renamed: Mapping[str, Tensor] = weights.renamed(handle, part.tensors)
    return [
        Piece(name, _tag(value), tuple(value.shape), _made(part, name, value))
        for name, value in sorted(renamed.items())
        if not merged_only or part.is_merged(name)
    ]


def _made(part: _Part, name: str, value: Tensor) -> Callable[[], Tensor]:
    return lambda: part.change(name, _plain(value))


def as_in_file(handle: Handle, files: FileDigest) -> list[Piece]:
    """Return the weights as the handle's own file lays them out, with what it holds for the part beside them.

    Raises ModelError where a changed weight is computed of several of the file's tensors.
    """
    part = _opened(handle, files)
    shapes = {name: tuple(value.shape) for name, value in part.tensors.items()}
    trace = traced(handle, shapes)
    grown = _grown(handle, shapes, trace.copied)
    followed = _followed(part, shapes, trace.copied - set(grown.values()), set(trace.views) | set(grown))
    found = []
    for name, value in part.tensors.items():
        bare = name[len(handle.prefix) :]
        if not handle.prefix and name not in trace.views and name.startswith(_OTHER_PARTS):
            continue
        if name in grown:
            parameter = grown[name]
            whole = weights.renamed(handle, part.tensors)[parameter]
            found.append(Piece(bare, _tag(value), tuple(whole.shape), _made(part, parameter, whole)))
            continue
        views = [view for view in trace.views.get(name, ()) if part.changes(view.parameter)]
        make = _copied(part, name, followed) if name in followed else _viewed(part, name, views)
        found.append(Piece(bare, _tag(value), shapes[name], make))
    return found


def _opened(handle: Handle, files: FileDigest) -> _Part:
    unchanged(handle.source, files)
    header = read_header(Path(handle.source.path))
    tensors = load_tensors(header, weights.file_names(handle, header.shapes))
    patches: list[tuple[PatchSource, float, float]] = []
    if isinstance(handle, ModelHandle | ClipHandle) and handle.patches:
        names: Sequence[str] = list(weights.parameter_shapes(handle, header))
        patches = [
            (entries.opened_patch(handle, patch, names, files), patch.strength, patch.keep) for patch in handle.patches
        ]
    return _Part(handle, tensors, patches)


def _plain(value: Tensor) -> Tensor:
    return value.unpacked().to(UNPACKED) if isinstance(value, PackedTensor) else value


def _tag(value: Tensor) -> str:
    return "BF16" if isinstance(value, PackedTensor) else tag_of(value)


def _viewed(part: _Part, name: str, views: Sequence[View]) -> Callable[[], Tensor]:
    """Make a file's tensor of which parameters are views."""

    def make() -> Tensor:
        plain = _plain(part.tensors[name])
        if not views:
            return plain
        flat = plain.contiguous()
        changed = (
            (
                view,
                part.change(
                    view.parameter, torch.as_strided(flat, view.shape, view.stride, flat.storage_offset() + view.offset)
                ),
            )
            for view in views
        )
        return put_back(flat, changed)

    return make


def _grown(handle: Handle, shapes: Mapping[str, tuple[int, ...]], copied: set[str]) -> dict[str, str]:
    """{tensor of the file: parameter} of matrices to which a LoRA gives more columns than the file has."""
    if not isinstance(handle, ModelHandle):
        return {}
    network = family_named(handle.family).network
    wide = [name for name in network.grows if name in copied]
    paths = network.paths(handle.config)
    found: dict[str, str] = {}
    for parameter in wide:
        module, _, kind = parameter.rpartition(".")
        spelled = (parameter, f"{paths.get(module, module)}.{kind}")
        found |= {f"{handle.prefix}{name}": parameter for name in spelled if f"{handle.prefix}{name}" in shapes}
    return found


class _Numbers(NamedTuple):
    """A tensor of the file whose numbers are followed one by one: where they begin, and the parameters that have some."""

    start: int
    parameters: dict[str, Tensor]


def _followed(
    part: _Part, shapes: Mapping[str, tuple[int, ...]], copied: set[str], viewed: set[str]
) -> dict[str, _Numbers]:
    """The tensors of the file of which changed parameters are copies, each with the places of its numbers in them."""
    changed = sorted(name for name in copied if part.changes(name))
    if not changed:
        return {}
    names = [name for name in shapes if name not in viewed]
    found = numbered(part.handle, shapes, names, changed)
    numbers: dict[str, _Numbers] = {}
    start = 1
    for name in names:
        count = int(part.tensors[name].numel())
        of_it = {
            parameter: places
            for parameter, places in found.items()
            if bool(((places >= start) & (places < start + count)).any())
        }
        if of_it:
            numbers[name] = _Numbers(start, of_it)
        start += count
    return numbers


def _copied(part: _Part, name: str, followed: Mapping[str, _Numbers]) -> Callable[[], Tensor]:
    """Make a file's tensor of which parameters are copies."""

    def make() -> Tensor:
        made = _plain(part.tensors[name]).contiguous().clone()
        renamed: Mapping[str, Any] = weights.renamed(part.handle, part.tensors)
        start, parameters = followed[name]
        for parameter, places in parameters.items():
            value = part.change(parameter, _plain(renamed[parameter]))
            here = (places >= start) & (places < start + made.numel())
            made.view(-1)[places[here] - start] = value[here].to(made.dtype)
        return made

    return make
