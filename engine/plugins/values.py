"""Values of packs' own types on disk: a class with `to_plain` and `from_plain` says itself how it is kept.

`to_plain()` gives scalars, text, bytes, lists, tuples, dicts, tensors, arrays or other such values; the class method
`from_plain(plain)` makes an equal value of that again. Values of other types are made anew after a restart.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from engine.cache.codecs import Codec, CodecError

TAG: Final = "pack-value"

ImportModule = Callable[[str], None]
"""Imports the module of a pack. Raises ImportError."""


def value_codec(import_module: ImportModule) -> Codec:
    """The codec of all such types; `import_module` is called when a value is read before its pack was imported."""

    def from_plain(stored: Any) -> Any:
        module, name, plain = stored
        try:
            return _class(module, name, import_module).from_plain(plain)
        except Exception as error:  # the pack's own code, which may be another than the one that wrote
            raise CodecError(f"{module}.{name}: {type(error).__name__}: {error}") from error

    return Codec(TAG, is_storable, _to_plain, from_plain)


def is_storable(value: Any) -> bool:
    """Whether the class of `value` says how its values are kept."""
    return stores_itself(type(value))


def stores_itself(cls: type) -> bool:
    """Whether a class says how its values are kept, and can be found again by its name."""
    return hasattr(cls, "to_plain") and hasattr(cls, "from_plain") and "<" not in cls.__qualname__


def _to_plain(value: Any) -> tuple[str, str, Any]:
    cls = type(value)
    try:
        return cls.__module__, cls.__qualname__, value.to_plain()
    except Exception as error:  # the pack's own code
        raise CodecError(f"{cls.__module__}.{cls.__qualname__}.to_plain: {type(error).__name__}: {error}") from error


def _class(module: str, name: str, import_module: ImportModule) -> Any:
    if module not in sys.modules:
        import_module(module)
    found: Any = sys.modules[module]
    for part in name.split("."):
        found = getattr(found, part)
    if not isinstance(found, type) or not stores_itself(found):
        raise TypeError("its class no longer has to_plain and from_plain")
    return found
