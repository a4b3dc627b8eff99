"""Names that packs import but that nothing here stands behind: they may be imported and subclassed; using one raises."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from engine.plugins.compat.host import host_or_none


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


def absent_function(name: str, needs: str = "") -> Callable[..., Any]:
    """A function that can be imported, replaced and compared, and raises CompatError when it is called."""

    def absent(*args: Any, **kwargs: Any) -> NoReturn:
        refuse(name, needs)

    absent.__name__ = absent.__qualname__ = name.rpartition(".")[2]
    absent.__module__ = name.rpartition(".")[0]
    absent.__doc__ = f"{name}: not there; raises CompatError."
    return absent


class AbsentMeta(type):
    """Lets class attributes be asked for too: what is not there is an absent function."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return absent_function(f"{cls.__module__}.{cls.__name__}.{name}")


def absent_class(name: str, needs: str = "") -> type:
    """A class that can be subclassed and patched; making an instance of it raises CompatError."""

    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        refuse(name, needs)

    module, _, short = name.rpartition(".")
    body = {"__init__": made, "__module__": module, "__doc__": f"{name}: not there; an instance raises CompatError."}
    return AbsentMeta(short, (), body)


def calling_pack() -> str:
    """The pack whose code is calling, as "pack NAME"; "a pack" when no frame lies in a folder of packs."""
    host = host_or_none()
    folders = [str(folder) for folder in host.paths.custom_node_folders] if host is not None else []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        for folder in folders:
            if frame.f_code.co_filename.startswith(f"{folder}/"):
                return f"pack {Path(frame.f_code.co_filename).relative_to(folder).parts[0].removesuffix('.py')}"
        frame = frame.f_back
    return "a pack"
