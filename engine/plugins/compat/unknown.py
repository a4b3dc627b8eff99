"""Modules and names of the field that nobody here knows: packs import them all the same, and they fail by name when used.

One unknown name must not cost a pack its other nodes. Who is ready for a name not to be there (`hasattr`, `getattr`, an
`except ImportError` around the import) gets the honest answer, so that the pack's own way out is taken.
"""

from __future__ import annotations

import dis
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import FrameType, ModuleType
from typing import Any, Final

from engine.plugins import bare_names
from engine.plugins.compat.absent import absent_class, absent_function
from engine.plugins.compat.known import PACKAGES
from engine.plugins.guarded import ATTRIBUTE, IMPORT, is_guarded
from engine.plugins.owners import pack_of

_TOPS: Final = frozenset({"comfy", "comfyui_version", "api_server"})
"""Modules of the field at the top, besides those that begin with `comfy_`."""

_READS: Final = frozenset(dis.opmap[name] for name in ("IMPORT_FROM", "LOAD_ATTR", "LOAD_METHOD") if name in dis.opmap)
"""Instructions that name an attribute in the source, as `hasattr` and `getattr` do not."""

_PROBING: Final = importlib.util.find_spec.__code__.co_filename
"""Where it is only asked whether a module can be found."""

_given: Final[dict[str, Any]] = {}
"""What was answered, by full name: the same object each time."""

_answered: Final[dict[str, dict[str, None]]] = {}
"""Pack → full names, in order."""


def answered(pack: str) -> tuple[str, ...]:
    """The names that this pack was given placeholders for."""
    return tuple(_answered.get(pack, ()))


def forget() -> None:
    """Forget all of them, for tests."""
    _given.clear()
    _answered.clear()


def take_out() -> None:
    """Take the modules that are placeholders out of `sys.modules`, so that the next one who probes gets an honest answer."""
    for name, module in list(sys.modules.items()):
        if isinstance(module, Placeholder):
            del sys.modules[name]
            parent, _, short = name.rpartition(".")
            vars(sys.modules[parent]).pop(short, None) if parent in sys.modules else None


def unknown_name(module: str, short: str) -> Any:
    """What stands for an unknown name of a module of the field, asked for in its `__getattr__`; None: it is not there."""
    asking = sys._getframe(2)
    full = f"{module}.{short}"
    if short.startswith("__"):
        return None
    if _is_machinery(asking):  # `from package import name`, before a module of that name is looked for
        if module in PACKAGES and not short[:1].isupper():
            return None
        frame = _importing_frame(asking)
        errors = IMPORT
    else:
        operation = asking.f_code.co_code[asking.f_lasti]
        frame = asking if operation in _READS else None
        errors = IMPORT if operation == dis.opmap["IMPORT_FROM"] else ATTRIBUTE
    if frame is None or not _may_answer(frame, errors, full):
        return None
    if full not in _given:
        _given[full] = absent_class(full) if short[:1].isupper() else absent_function(full)
    return _given[full]


class Placeholder(ModuleType):
    """A module that nobody here knows: it has every name that is asked for by name, and each fails when it is used."""

    def __getattr__(self, short: str) -> Any:
        """A placeholder. Raises AttributeError for who only probes."""
        found = unknown_name(self.__name__, short)
        if found is None:
            raise AttributeError(f"module {self.__name__!r} is not there, so that it has no attribute {short!r}")
        return found


class UnknownFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds unknown modules of the field for packs that are not ready to do without. The last of all finders."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        """The spec of a placeholder; None when nobody is to have one."""
        top, _, rest = name.partition(".")
        if not (top in _TOPS or top.startswith("comfy_")) or name.rpartition(".")[2][:1].isupper():
            return None
        if rest and top not in sys.modules:
            return None
        frame = _importing_frame(sys._getframe(1))
        if frame is None or not _may_answer(frame, IMPORT, name):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The placeholder of that name."""
        made: ModuleType = _given.setdefault(spec.name, Placeholder(spec.name))
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Nothing runs."""


def _may_answer(frame: FrameType, errors: frozenset[str], name: str) -> bool:
    """Whether the code in `frame` is a pack's that is not ready to do without `name`; noted if so."""
    path = frame.f_code.co_filename
    pack = pack_of(path)
    if pack is None or is_guarded(path, frame.f_lineno, errors):
        return False
    _answered.setdefault(pack, {})[name] = None
    return True


def _is_machinery(frame: FrameType) -> bool:
    path = frame.f_code.co_filename
    if path == _PROBING:
        return False
    return path.startswith("<frozen importlib") or path in (importlib.__file__, bare_names.__file__)


def _importing_frame(frame: FrameType | None) -> FrameType | None:
    """The frame that imports; None for one that only asks whether a module can be found."""
    while frame is not None and (_is_machinery(frame) or frame.f_code.co_filename == __file__):
        frame = frame.f_back
    return frame
