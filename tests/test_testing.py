"""What tests of packs are given behaves as the engine does."""

from __future__ import annotations

import asyncio

import pytest

from engine.authoring.context import Context
from engine.execute.context import NodeContext
from engine.testing import Cancelled, RecordingContext, given, unwanted


def test_it_has_all_that_a_context_has() -> None:
    ctx: Context = RecordingContext()
    for name in vars(Context):
        if not name.startswith("_"):
            assert hasattr(ctx, name), name
            assert hasattr(NodeContext, name), name


def test_it_remembers_what_a_node_told() -> None:
    ctx = RecordingContext(node_id="7")
    ctx.progress(1, 2)
    ctx.preview(lambda: "picture")
    ctx.send("pack.event", {"a": 1})
    assert ctx.save_images(["a", "b"], "name", folder="temp")[1] == {
        "filename": "name_00001_.png",
        "subfolder": "",
        "type": "temp",
    }
    assert (ctx.node_id, ctx.steps, ctx.previews, ctx.sent) == ("7", [(1, 2)], ["picture"], [("pack.event", {"a": 1})])


def test_a_cancelled_job_ends_the_node_at_its_next_step() -> None:
    ctx = RecordingContext(cancel_at=2)
    ctx.progress(1, 3)
    with pytest.raises(Cancelled):
        ctx.progress(2, 3)
    with pytest.raises(Cancelled):
        ctx.check_cancelled()


def test_lazy_inputs_are_given_or_must_not_be_awaited() -> None:
    async def await_it(lazy: object) -> object:
        return await lazy()  # type: ignore[operator]

    assert asyncio.run(await_it(given(5))) == 5
    with pytest.raises(AssertionError, match="must not be awaited"):
        asyncio.run(await_it(unwanted()))
