"""What nodes there are: the catalogue in the form that editors read, encoded once until it or a listing changes."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import msgspec
import xxhash
from aiohttp import web

from engine.graph.dynamic import ROWS, grown
from engine.graph.schema import Catalogue, Files, NodeSpec
from engine.paths import PathError, Paths
from engine.server.refusals import Refusal, json_response
from engine.server.routes.object_info_form import ASKED_FOR, node_form
from engine.server.routing import Query, Route

log = logging.getLogger(__name__)

_COMPRESSION: Final = 3
"""Of gzip: four fifths of the gain of the best level in a third of its time."""


@dataclass
class Body:
    """The whole answer as bytes, and compressed once somebody takes it so."""

    plain: bytes
    tag: str

    @cached_property
    def zipped(self) -> bytes:
        """It compressed; for several who ask at once it may be done more than once."""
        return gzip.compress(self.plain, _COMPRESSION, mtime=0)


class ObjectInfo:
    """Answers `/object_info`. The body is made again only when the catalogue or the files that nodes offer have changed."""

    def __init__(self, catalogue: Callable[[], Awaitable[Catalogue]], paths: Paths) -> None:
        self._catalogue = catalogue
        self._paths = paths
        self._making = asyncio.Lock()
        self._made_for: tuple[Any, ...] = ()
        self._body = Body(b"{}", "")

    def routes(self) -> list[Route]:
        """Everything under `/object_info`."""
        name = Query(name="node_class", doc="A node type or an alias of one.", required=True)
        return [
            Route(
                method="GET",
                path="/object_info",
                handler=self._get_all,
                summary="The definitions of all nodes.",
                tag="nodes",
                answer={"type": "object"},
            ),
            Route(
                method="GET",
                path="/object_info/{node_class:.+}",
                handler=self._get_one,
                summary="The definition of one node; an empty object when there is none of that name.",
                tag="nodes",
                query=(name,),
                answer={"type": "object"},
            ),
        ]

    async def body(self) -> Body:
        """The current answer; call it once at the start so that the first client need not wait."""
        catalogue = await self._catalogue()
        async with self._making:
            listings = await asyncio.to_thread(self._listings, catalogue)
            state = (catalogue, catalogue.changes, len(catalogue), len(catalogue.aliases), *listings.values())
            if not _same(state, self._made_for):
                self._body = await asyncio.to_thread(_encode, catalogue, listings)
                self._made_for = state
            return self._body

    async def _get_all(self, request: web.Request) -> web.StreamResponse:
        body = await self.body()
        headers = {"ETag": f'W/"{body.tag}"', "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if any(etag.value in (body.tag, "*") for etag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            zipped = await asyncio.to_thread(lambda: body.zipped)
            return web.Response(body=zipped, headers=headers, content_type="application/json")
        return web.Response(body=body.plain, headers=headers, content_type="application/json")

    async def _get_one(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["node_class"]
        catalogue = await self._catalogue()
        spec = catalogue.spec(name) or next((one for one in ASKED_FOR if one.name == name), None)
        if spec is None:
            return json_response({})
        listings = await asyncio.to_thread(self._listings, [spec])
        form = _encoded_node(spec, name, _FileNames(listings))
        if form is None:
            raise Refusal(404, "broken_node", f"The node {name} cannot be described; the log says why.")
        return json_response({name: form})

    def _listings(self, specs: Catalogue | list[NodeSpec]) -> dict[tuple[str, str], tuple[str, ...]]:
        found = {}
        for folder, kind in _folders(specs):
            try:
                found[folder, kind] = self._paths.listing(folder, kind)
            except PathError:  # a pack names a folder of its own that nobody has declared
                found[folder, kind] = ()
        return found


class _FileNames:
    """The names of files as JSON, each folder encoded once however many nodes offer it."""

    def __init__(self, listings: Mapping[tuple[str, str], tuple[str, ...]]) -> None:
        self._listings = listings
        self._encoded: dict[Files, msgspec.Raw] = {}

    def __call__(self, files: Files) -> msgspec.Raw:
        if files not in self._encoded:
            names = [*files.extra, *self._listings.get((files.folder, files.kind), ())]
            self._encoded[files] = msgspec.Raw(msgspec.json.encode(list(dict.fromkeys(names))))
        return self._encoded[files]


def _encode(catalogue: Catalogue, listings: Mapping[tuple[str, str], tuple[str, ...]]) -> Body:
    file_names = _FileNames(listings)
    named = {name: form for name, spec in _named(catalogue) if (form := _encoded_node(spec, name, file_names))}
    plain = msgspec.json.encode(named)
    return Body(plain, xxhash.xxh3_64_hexdigest(plain))


def _named(catalogue: Catalogue) -> Iterator[tuple[str, NodeSpec]]:
    for absent in ASKED_FOR:
        yield absent.name, absent
    for spec in catalogue:
        yield spec.name, spec
    for alias in catalogue.aliases:
        meant = catalogue.spec(alias)
        if meant is not None:
            yield alias, meant


def _encoded_node(spec: NodeSpec, name: str, file_names: _FileNames) -> msgspec.Raw | None:
    """The definition as JSON, or None for one that cannot be told: a pack's mistake must not take all nodes away."""
    try:
        return msgspec.Raw(msgspec.json.encode(node_form(spec, name, file_names)))
    except (TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        log.warning("The node %s of %s is left out of object_info: %s", name, spec.module, error)
        return None


def _folders(specs: Catalogue | list[NodeSpec]) -> list[tuple[str, str]]:
    offered = [one.choices for spec in (*specs, *ASKED_FOR) for one in _inputs(spec)]
    return sorted({(files.folder, files.kind) for files in offered if isinstance(files, Files)})


def _inputs(spec: NodeSpec) -> tuple[Any, ...]:
    inputs = spec.inputs if isinstance(spec.inputs, tuple) else ()
    rows = [field for one in inputs if one.type == ROWS for field in grown(one, ())]
    return (*inputs, *rows)


def _same(state: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(state) == len(other) and all(a is b or a == b for a, b in zip(state, other, strict=True))
