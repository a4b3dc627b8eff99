"""Private copies: what code that may write into values gets in place of stored ones, and what is stored in place of its own.

A node of a pack can reach the memory of what it is given, and of what it gave, in ways that leave no trace: NumPy, DLPack,
`data_ptr`, a buffer, and that long after it returned. So it never has the memory that the cache has. Values that nobody can
write into are handed on as they are, and so are objects that say nothing of their content (models, a pack's own classes),
unless a codec is registered for them.
"""

from __future__ import annotations

import copy
import mmap
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from engine.cache.codecs import Codec, CodecError
from engine.cache.digests import frozen_fields, is_array, is_tensor
from engine.cache.sole import Holder, held_alone, sole_tensors
from engine.cache.spare import Spare
from engine.cache.stamps import IMMUTABLE

HUGE_BYTES = 32 << 20
"""Tensors in main memory from this size on are copied into huge pages where the system has them: a fifth of the time."""

Known: TypeAlias = dict[int, tuple[Any, Any]]
"""Identity of a value → (its copy, the value itself, so that no other gets that identity)."""


class Copies:
    """Makes copies of values, with the codecs that the program registered for its own types."""

    def __init__(self, codecs: Iterable[Codec] = ()) -> None:
        self._codecs = tuple(codecs)
        self.spare = Spare()

    def of_each(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """`values` by name, each a copy; what is one object under two names, or within two of them, stays one object."""
        known: Known = {}
        return {name: self._top(value, known) for name, value in values.items()}

    def of_all(self, values: Iterable[Any]) -> tuple[Any, ...]:
        """The same for values in a row."""
        known: Known = {}
        return tuple([self._top(value, known) for value in values])

    def of_given(self, holder: Holder) -> tuple[Any, ...]:
        """The same for `holder.values`, but for tensors that nobody else holds: these are taken over as they are."""
        known: Known = {}
        if held_alone(holder):
            known = {name: (tensor, tensor) for name, tensor in sole_tensors(holder.values).items()}
        return tuple([self._top(value, known) for value in holder.values])

    def let_go(self, copies: dict[str, Any]) -> None:
        """What `of_each` made is needed no more by whom it was made for: memory that nobody else holds is for others."""
        for tensor in sole_tensors(copies).values():
            self.spare.give(tensor)

    def of(self, value: Any) -> Any:
        """A copy of one value."""
        return self._top(value, {})

    def _top(self, value: Any, known: Known) -> Any:
        if type(value) in IMMUTABLE:
            return value
        try:
            return self._copy(value, known)
        except RecursionError:  # lists in lists in lists: it has no digest either, and goes by the node that made it
            return value

    def _copy(self, value: Any, known: Known) -> Any:
        kind = type(value)
        if kind in IMMUTABLE:
            return value
        if id(value) in known:
            return known[id(value)][0]
        make = _MAKERS.get(kind)
        if make is not None:
            return make(self, value, known)
        made = self._leaf(value, kind, known)
        known[id(value)] = (made, value)
        return made

    def _leaf(self, value: Any, kind: type, known: Known) -> Any:
        if is_tensor(value):
            if kind is sys.modules["torch"].Tensor:
                _MAKERS[kind] = Copies._tensor  # from now on found at once
            return _tensor(value, kind)
        if is_array(value):
            return self._array(value, known)
        if _is_picture(value):
            return value.copy()
        if isinstance(value, tuple) and hasattr(kind, "_make"):
            return kind._make([self._copy(item, known) for item in value])
        if hasattr(kind, "identity"):  # a recipe for a model, which goes by its data and never changes
            return value
        names = frozen_fields(kind)
        if names is not None:
            return self._record(value, names, known)
        return self._opaque(value, known)

    def _record(self, value: Any, names: tuple[str, ...], known: Known) -> Any:
        """A frozen record: itself where nothing in it can be written into."""
        parts = {name: getattr(value, name) for name in names}
        changed = {name: made for name, part in parts.items() if (made := self._copy(part, known)) is not part}
        if not changed:
            return value
        made = copy.copy(value)
        put = msgspec.structs.force_setattr if isinstance(value, msgspec.Struct) else object.__setattr__
        for name, part in changed.items():
            put(made, name, part)
        return made

    def _opaque(self, value: Any, known: Known) -> Any:
        """An object whose content only its codec can tell, if it has one."""
        for codec in self._codecs:
            try:
                if codec.matches(value):
                    return codec.from_plain(self._copy(codec.to_plain(value), known))
            except (CodecError, TypeError, ValueError, AttributeError):  # the pack's own code: then it is as it is
                return value
        return value

    def _array(self, value: Any, known: Known) -> Any:
        made = value.copy() if isinstance(value, sys.modules["numpy"].generic) else value.copy(order="K")
        if made.dtype.hasobject and made.shape and not made.dtype.names:
            flat = made.reshape(-1)
            for index, item in enumerate(flat):
                flat[index] = self._copy(item, known)
            return flat.reshape(made.shape)
        return made

    def _tensor(self, value: Any, known: Known) -> Any:
        if value.requires_grad or value.nbytes >= HUGE_BYTES or value.__dict__:
            made = _tensor(value, type(value))
        elif value.is_contiguous() and (spare := self.spare.take(value)) is not None:
            made = spare.copy_(value)
        else:
            made = value.clone()
        known[id(value)] = (made, value)
        return made

    def _list(self, value: Any, known: Known) -> Any:
        made: list[Any] = []
        known[id(value)] = (made, value)
        made.extend([self._copy(item, known) for item in value])
        return made

    def _tuple(self, value: Any, known: Known) -> Any:
        made = tuple([self._copy(item, known) for item in value])
        known[id(value)] = (made, value)
        return made

    def _dict(self, value: Any, known: Known) -> Any:
        made = value.copy()  # an OrderedDict, and the factory of a defaultdict, stay what they are
        known[id(value)] = (made, value)
        for key, item in made.items():
            if type(item) not in IMMUTABLE:
                made[key] = self._copy(item, known)
        return made

    def _deque(self, value: Any, known: Known) -> Any:
        made: deque[Any] = deque(maxlen=value.maxlen)
        known[id(value)] = (made, value)
        made.extend(self._copy(item, known) for item in list(value))
        return made

    def _plain(self, value: Any, known: Known) -> Any:
        made = copy.copy(value)
        known[id(value)] = (made, value)
        return made

    def _view(self, value: Any, known: Known) -> Any:
        made = memoryview(bytes(value) if value.readonly else bytearray(value)).cast("B")
        known[id(value)] = (made, value)
        return made


_MAKERS: dict[type, Callable[[Copies, Any, Known], Any]] = {
    list: Copies._list,
    tuple: Copies._tuple,
    dict: Copies._dict,
    OrderedDict: Copies._dict,
    defaultdict: Copies._dict,
    deque: Copies._deque,
    set: Copies._plain,
    bytearray: Copies._plain,
    memoryview: Copies._view,
}


def _is_picture(value: Any) -> bool:
    """Whether `value` is a picture of Pillow; never imports it."""
    pillow = sys.modules.get("PIL.Image")
    kind = getattr(pillow, "Image", None)
    return kind is not None and isinstance(value, kind)


def _tensor(value: Any, kind: type) -> Any:
    """The tensor in memory of its own, without the graph that made it."""
    torch = sys.modules["torch"]
    if kind is not torch.Tensor and kind is not torch.nn.Parameter:
        try:
            return copy.deepcopy(value)  # a subclass, with all that it knows beside its numbers
        except Exception:
            return value.detach().clone()
    needs_grad = value.requires_grad
    if value.numel() * value.element_size() >= HUGE_BYTES and _is_plain(torch, value):
        made = _huge(torch, value)
    else:
        made = value.detach().clone() if needs_grad else value.clone()
    if kind is torch.nn.Parameter:
        made = torch.nn.Parameter(made, requires_grad=needs_grad)
    elif needs_grad:
        made.requires_grad_()
    if value.__dict__:
        made.__dict__.update(value.__dict__)
    return made


def _is_plain(torch: Any, value: Any) -> bool:
    return (
        value.layout is torch.strided
        and value.device.type == "cpu"
        and value.is_contiguous()
        and not (value.is_quantized or value.is_conj() or value.is_neg())
        and hasattr(mmap, "MADV_HUGEPAGE")
    )


def _huge(torch: Any, value: Any) -> Any:
    """A copy in huge pages: giving memory a page of 4 KiB at a time costs several times what the copying does."""
    size = value.numel() * value.element_size()
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    made = torch.frombuffer(memory, dtype=value.dtype).view(value.shape)
    return made.copy_(value.detach())
