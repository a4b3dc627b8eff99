"""Names that packs import but that nothing here stands behind: they may be imported and subclassed; using one raises."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from engine.plugins.compat.host import host_or_none
from engine.plugins.compat.running import current_context
from engine.plugins.owners import pack_of_frames


class CompatError(NotImplementedError):
    """A pack used a part of the field's internals that this engine has no counterpart of."""


class CompatAttributeError(CompatError, AttributeError):
    """An object of ours lacks a part that the field's has: packs that ask with `hasattr` or a default get their answer."""


def refuse(name: str, needs: str = "") -> NoReturn:
    """Raise CompatError about the use of `name` by whatever pack is calling. `needs` says what it would take."""
    raise CompatError(_message(name, needs))


def refuse_part(name: str, needs: str = "") -> NoReturn:
    """Raise CompatAttributeError about a part of an object; as `refuse`."""
    raise CompatAttributeError(_message(name, needs))


def _message(name: str, needs: str) -> str:
    reason = needs or "an engine part that has the same internals"
    return (
        f"{calling_pack()} uses {name}, which Safelight does not have. It would need {reason}. "
        "Use a node of Safelight for this step, or ask for it in an issue that names the pack."
    )


_USES: Final = ("__iter__", "__len__", "__getitem__", "__setitem__", "__contains__", "__add__", "__mul__", "__enter__")
"""What is done with a table, a number or a place to work in; each of it is a use."""


class AbsentFunction:
    """A function or value that can be imported, replaced and compared, and raises CompatError when it is used."""

    def __init__(self, name: str, needs: str) -> None:
        self._full, self._needs = name, needs
        self.__module__, _, self.__name__ = name.rpartition(".")
        self.__qualname__ = self.__name__
        self.__doc__ = f"{name}: not there; raises CompatError."

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises CompatError."""
        refuse(self._full, self._needs)

    def __getattr__(self, short: str) -> Any:
        """Raises CompatAttributeError, for a part that only a value would have."""
        if short.startswith("__"):
            raise AttributeError(short)
        refuse_part(f"{self._full}.{short}", self._needs)


def _used(value: Any, *given: Any) -> NoReturn:
    if isinstance(value, AbsentFunction):
        refuse(value._full, value._needs)
    refuse(f"{value.__module__}.{value.__name__}")


def absent_function(name: str, needs: str = "") -> Callable[..., Any]:
    """A function that can be imported, replaced and compared, and raises CompatError when it is called."""
    return AbsentFunction(name, needs)


class AbsentMeta(type):
    """Lets class attributes be asked for too: what is not there is an absent function.

    A class that a pack derives has its own attributes; whether it has others is answered honestly, by name.
    """

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if isinstance(cls.__base__, AbsentMeta):
            base = next(one for one in reversed(cls.__mro__) if isinstance(one, AbsentMeta))
            refuse_part(f"{base.__module__}.{base.__name__}.{name}")
        return absent_function(f"{cls.__module__}.{cls.__name__}.{name}")


for _use in _USES:
    setattr(AbsentFunction, _use, _used)
    setattr(AbsentMeta, _use, _used)


def absent_class(name: str, needs: str = "") -> type:
    """A class that can be subclassed and patched; making an instance of it raises CompatError."""

    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        refuse(name, needs)

    module, _, short = name.rpartition(".")
    body = {"__init__": made, "__module__": module, "__doc__": f"{name}: not there; an instance raises CompatError."}
    return AbsentMeta(short, (), body)


def calling_pack() -> str:
    """The pack whose code is calling, and for which node, as "pack NAME (node 7, KIND)"; "a pack" when it is nobody's."""
    return f"{_pack()}{_node()}"


def _node() -> str:
    ctx = current_context()
    if ctx is None:
        return ""
    kind = (ctx.prompt or {}).get(ctx.node_id, {}).get("class_type", "")
    return f" (node {ctx.node_id}{f', {kind}' if kind else ''})"


def _pack() -> str:
    own = pack_of_frames()
    if own is not None:
        return f"pack {own}"
    host = host_or_none()
    folders = [str(folder) for folder in host.paths.custom_node_folders] if host is not None else []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        for folder in folders:
            if frame.f_code.co_filename.startswith(f"{folder}/"):
                return f"pack {Path(frame.f_code.co_filename).relative_to(folder).parts[0].removesuffix('.py')}"
        frame = frame.f_back
    return "a pack"
