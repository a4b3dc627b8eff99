"""What nodes show, as messages."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.execute.events import NodeFinished, RunStarted, Warned
from engine.jobs import frames
from engine.jobs.frames import Unframer
from engine.jobs.messages import FromWorker
from engine.worker.plain import MAX_DEPTH, encoded_json, events_frame, plain


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None, exclude_categories=()))
    | st.binary()
    | st.builds(object)
    | st.builds(Broken),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.integers() | st.text() | st.none(), inner),
    max_leaves=10,
)


@given(values)
def test_anything_becomes_json(value: Any) -> None:
    json.loads(encoded_json({"1": value}))


@given(values)
def test_anything_that_a_node_shows_can_be_sent(value: Any) -> None:
    event = NodeFinished(node="1", display_node="1", class_type="A", seconds=0.1, ui={"text": value})
    got = told("job", [RunStarted(1), event, RunStarted(2)])
    assert [type(one).__name__ for one in got] == ["RunStarted", "NodeFinished", "RunStarted"]


def test_json_stays_what_it_is_and_numpy_scalars_are_numbers() -> None:
    assert encoded_json({"a": [1, 2.5, "é", None, True]}) == '{"a":[1,2.5,"é",null,true]}'.encode()
    assert encoded_json([np.float32(0.5), np.int64(7), np.bool_(True)]) == b"[0.5,7,true]"


def test_what_contains_itself_ends_somewhere() -> None:
    ring: list[Any] = []
    ring.append(ring)
    found, depth = msgspec.json.decode(encoded_json(ring)), 0
    while isinstance(found, list):
        [found], depth = found, depth + 1
    assert depth == MAX_DEPTH
    assert isinstance(found, str)


def test_an_event_too_long_to_be_sent_is_replaced_by_a_warning_and_the_others_arrive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME", 1000)
    long = NodeFinished(node="7", display_node="7", class_type="A", seconds=0.1, ui={"text": ["x" * 5000]})
    first, warned, last = told("job", [RunStarted(1), long, RunStarted(2)])
    assert (first, last) == (RunStarted(1), RunStarted(2))
    assert isinstance(warned, Warned)
    assert warned.node == "7"
    assert "NodeFinished could not be told" in warned.message


def told(job: str, events: list[Any]) -> list[Any]:
    """The events as the server gets them."""
    got: list[Any] = []
    unframer = Unframer(FromWorker)
    for data in events_frame(job, events):
        unframer.feed(data, got.append)
    assert {message.job for message in got} == {job}
    return [event for message in got for event in message.events]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (2**64 - 1, 2**64 - 1),
        (2**64, str(2**64)),
        (-(2**63), -(2**63)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        ("half \ud800", "half ?"),
        ({1: {2: (3, {4})}}, {"1": {"2": [3, [4]]}}),
        ({"\ud800": None}, {"?": None}),
        (True, True),
    ],
)
def test_values_are_made_plain(value: Any, told: Any) -> None:
    assert plain(value) == told
    assert type(plain(value)) is type(told)


def test_lists_in_each_other_end_at_some_depth() -> None:
    deep: Any = []
    for _ in range(MAX_DEPTH + 5):
        deep = [deep]
    found, depth = plain(deep), 0
    while isinstance(found, list):
        found, depth = found[0], depth + 1
    assert (depth, found) == (MAX_DEPTH, "[" * 6 + "]" * 6)
