"""Nodes are functions: call them. Run with `pytest` in the folder of the pack, or with `safelight pack test`."""

from __future__ import annotations

import asyncio

import pytest
import torch

from engine.api import ExecutionBlocker
from engine.testing import Cancelled, RecordingContext, given, unwanted

from .. import (
    Today,
    contrast,
    develop,
    dice,
    gate,
    join,
    measure,
    palette,
    recolor,
    repeat,
    show,
    slowly,
    split,
    swatches,
    switch,
)
from ..palette import Palette, read_palette

GREY = torch.full((1, 4, 6, 3), 0.6)


def test_contrast_spreads_values_only_where_the_mask_is() -> None:
    left = torch.zeros(1, 4, 6)
    left[..., :3] = 1
    changed = contrast(GREY, amount=2.0, mask=left)
    assert changed[0, 0, 0, 0] == pytest.approx(0.7)
    assert changed[0, 0, 5, 0] == pytest.approx(0.6)
    assert GREY.min() == GREY.max()


def test_measure_gives_three_outputs_by_name() -> None:
    measured = measure(GREY)
    assert (measured.width, measured.height) == (6, 4)
    assert measured.brightness == pytest.approx(0.6)


def test_a_switch_awaits_only_the_branch_that_it_takes() -> None:
    assert asyncio.run(switch(False, unwanted(), given("taken"))) == "taken"
    assert asyncio.run(switch(True, given("taken"), unwanted())) == "taken"


def test_texts_are_split_and_joined() -> None:
    assert join(split("a, b,c"), ["+"]) == "a+b+c"
    assert show("a").ui == {"text": ["a"]}


def test_a_closed_gate_blocks() -> None:
    assert gate(5) == 5
    assert isinstance(gate(5, open=False), ExecutionBlocker)


def test_a_repetition_is_a_graph_of_as_many_nodes() -> None:
    graph = repeat(RecordingContext(), GREY, times=3)
    assert [one.class_type for one in graph.nodes.values()] == ["ExampleContrast"] * 3


def test_a_palette_is_read_kept_and_shown() -> None:
    made = palette("#ff0000 #0000ff")
    assert Palette.from_plain(made.to_plain()) == made
    assert swatches(made, size=2)[0, 0].tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]]
    with pytest.raises(ValueError, match="There is no colour in 'red'"):
        read_palette("red")


def test_recoloring_takes_the_nearest_colour() -> None:
    assert recolor(GREY, read_palette("#000000 #ffffff")).tolist() == torch.ones_like(GREY).tolist()


def test_slow_work_tells_of_its_progress_and_its_end() -> None:
    ctx = RecordingContext()
    assert asyncio.run(slowly(ctx, "now", seconds=0, steps=2)) == "now"
    assert ctx.steps == [(0, 2), (1, 2), (2, 2)]
    assert ctx.sent == [("example_pack.slept", {"node": "1", "seconds": 0})]


def test_slow_work_ends_when_the_job_is_cancelled() -> None:
    ctx = RecordingContext(cancel_at=1)
    with pytest.raises(Cancelled):
        asyncio.run(slowly(ctx, seconds=0, steps=4))
    assert ctx.sent == []


def test_development_shows_a_picture_at_each_step() -> None:
    ctx = RecordingContext()
    assert develop(ctx, GREY, steps=2) is GREY
    assert [picture.max() for picture in ctx.previews] == [140, 153]
    assert ctx.previews[0].shape == (4, 6, 3)


def test_a_die_has_as_many_sides_as_it_is_said_to_have() -> None:
    assert {dice(2) for _ in range(100)} == {1, 2}


def test_a_pattern_without_a_date_is_refused() -> None:
    assert Today.validate("%Y") is True
    assert "has no %" in str(Today.validate("2026"))
