"""Values of packs' own types come back from disk, or are made again."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engine.cache.codecs import CodecError, Codecs
from engine.cache.digests import digest
from engine.cache.facade import Cache
from engine.plugins.opening import load_library
from engine.plugins.values import value_codec

PACK = """
from dataclasses import dataclass
from engine.api import Socket, node

@dataclass(frozen=True)
class Pair(Socket):
    left: object
    right: object

    def to_plain(self):
        return [self.left, self.right]

    @classmethod
    def from_plain(cls, plain):
        return cls(*plain)

@node("MakePair")
def make_pair(n: int = 1) -> Pair:
    return Pair(n, {"n": (n, str(n))})
"""


@dataclass(frozen=True)
class Box:
    held: Any

    def to_plain(self) -> Any:
        return {"held": self.held}

    @classmethod
    def from_plain(cls, plain: Any) -> Box:
        return cls(plain["held"])


class Shy(Box):
    def to_plain(self) -> Any:
        raise RuntimeError("not now")


class Forgetful(Box):
    @classmethod
    def from_plain(cls, plain: Any) -> Box:
        raise RuntimeError("what was it?")


def nothing(module: str) -> None:
    raise ImportError(f"nobody imports {module}")


def codecs(import_module: Any = nothing) -> Codecs:
    return Codecs([value_codec(import_module)])


def test_a_value_comes_back_with_the_values_in_it() -> None:
    value = Box([Box(1), {"tuple": (1.5, None, b"bytes")}])
    assert codecs().decode(b"".join(codecs().encode(value))) == value


def test_what_cannot_say_how_it_is_kept_is_not_kept() -> None:
    for value in (Shy(1), Box(object())):
        with pytest.raises(CodecError):
            codecs().encode(value)


def test_what_cannot_be_read_again_is_no_value_of_the_cache() -> None:
    payload = b"".join(codecs().encode(Forgetful(1)))
    with pytest.raises(CodecError, match=r"Forgetful: RuntimeError: what was it\?"):
        codecs().decode(payload)


def test_a_class_that_is_gone_or_another_makes_its_values_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("pack_that_changes")
    monkeypatch.setitem(sys.modules, "pack_that_changes", module)
    kept = type("Kept", (Box,), {"__module__": "pack_that_changes", "__qualname__": "Kept"})
    payload = b"".join(codecs().encode(kept(1)))
    with pytest.raises(CodecError, match="has no attribute 'Kept'"):
        codecs().decode(payload)
    module.Kept = int  # type: ignore[attr-defined]
    with pytest.raises(CodecError, match="no longer has to_plain and from_plain"):
        codecs().decode(payload)


def test_a_class_inside_a_function_cannot_be_found_again_and_is_not_kept() -> None:
    class Inner(Box):
        pass

    with pytest.raises(CodecError):
        codecs().encode(Inner(1))


def test_a_pack_is_imported_when_one_of_its_values_is_read_first(tmp_path: Path) -> None:
    """As after a restart, when a run that reuses everything shows a value."""
    folder = tmp_path / "custom_nodes"
    folder.mkdir()
    (folder / "pairs_of_values.py").write_text(PACK)
    library = load_library((), [folder])
    value = library.definition("MakePair").run(n=3)
    name = digest(value)
    assert name is not None
    writer = Cache(tmp_path / "cache", codecs=[value_codec(nothing)])
    writer.put(name, value, cost=1.0)
    writer.close()
    del sys.modules["custom_nodes.pairs_of_values"]
    reader = Cache(tmp_path / "cache", codecs=[value_codec(load_library((), [folder]).import_module)])
    found = reader.get(name)
    reader.close()
    assert found is not None
    assert found.value.to_plain() == [3, {"n": (3, "3")}]


def test_a_module_of_no_pack_is_not_imported(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="no pack has the module"):
        load_library((), [tmp_path]).import_module("antigravity")
    assert "antigravity" not in sys.modules
