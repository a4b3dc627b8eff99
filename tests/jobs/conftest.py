"""Jobs and their ends, made by the dozen."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from engine.jobs.records import Job, Outcome


@pytest.fixture
def new_job() -> Callable[..., Job]:
    """Make a job of a given sequence; anything else can be named too."""

    def make(sequence: int, **fields: Any) -> Job:
        given = {
            "id": str(uuid.uuid4()),
            "number": float(sequence),
            "prompt": b'{"1": {}}',
            "checked": b'{"1": {"class_type": "X"}}',
            "outputs": ("1",),
            "created": 1000.0 + sequence,
        }
        return Job(**{**given, **fields, "sequence": sequence})

    return make


@pytest.fixture
def new_outcome() -> Callable[..., Outcome]:
    """Make the end of a job, at a given time."""

    def make(ended: float, **fields: Any) -> Outcome:
        given = {"status": "done", "outputs": b'{"1": {"text": ["hello"]}}'}
        return Outcome(**{**given, **fields, "ended": ended})

    return make
