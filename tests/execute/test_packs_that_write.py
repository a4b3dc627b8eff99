"""A pack that writes into everything, by every way into memory, at once and later: nobody else is handed what it left."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from engine.api import Lazy
from engine.authoring.decorator import definition_of
from engine.cache.digests import digest
from engine.plugins.adapters.v1 import class_nodes
from engine.plugins.library import Library
from engine.plugins.loader import load_module
from engine.plugins.packs import ModuleFile
from engine.plugins.store import ModuleRecord
from engine.sampling import names
from nodes import mask
from tests.execute import scribbler
from tests.execute.conftest import Lab, graph

WHEN = ("now", "thread", "later")


@pytest.fixture
def make_scribbled(make_lab: Callable[..., Lab]) -> Iterator[Callable[..., Lab]]:
    """Makes laboratories with the pack that writes, and built-in nodes beside it."""

    def make(*args: Any, **options: Any) -> Lab:
        lab = make_lab(*args, **options)
        problems: list[str] = []
        for found in class_nodes(scribbler, problems):
            lab.add(found)
        assert not problems
        for function in (mask.solid_mask, mask.invert_mask):
            definition = definition_of(function)
            assert definition is not None
            definition.trusted = True
            lab.add(definition)
        add_readers(lab)
        return lab

    yield make
    scribbler.GO.set()
    for thread in scribbler.THREADS:
        thread.join()
    scribbler.GO.clear()
    scribbler.HELD.clear()
    scribbler.THREADS.clear()


@pytest.fixture
def scribbled(make_scribbled: Callable[..., Lab]) -> Lab:
    """One with a cache in RAM."""
    return make_scribbled()


def add_readers(lab: Lab) -> None:
    @lab.node("Values", trusted=True)
    def values(value: object, salt: int = 0) -> str:
        return text_of(value)

    @lab.node("PackValues")
    def pack_values(value: object, salt: int = 0) -> str:
        return text_of(value)


def text_of(value: Any) -> str:
    """Everything in a value as text, numbers and all."""
    if isinstance(value, torch.Tensor):
        return f"{tuple(value.shape)} {sorted(set(value.flatten().tolist()))}"
    if isinstance(value, dict):
        return str({key: text_of(item) for key, item in sorted(value.items())})
    if isinstance(value, list):
        return str([text_of(item) for item in value])
    return str(value.tolist() if isinstance(value, np.ndarray) else value)


def write_late() -> None:
    """Let the threads of nodes that ended long ago write."""
    scribbler.GO.set()
    for thread in scribbler.THREADS:
        thread.join()


def assert_sound_on_disk(lab: Lab) -> None:
    """Every value that the run named is in the folder as what its digest says."""
    lab.cache.flush()
    for outputs in lab.result.digests.values():
        for name in outputs:
            entry = lab.cache.get(name)
            assert entry is not None
            assert digest(entry.value) == name


def read(source: str, salt: int) -> dict[str, Any]:
    """Readers of a node's value, a built-in one and one of a pack, that no run has had before."""
    return graph(
        t=("Values", {"value": f"@{source}", "salt": salt}), u=("PackValues", {"value": f"@{source}", "salt": salt})
    )


def assert_read(lab: Lab, prompt: dict[str, Any], source: str, salt: int, expected: str) -> str:
    log = lab.run(prompt | read(source, salt), "t", "u")
    assert (lab.value("t"), lab.value("u")) == (expected, expected)
    return log


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("way", scribbler.WAYS)
def test_an_input_written_into_is_what_it_was_for_all_others(make_scribbled, tmp_path, way, when):
    lab = make_scribbled(tmp_path)
    expected = "(1, 4, 4) [0.5]"
    prompt = graph(
        m=("SolidMask", {"value": 0.5, "width": 4, "height": 4}),
        s=("Scribble", {"value": "@m", "way": way, "when": when}),
        a=("ScribbleAll", {"after": "@s"}),
    )
    lab.run(prompt | read("m", 0), "t", "s", "a", "u")
    assert (lab.value("t"), lab.value("u")) == (expected, expected)
    write_late()
    log = assert_read(lab, prompt, "m", 1, expected)
    assert "remade" not in log
    lab.reopen()
    log = assert_read(lab, prompt, "m", 2, expected)
    assert "ran m" not in log
    assert "remade" not in log
    assert_sound_on_disk(lab)


