"""Previews: made only when somebody wants them, and seldom enough."""

from __future__ import annotations

from typing import Any

import pytest

from engine.execute import context, events


@pytest.fixture
def sampler(lab, graph):
    """Run a node of `steps` steps that offers `make` at each; how many previews were told."""

    def run(make, steps=5, **options):
        @lab.node("Steps")
        def steps_node(ctx: Any, a: int) -> int:
            for _ in range(steps):
                ctx.preview(make)
            return a

        lab.run(graph(x=("Steps", {"a": len(lab.events)})), "x", **options)
        return [event.image for event in lab.events if isinstance(event, events.NodePreview)]

    return run


def test_with_no_method_nothing_is_made(sampler):
    made = []
    assert sampler(lambda: made.append(1)) == []
    assert sampler(lambda: made.append(1), preview_method="none") == []
    assert made == []


def test_nothing_is_made_when_nobody_watches(lab, graph):
    made = []

    @lab.node("Blind")
    def blind(ctx: Any, a: int) -> int:
        ctx.preview(lambda: made.append(1))
        return a

    lab.executor.run_sync(graph(x=("Blind", {"a": 1})), ["x"], preview_method="auto")
    assert made == []


def test_the_first_is_made_at_once_and_the_next_ones_wait(sampler):
    made = []
    shown = sampler(lambda: made.append(1) or len(made), steps=1000, preview_method="auto")
    assert shown[0] == 1
    assert len(shown) == len(made) < 100


def test_slow_previews_are_made_so_seldom_that_they_take_little_of_the_time(lab, graph, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(context.time, "perf_counter", lambda: clock[0])

    @lab.node("Slow")
    def slow(ctx: Any, a: int) -> int:
        def make():
            clock[0] += 1.0
            return "a picture"

        for _ in range(100):
            clock[0] += 1.0
            ctx.preview(make)
        return a

    lab.run(graph(x=("Slow", {"a": 1})), "x", preview_method="taesd")
    count = sum(isinstance(event, events.NodePreview) for event in lab.events)
    assert 15 <= count <= 100 * context.PREVIEW_SHARE + 6


def test_a_preview_that_fails_is_told_once_and_the_node_goes_on(sampler, lab):
    def make():
        raise ValueError("no colours")

    assert sampler(make, preview_method="auto") == []
    assert lab.warnings() == ["No previews: ValueError: no colours"]
    assert lab.result.status == "done"


def test_a_finished_picture_is_always_shown(lab, graph):
    @lab.node("Shows")
    def shows(ctx: Any, a: int) -> int:
        for picture in ("one", "two"):
            ctx.preview(picture)
        return a

    lab.run(graph(x=("Shows", {"a": 1})), "x")
    assert [event.image for event in lab.events if isinstance(event, events.NodePreview)] == ["one", "two"]


def test_a_node_sees_the_method(lab, graph):
    seen = []

    @lab.node("Asks")
    def asks(ctx: Any, a: int) -> int:
        seen.append(ctx.preview_method)
        return a

    lab.run(graph(x=("Asks", {"a": 1})), "x", preview_method="latent2rgb")
    assert seen == ["latent2rgb"]
