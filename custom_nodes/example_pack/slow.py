"""Work that takes a while: progress, cancelling, and telling whoever waits."""

from __future__ import annotations

import asyncio
from typing import Annotated

from engine.api import Context, Image, In, node


@node("ExampleSlowly", category="example/slow", display_name="Slowly (example)")
async def slowly(
    ctx: Context,
    text: str = "done",
    seconds: Annotated[float, In(ge=0, le=60)] = 2.0,
    steps: Annotated[int, In(ge=1)] = 20,
) -> str:
    """Give `text` back after some time. Async nodes wait side by side: ten of them take no longer than one.

    `ctx` is the engine around the node and never an input. `ctx.progress` shows a bar and ends the node when the job was
    cancelled; in a plain function (`def`), which has a thread to itself, it does just the same.
    """
    for step in range(steps):
        ctx.progress(step, steps)
        await asyncio.sleep(seconds / steps)
    ctx.progress(steps, steps)
    ctx.send("example_pack.slept", {"node": ctx.node_id, "seconds": seconds})  # to the client that submitted the job
    return text


@node("ExampleDevelop", category="example/slow", display_name="Develop (example)")
def develop(ctx: Context, image: Image, steps: Annotated[int, In(ge=1, le=100)] = 8) -> Image:
    """Bring `image` (B, H, W, 3) up out of grey, and show how far it is."""
    for step in range(1, steps + 1):
        shown = 0.5 + (image[0, ..., :3] - 0.5) * (step / steps)
        # A function that makes the picture is called only when somebody looks, and seldom enough to cost little.
        ctx.preview(lambda shown=shown: (shown.clamp(0, 1) * 255).byte().cpu().numpy())
        ctx.progress(step, steps)
    return image