@pytest.mark.parametrize("when", ["thread", "later"])
@pytest.mark.parametrize("way", scribbler.WAYS)
def test_a_result_that_its_pack_keeps_and_writes_into_later_stays_what_it_was(make_scribbled, tmp_path, way, when):
    lab = make_scribbled(tmp_path)
    prompt = graph(k=("Kept", {"kind": "tensor", "way": way, "when": when}), p=("PassOn", {"value": "@k", "way": way}))
    expected = "(4, 4) [1.0]"
    assert_read(lab, prompt, "p", 0, expected)
    lab.run(graph(a=("ScribbleAll", {"after": "x"})), "a")
    write_late()
    for salt, reopened in enumerate((False, True), 1):
        if reopened:
            lab.reopen()
        for source in ("k", "p"):
            log = assert_read(lab, prompt, source, salt, expected)
            assert "remade" not in log
    assert_sound_on_disk(lab)


@pytest.mark.parametrize("kind", ["latent", "conditioning", "array"])
@pytest.mark.parametrize("when", WHEN)
def test_dicts_lists_and_arrays_within_values_are_kept_apart_too(make_scribbled, tmp_path, kind, when):
    lab = make_scribbled(tmp_path)
    expected = text_of(scribbler.made(kind))
    prompt = graph(
        k=("Kept", {"kind": kind, "way": "numpy", "when": when}),
        s=("Scribble", {"value": "@k", "way": "numpy", "when": when}),
        a=("ScribbleAll", {"after": "@s"}),
    )
    assert_read(lab, prompt, "k", 0, expected)
    lab.run(prompt, "a")
    write_late()
    assert_read(lab, prompt, "k", 1, expected)
    lab.reopen()
    assert_read(lab, prompt, "k", 2, expected)
    assert_sound_on_disk(lab)


def test_what_a_node_shows_and_the_nodes_it_gives_are_kept_as_they_were(make_scribbled, tmp_path):
    lab = make_scribbled(tmp_path)
    prompt = graph(x=("Texts", {"seed": 1}))
    for _ in range(2):
        lab.run(prompt, "x")
        assert lab.value("x") == 1 + 2 + 3 + 8
        assert lab.result.ui["x"] == {"texts": ["shown"]}
        lab.run(graph(a=("ScribbleAll", {"after": "x"})), "a")
    lab.reopen()
    assert lab.run(prompt, "x") == "reused x, x.sum\nexpanded x into x.sum"
    assert lab.result.ui["x"] == {"texts": ["shown"]}
    lab.run(prompt | graph(y=("Texts", {"seed": 2})), "y")
    assert lab.value("y") == 2 + 2 + 3 + 8


def test_each_item_of_a_list_is_given_the_value_as_it_was(lab):
    @lab.node("Items", trusted=True)
    def items() -> object:
        return torch.ones(2)

    @lab.node("Numbers", trusted=True)
    def numbers() -> list[int]:
        return [1, 2, 3]

    @lab.node("AddTo")
    def add_to(value: object, number: int) -> float:
        value.numpy().__iadd__(number)
        return float(value.sum())

    lab.run(graph(i=("Items", {}), n=("Numbers", {}), a=("AddTo", {"value": "@i", "number": "@n"})), "a")
    assert lab.value("a") == [4.0, 6.0, 8.0]


def test_constants_of_the_graph_are_no_way_in_either(scribbled):
    points = [1.0, 2.0]
    prompt = graph(
        s=("Scribble", {"value": points, "way": "numpy", "when": "now"}),
        t=("Values", {"value": points}),
        a=("ScribbleAll", {"after": "@s"}),
    )
    scribbled.run(prompt, "s", "a", "t")
    assert scribbled.value("t") == "['1.0', '2.0']"
    assert points == [1.0, 2.0]


def test_a_caller_may_write_into_the_values_it_asked_for(scribbled):
    prompt = graph(m=("SolidMask", {"value": 0.5, "width": 4, "height": 4}))
    scribbled.run(prompt, "m")
    scribbled.value("m").numpy().fill(7)
    scribbled.run(prompt, "m")
    assert text_of(scribbled.value("m")) == "(1, 4, 4) [0.5]"


def test_code_of_a_pack_that_a_built_in_node_runs_is_kept_apart_as_well(make_scribbled, tmp_path):
    lab = make_scribbled(tmp_path)
    kept = []

    @lab.node("Function")
    def function() -> object:
        def scribble(value: torch.Tensor) -> torch.Tensor:
            value.numpy().fill(7)
            kept.append(torch.ones(2))
            return kept[-1]

        return scribble

    @lab.node("Apply", trusted=True)
    def apply(function: object, value: object) -> object:
        return function(value)

    prompt = graph(
        m=("SolidMask", {"value": 0.5, "width": 4, "height": 4}),
        f=("Function", {}),
        a=("Apply", {"function": "@f", "value": "@m"}),
    )
    lab.run(prompt, "a")
    kept[0].numpy().fill(7)
    assert_read(lab, prompt, "m", 0, "(1, 4, 4) [0.5]")
    assert_read(lab, prompt, "a", 0, "(2,) [1.0]")


