"""What runs, and how often."""

from __future__ import annotations

from typing import Annotated, TypeVar

from engine.api import Context, ExecutionBlocker, Expand, Image, In, Lazy, node

from .basics import contrast

T = TypeVar("T")


@node("ExampleSwitch", category="example/flow", display_name="Switch (example)")
async def switch(first: bool, a: Lazy[T], b: Lazy[T]) -> T:
    """Give `a` or `b`. Lazy inputs are awaited: what is never awaited never runs, and a change there runs nothing again."""
    return await a() if first else await b()


@node("ExampleSplit", category="example/flow", display_name="Split text (example)")
def split(text: str = "one, two, three", separator: str = ",") -> list[str]:
    """Cut `text` into a list. A list as output: the nodes below it run once for each item."""
    return [part.strip() for part in text.split(separator)]


@node("ExampleJoin", category="example/flow", display_name="Join texts (example)", input_is_list=True)
def join(texts: list[str], separator: list[str]) -> str:
    """Put texts together. With `input_is_list` a node takes whole lists, of every input; a constant is a list of one."""
    return separator[0].join(texts)


@node("ExampleGate", category="example/flow", display_name="Gate (example)")
def gate(value: T, open: bool = True) -> T | ExecutionBlocker:
    """Pass `value` on, or let nothing below run. With a message, the first node below would show it as its error."""
    return value if open else ExecutionBlocker()


@node("ExampleRepeat", category="example/flow", display_name="Repeat contrast (example)")
def repeat(
    ctx: Context, image: Image, times: Annotated[int, In(ge=0, le=16)] = 3, amount: float = 1.1
) -> Expand[Image]:
    """Change the contrast several times, by a graph of as many nodes; each of them is cached on its own."""
    graph = ctx.subgraph()
    for _ in range(times):
        image = graph.add(contrast, image=image, amount=amount)  # nothing runs yet: this is a link to the node's output
    return graph.result(image)
