"""From an exception in a node to a problem that says where, what was expected, what came, and what to do."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from engine.cache.memory import Stored
from engine.execute.events import NodeFailed
from engine.execute.links import node_event
from engine.execute.state import NodeState
from engine.execute.summaries import describe
from engine.execute.supply import Inputs

_HERE = Path(__file__).parent

LONGEST: Final = 40_000
"""Characters of an error's message, and of its traceback, that are told."""


def problem_of(state: NodeState, error: BaseException, inputs: Inputs | None) -> NodeFailed:
    """The problem of a node that raised `error`. An error may carry `input_name`, `expected`, `got` and `hint`."""
    missing = _missing_input(state, inputs) if isinstance(error, TypeError) else None
    name = missing or getattr(error, "input_name", None)
    return NodeFailed(
        **node_event(state),
        class_type=state.node.class_type,
        message=f"The required input {missing!r} is missing." if missing else _said(error),
        exception_type=f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins."),
        input=name if isinstance(name, str) else None,
        expected=_text(error, "expected"),
        got=_text(error, "got"),
        hint="Give it a value or link it." if missing else _text(error, "hint") or _hint(error),
        traceback=_cut("".join(traceback.format_exception(type(error), error, _from_node(error.__traceback__)))),
        current_inputs=_summaries(inputs),
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that main or device memory ran out; knows torch's errors without importing torch."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _from_node(frames: TracebackType | None) -> TracebackType | None:
    """The traceback from the node's own code on; all of it where the error is the engine's."""
    inner = frames
    while inner is not None and Path(inner.tb_frame.f_code.co_filename).parent == _HERE:
        inner = inner.tb_next
    return inner or frames


def _said(error: BaseException) -> str:
    try:
        return _cut(str(error)) or type(error).__name__
    except Exception:  # of an exception class of the node's own
        return type(error).__name__


def _cut(text: str) -> str:
    """`text` without its middle where it is longer than anybody reads."""
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}\n… {len(text) - LONGEST} characters …\n{text[-half:]}"


def _missing_input(state: NodeState, inputs: Inputs | None) -> str | None:
    if inputs is None:
        return None
    given = {*inputs.constants, *inputs.linked, *state.facts.lazy}
    for spec in state.facts.spec.inputs:
        if spec.required and spec.default is None and spec.name not in given:
            return spec.name
    return None


def _text(error: BaseException, name: str) -> str:
    found = getattr(error, name, "")
    return found if isinstance(found, str) else ""


def _hint(error: BaseException) -> str:
    if is_out_of_memory(error):
        return "Use a smaller size or batch, a tiled variant of the node, or a model of lower precision."
    return ""


def _summaries(inputs: Inputs | None) -> dict[str, str]:
    if inputs is None:
        return {}
    found: dict[str, Any] = {name: describe(value) for name, value in inputs.constants.items()}
    for name, held in inputs.linked.items():
        found[name] = describe(held.value if isinstance(held, Stored) else [entry.value for entry in held])
    return found
