"""Nodes that write into their inputs: named, and nobody is handed what they left."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch


@pytest.fixture
def spoiling(lab):
    install(lab)
    return lab


def install(lab: Any) -> None:
    @lab.node("Picture", trusted=True)
    def picture(value: float) -> object:
        return torch.full((4,), value)

    @lab.node("Spoil", trusted=True)
    def spoil(image: object, how: str = "all") -> float:
        image[:2].mul_(0) if how == "view" else image.add_(1)
        return float(image.sum())

    @lab.node("Read", trusted=True)
    def read(image: object, scale: int = 1) -> float:
        return float(image.sum()) * scale

    @lab.node("PassOn", trusted=True)
    def pass_on(image: object) -> object:
        image.mul_(10)
        return image


@pytest.mark.parametrize("how", ["all", "view"])
def test_the_node_that_wrote_is_named_and_others_get_the_value_made_anew(spoiling, graph, how):
    prompt = graph(p=("Picture", {"value": 1.0}), s=("Spoil", {"image": "@p", "how": how}))
    spoiling.run(prompt, "s")
    (warning,) = spoiling.warnings()
    assert warning.startswith("Node s (Spoil) wrote into the value of its input 'image' (Tensor (4,) float32).")
    prompt |= graph(r=("Read", {"image": "@p"}))
    assert spoiling.run(prompt, "r") == "reused p\nremade p\nran r"
    assert spoiling.value("r") == 4.0


def test_readers_before_and_after_it_in_one_run_see_the_sound_value(spoiling, graph):
    prompt = graph(p=("Picture", {"value": 1.0}), s=("Spoil", {"image": "@p"}))
    for index in range(1, 6):
        prompt |= graph(**{f"r{index}": ("Read", {"image": "@p", "scale": index})})
    outputs = ["r1", "r2", "s", "r3", "r4", "r5"]
    spoiling.run(prompt, *outputs)
    assert [spoiling.value(name) for name in outputs] == [4.0, 8.0, 8.0, 12.0, 16.0, 20.0]


def test_a_value_passed_on_after_writing_is_another_value(spoiling, graph):
    prompt = graph(
        p=("Picture", {"value": 1.0}),
        t=("PassOn", {"image": "@p"}),
        r=("Read", {"image": "@t"}),
        q=("Read", {"image": "@p"}),
    )
    spoiling.run(prompt, "r", "q")
    assert (spoiling.value("r"), spoiling.value("q")) == (40.0, 4.0)


def test_what_was_written_to_disk_before_is_sound_and_is_used(make_lab, graph, tmp_path):
    lab = make_lab(tmp_path)
    install(lab)
    prompt = graph(p=("Picture", {"value": 1.0}), r=("Read", {"image": "@p"}))
    lab.run(prompt, "r")
    prompt |= graph(s=("Spoil", {"image": "@p"}), t=("Read", {"image": "@p", "scale": 3}))
    lab.run(prompt, "s")
    log = lab.run(prompt, "t")
    assert "remade" not in log
    assert lab.value("t") == 12.0


@pytest.mark.parametrize("make", [lambda: np.ones(4), lambda: {"samples": [1.0, 1.0, 1.0, 1.0]}], ids=["array", "dict"])
def test_arrays_and_dicts_are_watched_too(lab, graph, make):
    @lab.node("Make", trusted=True)
    def made() -> object:
        return make()

    @lab.node("Write", trusted=True)
    def write(x: object) -> int:
        if isinstance(x, dict):
            x["noise_mask"] = 1
        else:
            x[0] = 9
        return 1

    @lab.node("Show2", trusted=True)
    def show(x: object, y: int) -> str:
        return str(x)

    prompt = graph(m=("Make", {}), w=("Write", {"x": "@m"}), s=("Show2", {"x": "@m", "y": "@w"}))
    lab.run(prompt, "s")
    assert lab.value("s") == str(make())
    assert len(lab.warnings()) == 1


def test_while_several_nodes_have_a_value_all_run_again_on_copies_and_the_writer_is_found(lab, graph):
    both_started, written = threading.Barrier(2), threading.Event()
    first = {"Write": True, "Read": True}

    @lab.node("Make", trusted=True)
    def make() -> object:
        return torch.ones(4)

    @lab.node("Write", trusted=True)
    def write(x: object) -> float:
        if first["Write"]:
            first["Write"] = False
            both_started.wait(timeout=20)
        x.add_(1)
        written.set()
        return float(x.sum())

    @lab.node("Read", trusted=True)
    def read(x: object) -> float:
        if first["Read"]:
            first["Read"] = False
            both_started.wait(timeout=20)
            assert written.wait(timeout=20)
        return float(x.sum())

    prompt = graph(m=("Make", {}), w=("Write", {"x": "@m"}), r=("Read", {"x": "@m"}))
    lab.run(prompt, "w", "r")
    assert (lab.value("w"), lab.value("r")) == (8.0, 4.0)
    assert [message.split(" wrote")[0] for message in lab.warnings()] == ["Node w (Write)"]


def test_a_node_given_the_same_value_twice_may_be_named_at_once(lab, graph):
    @lab.node("Make", trusted=True)
    def make() -> object:
        return torch.ones(2)

    @lab.node("Blend", trusted=True)
    def blend(a: object, b: object) -> float:
        a.add_(b)
        return float(a.sum())

    lab.run(graph(m=("Make", {}), b=("Blend", {"a": "@m", "b": "@m"})), "b")
    assert lab.value("b") == 4.0
    assert lab.result.counts.ran == 2
    assert "Node b (Blend)" in lab.warnings()[0]
