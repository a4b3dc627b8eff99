"""Functions of torch and other libraries that a pack puts its own in the place of: everybody's results would follow.

Looks at functions, classes and their methods in the modules that are loaded; only what is replaced by code of a pack counts.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection, Iterator
from itertools import chain
from types import ModuleType
from typing import Any, Final

from engine.plugins.owners import pack_of

_LIBRARIES: Final = ("torch", "numpy", "PIL", "scipy", "safetensors", "diffusers", "transformers", "engine")
_STANDARD: Final = (
    "builtins",
    "json",
    "os",
    "os.path",
    "posixpath",
    "random",
    "time",
    "math",
    "io",
    "pickle",
    "copy",
    "shutil",
)
_OPEN: Final = "engine.plugins.compat"
"""What packs may replace parts of: it stands for the field's own modules, and what they put there is theirs alone to call."""

_CLASSES: Final = ("torch.nn", "torch._tensor", "torch.Tensor", "PIL.Image", "diffusers.models", "engine.")
"""Modules whose classes are looked into."""


MOST_USED: Final = ("torch", "torch.nn", "torch.nn.functional", "torch.serialization", "numpy", "builtins")
"""Modules that are few enough to be looked at before each job."""


class Replaced:
    """How things stand when it is made, to be compared with later: everywhere, or in the modules `among` alone."""

    def __init__(self, among: Collection[str] | None = None) -> None:
        self._tables = [(name, owner, dict(vars(owner))) for name, owner in _owners(among)]
        self._live = [vars(owner).values() for _, owner, _ in self._tables]
        self._seen = self._all()
        """All that is there, as it was when it was last looked at piece by piece."""

    def put_back(self) -> dict[str, str]:
        """Put back what code of packs stands in the place of; the pack of each name.

        Ten thousand names are compared at once, as almost always nothing has changed: a job does not wait a millisecond for that.
        """
        if self._unchanged():
            return {}
        found = self._found()
        self._seen = self._all()
        return found

    def _all(self) -> list[Any]:
        return list(chain.from_iterable(self._live))

    def _unchanged(self) -> bool:
        try:
            return self._all() == self._seen  # what is the same object is not asked whether it is equal
        except Exception:  # an array in the place of another one
            return False

    def _found(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, owner, before in self._tables:
            now = vars(owner)
            for short, value in before.items():
                found_there = now.get(short)
                if found_there is value or not callable(found_there):
                    continue
                pack = _pack_behind(found_there)
                if pack is not None:
                    setattr(owner, short, value)
                    found[f"{name}.{short}"] = pack
        return found


def _owners(among: Collection[str] | None) -> Iterator[tuple[str, Any]]:
    seen: set[int] = set()
    for name, module in list(sys.modules.items()):
        if among is not None and name not in among:
            continue
        if not isinstance(module, ModuleType) or name.startswith(_OPEN):
            continue
        if name not in _STANDARD and name.partition(".")[0] not in _LIBRARIES:
            continue
        yield name, module
        if name == "torch" or name.startswith(_CLASSES):
            for short, value in list(vars(module).items()):
                if (
                    isinstance(value, type)
                    and value.__module__.partition(".")[0] in _LIBRARIES
                    and id(value) not in seen
                ):
                    seen.add(id(value))
                    yield f"{name}.{short}", value


def _pack_behind(value: Any) -> str | None:
    """The pack whose code a function, method, partial or class is."""
    while isinstance(value, functools.partial):
        value = value.func
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    if isinstance(value, type):
        return pack_of(getattr(sys.modules.get(value.__module__), "__file__", None) or "")
    code = getattr(getattr(value, "__func__", value), "__code__", None)
    return pack_of(code.co_filename) if code is not None else None
