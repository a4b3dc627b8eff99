"""Choosing what runs, truth values, and looking at any value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from engine.api import AnyValue, ExecutionBlocker, In, Lazy, Out, WithUi, node

MAX_PREVIEW = 20_000
"""Characters of a value that PreviewAny shows."""

_OF_TEXT = frozenset("USTO")
"""Kinds of NumPy arrays that hold texts or objects: they have items to show, and no range."""

Branch = Annotated[Lazy[AnyValue] | None, In(tip="Computed only if it is the one that is used.")]


@node("Switch", category="utils/logic")
async def switch(
    switch: Annotated[bool, In(tip="True takes on_true, false takes on_false.")] = False,
    on_false: Branch = None,
    on_true: Branch = None,
) -> Annotated[AnyValue, Out(name="output")]:
    """Give one of two values; what the other one depends on does not run.

    Raises ValueError when nothing is linked to the chosen side.
    """
    chosen = on_true if switch else on_false
    if chosen is None:
        side = "on_true" if switch else "on_false"
        raise ValueError(f"Switch: `switch` is {switch} but nothing is linked to {side}; link a value to it.")
    return await chosen()


@node("IndexSwitch", category="utils/logic", display_name="Index Switch")
async def index_switch(
    index: Annotated[int, In(ge=0, le=7, tip="Which value to use, from 0.")] = 0,
    value0: Branch = None,
    value1: Branch = None,
    value2: Branch = None,
    value3: Branch = None,
    value4: Branch = None,
    value5: Branch = None,
    value6: Branch = None,
    value7: Branch = None,
) -> Annotated[AnyValue, Out(name="output")]:
    """Give one of several values; what the others depend on does not run.

    Raises ValueError when nothing is linked to the chosen input.
    """
    chosen = (value0, value1, value2, value3, value4, value5, value6, value7)[index]
    if chosen is None:
        raise ValueError(f"IndexSwitch: index is {index} but nothing is linked to value{index}; link a value to it.")
    return await chosen()


@node("Gate", category="utils/logic")
def gate(
    value: AnyValue, open: Annotated[bool, In(tip="False stops everything below, without an error.")] = True
) -> Annotated[AnyValue, Out(name="output")]:
    """Let a value through, or skip the nodes that would receive it."""
    return value if open else ExecutionBlocker(None)


@node("BooleanOperation", category="utils/logic", display_name="Boolean Operation")
def boolean_operation(
    a: bool = False,
    b: bool = False,
    operation: Annotated[Literal["and", "or", "xor", "nand", "nor", "not a"], In(tip="not a ignores b.")] = "and",
) -> bool:
    """Combine two truth values."""
    return {
        "and": a and b,
        "or": a or b,
        "xor": a != b,
        "nand": not (a and b),
        "nor": not (a or b),
        "not a": not a,
    }[operation]


@node("PreviewAny", category="utils", display_name="Preview Any", output=True)
def preview_any(source: AnyValue) -> WithUi[str]:
    """Show any value as text on the node: texts and numbers as they are, tensors by shape, type and range."""
    text = as_text(source)
    return WithUi(text, ui={"text": [text]})


def as_text(value: Any) -> str:
    """`value` for people to read, cut off at MAX_PREVIEW characters."""
    described = _described(value)
    text = described if isinstance(described, str) else json.dumps(described, indent=2, ensure_ascii=False)
    if len(text) > MAX_PREVIEW:
        return f"{text[:MAX_PREVIEW]}\n… {len(text) - MAX_PREVIEW} more characters"
    return text


def _described(value: Any) -> Any:
    """`value` as JSON, with tensors and objects replaced by descriptions."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _described(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_described(item) for item in value]
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        if getattr(value.dtype, "kind", "") in _OF_TEXT:
            return _described(value.tolist())
        return _describe_tensor(value)
    return str(value)


def _describe_tensor(tensor: Any) -> str:
    name = f"{str(tensor.dtype).removeprefix('torch.')} tensor {tuple(tensor.shape)}"
    if 0 in tensor.shape:
        return name
    return f"{name}, {tensor.min().item():.4g} … {tensor.max().item():.4g}"
