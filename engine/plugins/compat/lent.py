"""Weights lent to packs: each is copied when it is first looked at, as packs write into what they get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


class Lent(dict[str, Any]):
    """Tensors by name. Asking for the names copies nothing; what a pack does to a tensor stays in here."""

    def __init__(self, shared: Mapping[str, Tensor]) -> None:
        super().__init__(shared)
        self._shared = dict(shared)

    @property
    def shared(self) -> dict[str, Tensor]:
        """The weights themselves, of those that no pack has looked at; only to be read."""
        return {name: self._shared.get(name, dict.__getitem__(self, name)) for name in self}

    def only(self, prefix: str) -> Lent:
        """Those whose names begin so."""
        return Lent({name: value for name, value in self.shared.items() if name.startswith(prefix)})

    def __getitem__(self, name: str) -> Any:
        if name in self._shared:
            dict.__setitem__(self, name, self._shared.pop(name).clone())
        return dict.__getitem__(self, name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._shared.pop(name, None)
        dict.__setitem__(self, name, value)

    def __delitem__(self, name: str) -> None:
        self._shared.pop(name, None)
        dict.__delitem__(self, name)

    def __iter__(self) -> Iterator[str]:  # being here, it makes `dict(lent)` go by __getitem__
        return dict.__iter__(self)

    def get(self, name: str, default: Any = None) -> Any:
        """A tensor, or `default`."""
        return self[name] if name in self else default  # noqa: SIM401 - this is that method

    def pop(self, name: str, *default: Any) -> Any:
        """A tensor, which is taken out."""
        if name not in self:
            return dict.pop(self, name, *default)
        found = self[name]
        del self[name]
        return found

    def items(self) -> Any:
        """Names and tensors, each copied as it comes."""
        return ((name, self[name]) for name in list(self))

    def values(self) -> Any:
        """Tensors, each copied as it comes."""
        return (self[name] for name in list(self))

    def copy(self) -> Lent:
        """One more dict of the same tensors."""
        return Lent({name: self[name] for name in self})