def test_a_sampler_that_a_pack_brought_by_name_is_kept_apart(scribbled, monkeypatch):
    monkeypatch.setitem(names.BROUGHT_SAMPLERS, "scribbling", lambda value: value.numpy().fill(7))

    @scribbled.node("Sampling", trusted=True)
    def sampling(value: object, sampler_name: str) -> str:
        names.BROUGHT_SAMPLERS[sampler_name](value)
        return "sampled"

    prompt = graph(
        m=("SolidMask", {"value": 0.5, "width": 4, "height": 4}),
        s=("Sampling", {"value": "@m", "sampler_name": "scribbling"}),
    )
    scribbled.run(prompt, "s")
    assert_read(scribbled, prompt, "m", 0, "(1, 4, 4) [0.5]")


def test_lazy_inputs_come_as_copies_too(scribbled):
    @scribbled.node("LazyScribble")
    async def lazy_scribble(value: Lazy[object]) -> float:
        found = await value()
        found.numpy().fill(7)
        return float(found.sum())

    prompt = graph(m=("SolidMask", {"value": 0.5, "width": 4, "height": 4}), s=("LazyScribble", {"value": "@m"}))
    scribbled.run(prompt, "s")
    assert_read(scribbled, prompt, "m", 0, "(1, 4, 4) [0.5]")


def test_one_value_at_two_inputs_is_one_object_as_in_the_field(lab):
    @lab.node("Make", trusted=True)
    def make() -> object:
        return torch.ones(2)

    @lab.node("Same")
    def same(a: object, b: object) -> bool:
        return a is b

    lab.run(graph(m=("Make", {}), s=("Same", {"a": "@m", "b": "@m"})), "s")
    assert lab.value("s") is True


@pytest.mark.parametrize(("way", "named"), [("in place", True), ("numpy", False)])
def test_the_node_is_named_where_it_can_be_seen_that_it_wrote(scribbled, way, named):
    prompt = graph(
        m=("SolidMask", {"value": 0.5, "width": 4, "height": 4}),
        s=("Scribble", {"value": "@m", "way": way, "when": "now"}),
    )
    scribbled.run(prompt, "s")
    start = "Node s (Scribble) wrote into the value of its input 'value' (Tensor (1, 4, 4) float32). It had a copy"
    assert [message.startswith(start) for message in scribbled.warnings()] == [True] * named


def test_what_the_library_reads_from_packs_is_handed_copies_and_built_in_nodes_are_not(tmp_path):
    code = "from engine.api import node\n\n@node('{0}')\ndef run(a: int) -> int:\n    return a\n"
    files, records = [], []
    for name, foreign in (("Own", False), ("Others", True)):
        path = tmp_path / f"{name}.py"
        path.write_text(code.format(name))
        module = f"custom_nodes.{name}"
        files.append(ModuleFile(module, path, name, ((module, path),), foreign))
        found = tuple(one.spec for one in load_module(files[-1]).definitions.values())
        records.append(ModuleRecord(module=module, pack=name, raw="", specs=found))
    library = Library(files, records)
    assert library.definition("Own").trusted
    assert not library.definition("Others").trusted


KEEPING = {
    "view": lambda value: value[:1],
    "storage": lambda value: value.untyped_storage(),
    "array": lambda value: value.numpy(),
    "capsule": torch.from_dlpack,
    "weak": weakref.ref,
    "nothing": lambda value: None,
}


@pytest.mark.parametrize("what", KEEPING)
def test_a_result_of_which_only_a_part_is_kept_is_what_it_was(lab: Lab, what):
    """Results that nobody holds are not copied: whatever leads to their memory counts as holding them."""
    held: list[Any] = []

    @lab.node("Part")
    def part() -> object:
        made = torch.full((4, 4), 0.5)
        held.append(KEEPING[what](made))
        return {"samples": made}

    @lab.node("Writer")
    def writer(value: object) -> str:
        kept = held[0]() if isinstance(held[0], weakref.ref) else held[0]
        if isinstance(kept, torch.UntypedStorage):
            kept.fill_(0)
        elif kept is not None:
            kept[...] = 7
        return "done"

    add_readers(lab)
    prompt = graph(p=("Part", {}), w=("Writer", {"value": "@p"}))
    lab.run(prompt, "w")
    assert_read(lab, prompt, "p", 1, "{'samples': '(4, 4) [0.5]'}")
