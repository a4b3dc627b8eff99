"""Where the parameters of a network lie in the tensors of its file, found by renaming tensors without memory.

Files stack what libraries keep apart (queries, keys and values), swap halves, and turn matrices. What a layout does to a tensor
is told in one direction only, from the file to the library; here it is followed, so that changed weights can be put back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from engine.models import weights
from engine.models.errors import ModelError
from engine.models.handles import Handle

_MOST = 1 << 28
"""Numbers of a file that are followed one by one, at 8 bytes each."""


class View(NamedTuple):
    """A parameter that is a view of a file's tensor: how it lies in it, as strides and an offset of numbers."""

    parameter: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


class Traced(NamedTuple):
    """{tensor of the file: the parameters that are views of it}, and the parameters that are copies, such as joined ones."""

    views: dict[str, list[View]]
    copied: set[str]


def traced(handle: Handle, shapes: Mapping[str, tuple[int, ...]]) -> Traced:
    """Follow the file's tensors of a handle, whose shapes are given, to the parameters of its network. No memory is taken."""
    given = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    names = {id(value): name for name, value in given.items()}
    views: dict[str, list[View]] = {}
    copied: set[str] = set()
    for parameter, value in weights.renamed(handle, given).items():
        origin = names.get(id(value if value._base is None else value._base))
        if origin is None:
            copied.add(parameter)
        else:
            found = View(parameter, tuple(value.shape), value.stride(), int(value.storage_offset()))
            views.setdefault(origin, []).append(found)
    return Traced(views, copied)


def put_back(tensor: Tensor, views: Iterable[tuple[View, Tensor]]) -> Tensor:
    """Return a contiguous copy of a file's tensor with new values of parameters where they lie in it."""
    made = tensor.contiguous().clone()
    for view, value in views:
        torch.as_strided(made, view.shape, view.stride, view.offset).copy_(value)
    return made


def numbered(
    handle: Handle, shapes: Mapping[str, tuple[int, ...]], followed: Iterable[str], wanted: Iterable[str]
) -> dict[str, Tensor]:
    """Return {parameter: int64 tensor of its shape}: which number of which tensor of the file each value of it is.

    Of parameters `wanted` that are copies of the tensors `followed`. The numbers of these count on from one tensor to the next,
    in the order given, from 1; 0 is none of the file's. Raises ModelError for a parameter that is computed in another way.
    """
    given, at = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}, 1
    for name in followed:
        count = int(given[name].numel())
        given[name] = torch.arange(at, at + count).reshape(shapes[name])
        at += count
    if at > _MOST:
        raise ModelError(
            f"{handle.source.path}: {at} of its numbers stand in another order in the network, too many to follow. "
            "Save the model from a file in the library's layout (a diffusers folder)."
        )
    try:
        found = weights.renamed(handle, given)
    except (RuntimeError, NotImplementedError) as problem:
        raise _unfollowed(handle, next(iter(wanted))) from problem
    for name in wanted:
        if found[name].is_meta or found[name].dtype != torch.int64:
            raise _unfollowed(handle, name)
    return {name: found[name] for name in wanted}


def _unfollowed(handle: Handle, name: str) -> ModelError:
    return ModelError(
        f"{handle.source.path}: {name} is computed of several tensors of the file, and a changed one cannot be written back. "
        "Save the model from a file in the library's layout (a diffusers folder)."
    )
