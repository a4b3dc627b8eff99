"""What a module's code can reach, and which of it counts, on a package of a few lines; and the records that stand for it."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.graph.schema import NodeSpec
from engine.plugins.library import Library
from engine.plugins.packs import ModuleFile
from engine.plugins.records import record_of, versioned
from engine.plugins.store import ModuleRecord
from engine.sources import Sources

FILES = {
    "pack": "",
    "pack.sub": "",
    "pack.sub.leaf": "from ..other import x\nfrom . import near\n",
    "pack.sub.near": "",
    "pack.other": '"""Says what it is."""\ndef late():\n    """Says when."""\n    import pack.deep\nx = 1\n',
    "pack.deep": "",
    "pack.apart": "",
}


def sources(folder: Path, known: Any = None, **changed: str) -> Sources:
    places = {}
    texts = {name.replace("__", "."): text for name, text in changed.items()}
    for module, text in (FILES | texts).items():
        path = folder / (module.replace(".", "/") + ("/__init__.py" if module in ("pack", "pack.sub") else ".py"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, ns=(10**18, 10**18 + (module in texts)))
        places[module] = path
    return Sources(places, known or {})


def test_a_module_reaches_what_it_imports_and_the_packages_around_it(tmp_path: Path) -> None:
    found = sources(tmp_path).reach(["pack.sub.leaf"])
    assert found == ["pack", "pack.deep", "pack.other", "pack.sub", "pack.sub.leaf", "pack.sub.near"]


def test_a_package_that_looks_into_its_folder_reaches_all_that_is_in_it(tmp_path: Path) -> None:
    found = sources(tmp_path, pack__sub="import pkgutil\nfor page in pkgutil.iter_modules(__path__): ...\n")
    assert found.reach(["pack.sub"]) == [
        "pack",
        "pack.deep",
        "pack.other",
        "pack.sub",
        "pack.sub.leaf",
        "pack.sub.near",
    ]


def test_a_text_that_names_something_in_a_module_reaches_it(tmp_path: Path) -> None:
    assert "pack.deep" in sources(tmp_path, pack__apart="x = 'pack.deep:Thing'\n").reach(["pack.apart"])


def test_docstrings_are_none_of_the_code(tmp_path: Path) -> None:
    one = sources(tmp_path)
    before = one.code_digest(["pack.other"]), one.raw_digest(["pack.other"])
    two = sources(tmp_path, pack__other=FILES["pack.other"].replace("Says", "Tells"))
    assert two.code_digest(["pack.other"]) == before[0]
    assert two.raw_digest(["pack.other"]) != before[1]
    three = sources(tmp_path, pack__other=FILES["pack.other"].replace("x = 1", "x = 2"))
    assert three.code_digest(["pack.other"]) != before[0]


def test_a_source_of_the_same_size_is_read_again_when_its_time_has_changed(tmp_path: Path) -> None:
    first = sources(tmp_path)
    before = first.raw_digest(["pack.other"])
    first.source("pack.deep")
    again = sources(tmp_path, first.read, pack__other=FILES["pack.other"].replace("x = 1", "x = 2"))
    assert again.raw_digest(["pack.other"]) != before
    assert again.source("pack.deep") is first.source("pack.deep")


# -- records


def module_file(module: str, *, foreign: bool) -> ModuleFile:
    return ModuleFile(module, Path(f"/nowhere/{module}.py"), module, (), foreign)


def record(module: str, *names: str, **facts: Any) -> ModuleRecord:
    return ModuleRecord(
        module=module,
        pack=module,
        raw="raw",
        specs=tuple(NodeSpec(name=name, module=module) for name in names),
        **facts,
    )


def test_a_record_is_taken_again_whatever_it_says_until_its_sources_change() -> None:
    known = record("a", error="it raised")
    assert record_of(module_file("a", foreign=True), "raw", known, None, None) is known  # type: ignore[arg-type]


def test_the_version_of_a_node_that_sees_the_engine_is_that_of_what_it_sees() -> None:
    specs = versioned(record("a", "X", "Y", uses_context=("Y",)), "plain", "through").specs
    assert [(spec.name, spec.version, spec.pack) for spec in specs] == [("X", "plain", "a"), ("Y", "through", "a")]


def test_a_built_in_node_stays_and_of_two_packs_the_later_one_does() -> None:
    files = [module_file("own", foreign=False), module_file("one", foreign=True), module_file("two", foreign=True)]
    records = [
        record("own", "Core", aliases={"Old": "Core"}),
        record("one", "Core", "Mine", aliases={"Old": "Mine", "Other": "Mine"}),
        record("two", "Mine"),
    ]
    library = Library(files, records)
    assert [library.catalogue.spec(name).module for name in ("Core", "Mine")] == ["own", "two"]
    assert [library.catalogue.spec(name).name for name in ("Old", "Other")] == ["Core", "Mine"]
    assert [(one.pack, one.message.split(":")[0].split(" by")[0]) for one in library.problems] == [
        ("one", "node Core is left out"),
        ("one", "node Mine is replaced"),
        ("two", "node Mine replaces that of one, which is read earlier. Rename one of them."),
    ]


def test_a_node_that_stands_in_for_a_packs_gives_way_to_it_and_nothing_is_said() -> None:
    own = record("own", "Theirs", "Core")
    standing = msgspec.structs.replace(own.specs[0], stand_in=True)
    own = msgspec.structs.replace(own, specs=(standing, own.specs[1]))
    files = [module_file("own", foreign=False), module_file("one", foreign=True), module_file("two", foreign=True)]
    library = Library(files, [own, record("one", "Theirs")])
    assert library.catalogue.spec("Theirs").module == "one"
    assert library.problems == []
    assert Library(files, [own]).catalogue.spec("Theirs").module == "own"
    both = Library(files, [own, record("one", "Theirs"), record("two", "Theirs")])
    assert both.catalogue.spec("Theirs").module == "two"
    assert len(both.problems) == 2, "of two packs both are told"


def test_a_module_belongs_to_a_pack_by_whole_names() -> None:
    library = Library([module_file("pack_a", foreign=True)], [])
    with pytest.raises(ImportError, match="no pack has the module pack_ab"):
        library.import_module("pack_ab")


def test_a_source_is_parsed_again_where_python_loses_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = sources(tmp_path).source("pack.other")
    parse, failures = ast.parse, iter([SystemError("AST constructor recursion depth mismatch (before=69, after=58)")])

    def once_wrong(data: bytes) -> ast.Module:
        if problem := next(failures, None):
            raise problem
        return parse(data)

    monkeypatch.setattr("engine.sources.ast.parse", once_wrong)
    assert sources(tmp_path).source("pack.other") == wanted
    assert next(failures, None) is None
