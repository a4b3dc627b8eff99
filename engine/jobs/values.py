"""What is told of a value that travelled on a link."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Histogram(msgspec.Struct, gc=False):
    """Counts of numbers in bins of equal width from `low` to `high`."""

    low: float
    high: float
    counts: list[int]


class Part(msgspec.Struct, gc=False):
    """One entry of a dict, a list or a handle, in a few words."""

    name: str
    summary: str


class ValueDescription(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A value in words and numbers. Of a value with several tensors, the numbers are those of its main one."""

    summary: str
    """One line, such as `Tensor (1, 64, 64, 3) float32`."""
    kind: Literal[
        "image", "mask", "latent", "conditioning", "audio", "tensor", "text", "number", "boolean", "model", "other"
    ]
    type: str = ""
    """The socket's type, where the node type declares one."""
    is_list: bool = False
    """The output is a list of values."""
    length: int = 1
    """How many values that list has."""
    item: int = 0
    """Which of them this is."""
    shape: list[int] | None = None
    dtype: str = ""
    device: str = ""
    bytes: int = 0
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    not_finite: int = 0
    """How many numbers are infinite or none."""
    histogram: Histogram | None = None
    numbers: list[float] | None = None
    """All of them, when they are few."""
    text: str | None = None
    cut: bool = False
    """The text is longer than what is told here."""
    value: Any = None
    """The number or truth value itself."""
    parts: list[Part] = []
    picture: bool = False
    """There is a picture of it: `?as=thumbnail`."""
