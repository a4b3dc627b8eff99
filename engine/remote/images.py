"""The three operations of the API: generate, edit, vary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp
import msgspec

from engine.remote.answers import Event, Given
from engine.remote.costs import Cost, cost_of
from engine.remote.errors import RemoteError
from engine.remote.services import Service
from engine.remote.transport import Body, Transport

OnPartial = Callable[[int, bytes], None]
"""Called with the number of partial pictures before it, and a partial picture."""

OWN_FIELDS: Final = frozenset({"model", "prompt", "n", "size", "image", "image[]", "mask", "stream", "partial_images"})
"""Fields of a request that only the inputs of a node decide."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. Empty texts and "auto" are left out, so that the service decides; `more` are further fields."""

    prompt: str = ""
    model: str = ""
    n: int = 1
    size: str = "auto"
    quality: str = "auto"
    background: str = "auto"
    seed: int | None = None
    partial_images: int = 0
    more: Mapping[str, Any] = {}


class Made(msgspec.Struct, frozen=True):
    """What a service made: picture files, the prompt of each as it was revised ("" where it was not), and the cost."""

    pictures: list[bytes]
    prompts: list[str]
    cost: Cost


class Images:
    """One service of the API. `tell` gets a sentence before each further try, `on_partial` the pictures of a stream."""

    def __init__(self, service: Service, tell: Callable[[str], None], on_partial: OnPartial) -> None:
        self._service = service
        self._tell = tell
        self._on_partial = on_partial

    async def generate(self, wanted: Wanted) -> Made:
        """Pictures after a prompt. Raises RemoteError."""
        fields = self._fields(wanted)
        return await self._made("/images/generations", wanted, lambda: {"json": fields})

    async def edit(self, wanted: Wanted, images: Sequence[bytes], mask: bytes | None = None) -> Made:
        """Pictures after a prompt and PNG files; the first is changed where `mask` is see-through. Raises RemoteError."""
        name = "image" if len(images) == 1 else "image[]"
        files = [(name, f"image_{number}.png", image) for number, image in enumerate(images)]
        if mask is not None:
            files.append(("mask", "mask.png", mask))
        return await self._made("/images/edits", wanted, self._form(wanted, files))

    async def vary(self, wanted: Wanted, image: bytes) -> Made:
        """Pictures that are like a PNG file. Raises RemoteError."""
        return await self._made("/images/variations", wanted, self._form(wanted, [("image", "image.png", image)]))

    def _fields(self, wanted: Wanted) -> dict[str, Any]:
        settings = self._service.settings
        fields: dict[str, Any] = {"model": self._service.model(wanted.model), "prompt": wanted.prompt, "n": wanted.n}
        fields |= {"size": wanted.size, "quality": wanted.quality, "background": wanted.background}
        fields = {name: value for name, value in fields.items() if value not in ("", "auto")}
        if settings.response_format and not wanted.partial_images:  # what is streamed has one form
            fields["response_format"] = settings.response_format
        if settings.sends_seed and wanted.seed is not None:
            fields["seed"] = wanted.seed
        if wanted.partial_images:
            fields |= {"stream": True, "partial_images": wanted.partial_images}
        return fields | {name: value for name, value in wanted.more.items() if name not in OWN_FIELDS}

    def _form(self, wanted: Wanted, files: Sequence[tuple[str, str, bytes]]) -> Body:
        fields = self._fields(wanted)

        def make() -> Mapping[str, Any]:
            form = aiohttp.FormData()
            for name, value in fields.items():
                form.add_field(name, value if isinstance(value, str) else msgspec.json.encode(value).decode())
            for name, file, data in files:
                form.add_field(name, data, filename=file, content_type="image/png")
            return {"data": form}

        return make

    async def _made(self, path: str, wanted: Wanted, body: Body) -> Made:
        transport = Transport(self._service, self._tell)
        seen = 0

        def on_event(event: Event) -> None:
            nonlocal seen
            if event.picture.data is not None:
                self._on_partial(seen, event.picture.data)
                seen += 1

        try:
            answer = await transport.ask(path, body, on_event)
            given = answer.pictures[: wanted.n]
            pictures = [await _bytes(transport, one) for one in given]
        finally:
            await transport.close()
        cost = cost_of(self._service, self._service.model(wanted.model), len(answer.pictures), answer.usage)
        return Made(pictures, [one.revised_prompt for one in given], cost)


async def _bytes(transport: Transport, given: Given) -> bytes:
    data = await transport.fetch(given.url) if given.data is None else given.data
    if not data:
        raise RemoteError("The service gave an empty picture. Run it again.")
    return data
