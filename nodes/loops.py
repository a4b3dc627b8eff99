"""Loops: the nodes between StartLoop and EndLoop run again and again.

An EndLoop finds its StartLoop and the body between them in the graph (`engine.graph.loops`) and becomes copies of the
body, one a pass, each cached like any other nodes. How the field's own helpers hang together is not told; what a loop does is.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Final, NamedTuple, Protocol

from engine.api import AnyValue, Choosing, Context, Expand, Growing, In, Lazy, Out, node
from engine.graph.loops import Loops
from engine.graph.prompt import Link, Node
from nodes.loop_bodies import MOST_AROUND, Passes, whole_loop

MOST_WHOLE: Final = 0xFFFFFFFFFFFFFFFF

_MODES: Final[list[dict[str, Any]]] = [
    {
        "key": "simple",
        "inputs": {
            "required": {
                "num_iterations": ["INT", {"default": 4, "min": 0, "max": MOST_WHOLE, "tooltip": "How many passes."}]
            }
        },
    },
    {
        "key": "For",
        "inputs": {
            "required": {
                "start_iteration_index": [
                    "INT",
                    {"default": 0, "min": -MOST_WHOLE, "max": MOST_WHOLE, "tooltip": "Index of the first pass."},
                ],
                "max_iteration": [
                    "INT",
                    {"default": 4, "min": -MOST_WHOLE, "max": MOST_WHOLE, "tooltip": "The index stays below."},
                ],
                "step": ["INT", {"default": 1, "min": 1, "max": MOST_WHOLE, "tooltip": "From index to index."}],
            }
        },
    },
    {"key": "List", "inputs": {"required": {"list": ["*", {"tooltip": "A pass for each item."}]}}},
]
_TERMINATIONS: Final = {
    "input": {"optional": {"termination": ["*", {"lazy": True}]}},
    "min": 0,
    "max": 50,
    "prefix": "termination",
}
_AROUND: Final = {
    "input": {"optional": {"link": ["*", {"lazy": True}]}},
    "min": 0,
    "names": [str(number) for number in range(MOST_AROUND)],
}


class LoopContext(Context, Protocol):
    """What the nodes of a loop see besides: the graph that they are in, which is no business of others."""

    @property
    def loops(self) -> Loops:
        """The loops of the graph that this node is in (`engine.graph.loops`)."""
        ...

    @property
    def room(self) -> int:
        """How many nodes the expansions of this run may still add."""
        ...

    def given(self, name: str) -> Any:
        """What the graph that runs has at the input `name`: a `Link` by the ids of the run, a constant, or None."""
        ...


class Iteration(NamedTuple):
    """What a pass knows of itself."""

    iteration_index: int
    is_first: bool
    is_last: bool
    list_item: AnyValue
    current_iteration_value: AnyValue


class IterationOfLists(NamedTuple):
    """The same, with the value that is carried as the list that it is."""

    iteration_index: int
    is_first: bool
    is_last: bool
    list_item: AnyValue
    current_iteration_value: list[AnyValue]


@node("StartLoop", category="utils/loop", display_name="Start Loop", input_is_list=True)
def start_loop(
    ctx: LoopContext,
    mode: Annotated[Choosing, In(tip="What the passes are counted by.", options={"options": _MODES})],
    cache_iterations: Annotated[
        bool, In(tip="Reuse passes that are known from earlier runs; else all of them run in every run.")
    ] = False,
    parent_iteration: Annotated[
        int | None, In(link_only=True, tip="iteration_index of the loop that this one is within.")
    ] = None,
    initial_iteration_value: Annotated[AnyValue | None, In(tip="What the first pass begins with.")] = None,
) -> Expand[Iteration]:
    """Begin a loop: the nodes between here and an EndLoop run once a pass.

    `simple` makes num_iterations passes, with indices from 0; `For` those of range(start_iteration_index, max_iteration,
    step); `List` one for each item of a list. What goes into EndLoop's next_iteration_value is the next pass's
    current_iteration_value; where nothing does, that stays what the first pass began with (inferred). Nodes that hang on
    this one and that no EndLoop hangs on run once, with the values of the first pass (inferred).
    Raises ValueError for a step below 1.
    """
    chosen = {name: _first(value) for name, value in mode.items() if name != "list"}
    items = _listed(mode.get("list"))
    indices = indices_of(str(chosen.pop("mode", "simple")), len(items), chosen)
    given: dict[str, Any] = {
        "iteration_index": indices[0] if indices else 0,
        "is_first": True,
        "is_last": len(indices) < 2,
        "list_item": items[0] if items else None,
        "current_iteration_value": ctx.given("initial_iteration_value"),
        "reuse_cache": True,
    }
    inputs = {name: value for name, value in given.items() if value is not None}
    return Expand({"first": Node("LoopIteration", inputs)}, *(Link("first", slot) for slot in range(5)))


@node("EndLoop", category="utils/loop", display_name="End Loop", input_is_list=True, cache=False)
async def end_loop(
    ctx: LoopContext,
    output_value: Annotated[Lazy[AnyValue] | None, In(tip="What the loop gives: of the last pass, or of all.")] = None,
    next_iteration_value: Annotated[Lazy[AnyValue] | None, In(tip="What the next pass begins with.")] = None,
    accumulate: Annotated[bool, In(tip="Give what every pass made, not the last alone.")] = False,
    terminations: Annotated[
        Growing | None,
        In(tip="What must run in every pass, though it is not given.", options={"template": _TERMINATIONS}),
    ] = None,
) -> Expand[Annotated[list[AnyValue], Out(name="outputs")]]:
    """End a loop, and give as a list what its last pass gave, or with `accumulate` what all of them gave, in order.

    A value that is a list adds all its items. Without a pass, or with nothing linked to output_value, the list is empty
    (inferred). Of the passes only what is needed runs: what the result or a termination hangs on, and nodes on the way that
    save or show something. Where a Gate holds back a pass's output_value, `accumulate` leaves it out; where it holds back
    next_iteration_value, the loop ends early. The loop must hang on one StartLoop, and is the only one to end it; the nodes
    that a run may be added are bounded (`[expansion]` in safelight.toml).
    Raises ValueError for a loop without a start, with two of them, or with two ends, and for more passes than there is room.
    """
    loops = ctx.loops
    if ctx.node_id not in loops.start_of:
        wrong = loops.problems[ctx.node_id]
        raise ValueError(f"EndLoop: {wrong.message}. {wrong.hint}")
    return Expand({"passes": whole_loop(loops, ctx.node_id)}, Link("passes", 0))


@node(
    "LoopPasses",
    category="utils/loop",
    display_name="Loop Passes",
    input_is_list=True,
    cache=False,
    deprecated=True,  # so that editors keep it out of their menus
)
async def loop_passes(
    ctx: LoopContext,
    body: Annotated[str, In(tip="The nodes between StartLoop and EndLoop, as JSON.")],
    mode: Annotated[str, In(tip="As at StartLoop.")] = "simple",
    num_iterations: int = 4,
    start_iteration_index: int = 0,
    max_iteration: int = 4,
    step: int = 1,
    cache_iterations: bool = False,
    accumulate: bool = False,
    list: AnyValue | None = None,
    around: Annotated[Growing | None, In(tip="What the body reads.", options={"template": _AROUND})] = None,
) -> Expand[Annotated[list[AnyValue], Out(name="outputs")]]:
    """What an EndLoop becomes once it is known which nodes are repeated: it makes the passes. Not to be put into graphs."""
    items = _listed(list)
    counts = {
        "num_iterations": _first(num_iterations),
        "start_iteration_index": _first(start_iteration_index),
        "max_iteration": _first(max_iteration),
        "step": _first(step),
    }
    chosen = str(_first(mode))
    indices = indices_of(chosen, len(items), counts)
    passes = Passes(
        _first(body),
        lambda at: ctx.given(f"around.{at}"),
        again=not _first(cache_iterations),
        accumulate=bool(_first(accumulate)),
    )
    if len(indices) * passes.size > ctx.room:
        raise ValueError(
            f"EndLoop: {len(indices)} passes of {passes.size} nodes are more than the {ctx.room} nodes that loops may still "
            "add to this run. Make fewer passes, or raise `nodes` under [expansion] in safelight.toml."
        )
    source = ctx.given("list")
    given = passes.make(indices, items if chosen == "List" else None, source if isinstance(source, Link) else None)
    if not given:
        return Expand(passes.made, [])
    if not _first(accumulate):
        given = given[-1:]
        if passes.made:
            return Expand(passes.made, given[0] if isinstance(given[0], Link) else given)
    inputs = {f"output{at}": value for at, value in enumerate(given)}
    result = Node("LoopResult", {"close_id": passes.end, **inputs})
    return Expand({**passes.made, "all": result}, Link("all", 0))


@node(
    "LoopResult",
    category="utils/loop",
    display_name="Loop Result",
    input_is_list=True,
    without_blocked=True,
    deprecated=True,  # so that editors keep it out of their menus
)
def loop_result(
    close_id: Annotated[str, In(tip="The EndLoop whose passes they are of.")], **more: Any
) -> Annotated[list[AnyValue], Out(name="outputs")]:
    """Collect what the passes of a loop gave, in order: output0, output1, … up to the first that is not there.

    What a Gate held back is left out. The field's node hands its values to the executor and has no output; here it has one.
    """
    names = itertools.takewhile(more.__contains__, (f"output{at}" for at in itertools.count()))
    return [item for name in names for item in more[name]]


def indices_of(mode: str, items: int, counts: dict[str, Any]) -> range:
    """The indices of the passes. Raises ValueError for a mode that there is not and for a step that leads nowhere."""
    if mode == "simple":
        return _bounded(range(max(0, int(counts.get("num_iterations", 4)))))
    if mode == "List":
        return range(items)
    if mode != "For":
        raise ValueError(f"StartLoop: mode is {mode!r}; choose simple, For or List.")
    step = int(counts.get("step", 1))
    if step < 1:
        raise ValueError(f"StartLoop: step is {step}, with which the loop would never end; it must be at least 1.")
    return _bounded(range(int(counts.get("start_iteration_index", 0)), int(counts.get("max_iteration", 4)), step))


def _bounded(indices: range) -> range:
    try:
        len(indices)
    except OverflowError:
        raise ValueError(f"StartLoop: {indices} is more passes than can be counted; make fewer.") from None
    return indices


def _first(value: Any) -> Any:
    """Of an input that comes as a list, its first item."""
    return value[0] if isinstance(value, list) and value else value


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else []


@node("LoopIteration", category="utils/loop", display_name="Loop Iteration", input_is_list=True)
def loop_iteration(
    iteration_index: Annotated[int, In(link_only=True)],
    is_first: Annotated[bool, In(link_only=True)],
    is_last: Annotated[bool, In(link_only=True)],
    list_item: AnyValue | None = None,
    current_iteration_value: AnyValue | None = None,
    *,
    reuse_cache: Annotated[bool, In(tip="Has no effect here: passes that must run anew do so themselves.")] = True,
    **more: Any,
) -> IterationOfLists:
    """What a pass of a loop knows of itself: the first item of each input, and of the value that is carried all of them."""
    index, first, last, item = (_first(one) for one in (iteration_index, is_first, is_last, list_item))
    return IterationOfLists(index, first, last, item, _listed(current_iteration_value) or [None])


@node("LoopProgress", category="utils/loop", display_name="Loop Progress", output=True, input_is_list=True)
def loop_progress(
    ctx: Context,
    start_id: Annotated[str, In(tip="The StartLoop that it is shown on.")],
    position: Annotated[int, In(tip="Passes that are done.")],
    total: Annotated[int, In(tip="Passes in all.")],
    **more: Any,
) -> Annotated[int, Out(name="position")]:
    """Report how many passes of a loop are done, and give that number; what else is linked to it is waited for."""
    ctx.progress(_first(position), _first(total))
    done: int = _first(position)
    return done
