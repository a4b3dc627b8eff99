"""Answers that are too long to be made as one: JSON that is sent piece by piece, as fast as the client reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web


async def streamed_json(
    request: web.Request, head: bytes, pieces: AsyncIterator[bytes], tail: bytes, *, between: bytes = b","
) -> web.StreamResponse:
    """Send `head`, the pieces with `between` between them, and `tail`."""
    answer = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    await answer.prepare(request)
    await answer.write(head)
    first = True
    async for piece in pieces:
        if not first and between:
            await answer.write(between)
        await answer.write(piece)
        first = False
    await answer.write(tail)
    await answer.write_eof()
    return answer
