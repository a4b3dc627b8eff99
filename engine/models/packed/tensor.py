"""Tensors that are kept packed: to whoever asks, a weight of the unpacked shape; in memory, the parts of which it is made.

What moves values about (rows, pieces, other views, joining) is put off and stays packed, so that files' tensors are renamed,
split and turned as others are. Whatever computes is given the unpacked weight, made anew for that one call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

from engine.models.packed.base import Format
from engine.models.packed.room import ROOM
from engine.models.shapes import Facts, Shape

_ATEN: Any = torch.ops.aten
_AT_ONCE = {"cpu": 1 << 17}
_ELSEWHERE = 1 << 24
"""Values that are unpacked at once: on a GPU many, where each piece costs the start of its computations."""


class Kept(Protocol):
    """How the values of a packed tensor are kept."""

    shape: Shape

    def unpacked(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the values."""
        ...

    def on(self, device: torch.device) -> Kept:
        """Return the same on another device."""
        ...

    @property
    def parts(self) -> list[Tensor]:
        """The tensors in memory of which it is made."""
        ...


class Stored:
    """The parts of one weight as a file has them."""

    def __init__(self, form: Format, parts: Mapping[str, Tensor], facts: Facts, shape: Shape) -> None:
        self._form = form
        self._parts = dict(parts)
        self._facts = facts
        self.shape = shape

    def unpacked(self, dtype: torch.dtype = torch.float32, into: Tensor | None = None) -> Tensor:
        """Return the values, unpacked some rows at a time: what is made on the way in float32 takes little memory.

        `into`: memory for them, of their shape and dtype.
        """
        device = self.parts[0].device
        step = max(1, _AT_ONCE.get(device.type, _ELSEWHERE) // max(1, math.prod(self.shape[1:])))
        if len(self.shape) < 2 or step >= self.shape[0]:
            return self._form.unpacked(self._parts, self._facts, self.shape).to(dtype)
        found = torch.empty(self.shape, dtype=dtype, device=device) if into is None else into
        for start in range(0, self.shape[0], step):
            some = slice(start, min(start + step, self.shape[0]))
            shape = (some.stop - start, *self.shape[1:])
            found[some] = self._form.unpacked(self._form.taken(self._parts, some), self._facts, shape)
        return found

    def on(self, device: torch.device) -> Stored:
        """Return the same on another device."""
        moved = {role: part.to(device) for role, part in self._parts.items()}
        return Stored(self._form, moved, self._facts, self.shape)

    def taken(self, rows: slice | Tensor) -> Stored:
        """Return some rows: a slice, or their numbers (N,)."""
        count = len(range(*rows.indices(self.shape[0]))) if isinstance(rows, slice) else len(rows)
        return Stored(self._form, self._form.taken(self._parts, rows), self._facts, (count, *self.shape[1:]))

    @property
    def parts(self) -> list[Tensor]:
        """The tensors in memory of which it is made."""
        return list(self._parts.values())


class Later:
    """What an operation makes of packed tensors, computed when it is asked for. `index`: which of several results."""

    def __init__(self, made_by: Callable[..., Any], args: Any, kwargs: Any, index: int | None, shape: Shape) -> None:
        self._made_by = made_by
        self._args = args
        self._kwargs = kwargs
        self._index = index
        self.shape = shape

    def unpacked(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the values."""
        args = tree_map_only(PackedTensor, lambda one: one.kept.unpacked(), self._args)
        made = self._made_by(*args, **self._kwargs)
        result: Tensor = made if self._index is None else made[self._index]
        return result.to(dtype)

    def on(self, device: torch.device) -> Later:
        """Return the same on another device."""
        args = tree_map(lambda one: one.to(device) if isinstance(one, Tensor) else one, self._args)
        return Later(self._made_by, args, self._kwargs, self._index, self.shape)

    @property
    def parts(self) -> list[Tensor]:
        """The tensors in memory of which it is made."""
        leaves = [leaf for leaf in tree_leaves(self._args) if isinstance(leaf, Tensor)]
        return [part for leaf in leaves for part in (leaf.kept.parts if isinstance(leaf, PackedTensor) else [leaf])]


class Changed:
    """A packed weight with a change that is put on it each time it is unpacked."""

    def __init__(self, kept: Kept, change: Callable[[Tensor], Tensor]) -> None:
        self._kept = kept
        self._change = change
        self.shape = kept.shape

    def unpacked(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the changed values; the change is computed in float32."""
        return self._change(self._kept.unpacked()).to(dtype)

    def on(self, device: torch.device) -> Changed:
        """Return the same on another device."""
        return Changed(self._kept.on(device), self._change)

    @property
    def parts(self) -> list[Tensor]:
        """The tensors in memory of which the unchanged weight is made."""
        return self._kept.parts


class PackedTensor(torch.Tensor):
    """A weight kept packed, which computes in its `dtype`. `kept` may be set to another of the same shape."""

    kept: Kept

    @staticmethod
    def __new__(cls, kept: Kept, dtype: torch.dtype) -> PackedTensor:
        device = kept.parts[0].device
        made: PackedTensor = torch.Tensor._make_wrapper_subclass(cls, kept.shape, dtype=dtype, device=device)
        made.kept = kept
        return made

    def unpacked(self) -> Tensor:
        """Return the weight itself, in the dtype in which it computes."""
        return self.kept.unpacked(self.dtype)

    @property
    def nbytes(self) -> int:  # type: ignore[override]  # read-only in torch too
        """Bytes that it takes in memory."""
        return sum(part.nbytes for part in self.kept.parts)

    def __repr__(self, **told: Any) -> str:  # type: ignore[override]
        return f"PackedTensor({list(self.shape)}, computes in {self.dtype}, {self.nbytes} bytes)"

    def __deepcopy__(self, memo: dict[int, Any]) -> PackedTensor:
        copied = PackedTensor(self.kept, self.dtype)
        return torch.nn.Parameter(copied, self.requires_grad) if isinstance(self, torch.nn.Parameter) else copied  # type: ignore[return-value]

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.embedding:
            return _embedded(*args, **kwargs)
        if func is functional.linear:
            return _linear(*args, **kwargs)
        if func in _WHOLE:
            args, kwargs = dense(args), dense(kwargs)
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch declares it as what switches it off
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _SAME:
            return PackedTensor(args[0].kept, args[0].dtype)
        if func is _ATEN._to_copy.default:
            return _moved(args[0], kwargs)
        if (pieces := _rows(func, args, kwargs)) is not None:
            return pieces
        if func in _LATER:
            return _later(func, args, kwargs)
        if func._schema.is_mutable:
            raise TypeError(
                f"{func}: this weight is kept packed and cannot be written into. Put a new tensor in its place."
            )
        return func(*dense(args), **dense(kwargs))


_WHOLE = frozenset(
    {
        functional.conv1d,
        functional.conv2d,
        functional.conv3d,
        functional.conv_transpose1d,
        functional.conv_transpose2d,
        functional.conv_transpose3d,
        functional.layer_norm,
        functional.group_norm,
        functional.rms_norm,
        torch.matmul,
        torch.Tensor.matmul,
    }
)
"""Unpacked before torch takes them apart, so that they compute as with a weight that was never packed."""

_SAME = frozenset({_ATEN.detach.default, _ATEN.alias.default, _ATEN.contiguous.default})
_LATER = frozenset(
    getattr(_ATEN, name).default
    for name in ("view", "_unsafe_view", "reshape", "t", "permute", "squeeze", "unsqueeze", "cat", "expand", "flip")
) | {
    _ATEN.slice.Tensor,
    _ATEN.select.int,
    _ATEN.split.Tensor,
    _ATEN.split_with_sizes.default,
    _ATEN.transpose.int,
    _ATEN.squeeze.dim,
    _ATEN.squeeze.dims,
    _ATEN.unbind.int,
}
"""What moves values about and changes none."""


def dense(value: Any) -> Any:
    """Return a tensor, or whatever holds tensors, with the packed ones unpacked."""
    return tree_map_only(PackedTensor, lambda one: one.unpacked(), value)


def _moved(one: PackedTensor, kwargs: Mapping[str, Any]) -> PackedTensor | Tensor:
    dtype, device = kwargs.get("dtype") or one.dtype, kwargs.get("device")
    if not dtype.is_floating_point:
        return one.unpacked().to(dtype)
    kept = one.kept if device is None or torch.device(device) == one.device else one.kept.on(torch.device(device))
    return PackedTensor(kept, dtype)


def _rows(func: Any, args: Any, kwargs: Any) -> Any:
    """Return rows of a stored weight as a stored weight, and pieces as a list of them; None for another operation."""
    if func not in (_ATEN.slice.Tensor, _ATEN.split.Tensor, _ATEN.split_with_sizes.default):
        return None
    one, *rest = args
    if not isinstance(one, PackedTensor) or not isinstance(one.kept, Stored):
        return None
    kept, told = one.kept, dict(zip(_NAMES[func], rest)) | kwargs
    if told.get("dim", 0) not in (0, -one.ndim) or told.get("step", 1) != 1:
        return None
    if func is _ATEN.slice.Tensor:
        return PackedTensor(kept.taken(slice(told.get("start"), told.get("end"))), one.dtype)
    sizes = told["sizes"]
    if isinstance(sizes, int):
        sizes = [min(sizes, len(one) - start) for start in range(0, len(one), sizes)]
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    return [PackedTensor(kept.taken(slice(end - size, end)), one.dtype) for size, end in zip(sizes, ends, strict=True)]


_NAMES = {
    _ATEN.slice.Tensor: ("dim", "start", "end", "step"),
    _ATEN.split.Tensor: ("sizes", "dim"),
    _ATEN.split_with_sizes.default: ("sizes", "dim"),
}


def _later(func: Any, args: Any, kwargs: Any) -> Any:
    packed = next(leaf for leaf in tree_leaves(args) if isinstance(leaf, PackedTensor))
    shapes = tree_map(lambda one: torch.empty(one.shape, device="meta") if isinstance(one, Tensor) else one, args)
    made = func(*shapes, **kwargs)
    if isinstance(made, Tensor):
        return PackedTensor(Later(func, args, kwargs, None, tuple(made.shape)), packed.dtype)
    return [
        PackedTensor(Later(func, args, kwargs, number, tuple(one.shape)), packed.dtype)
        for number, one in enumerate(made)
    ]


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # as torch names them
    """Compute with a weight that is unpacked into the same memory each time: taken anew, that of one layer does not fit the next.

    Not where gradients are kept, for which the weight would have to stay.
    """
    with ROOM.lent() as room, torch._C.DisableTorchFunctionSubclass():
        if room is not None and not torch.is_grad_enabled() and isinstance(weight, PackedTensor):
            kept = weight.kept
            if isinstance(kept, Stored):
                weight = kept.unpacked(weight.dtype, room.of(kept.shape, weight.dtype, weight.device))
        return functional.linear(dense(input), dense(weight), dense(bias))


def _embedded(numbers: Tensor, weight: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Look up rows of a table of which only these are unpacked."""
    if isinstance(weight, PackedTensor) and isinstance(weight.kept, Stored):
        chosen = weight.kept.taken(numbers.reshape(-1)).unpacked(weight.dtype)
        return chosen.reshape(*numbers.shape, *weight.shape[1:])
    with torch._C.DisableTorchFunctionSubclass():
        return functional.embedding(dense(numbers), dense(weight), *args, **kwargs)
