"""Assets: bytes that a workflow is given and that it gives, by id and by the hash of what is in them."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web

from engine.jobs.dispatch import Dispatcher
from engine.paths import Paths
from engine.server.api_v2.asset_files import AssetFiles, HashedIncoming, read_hash, read_path
from engine.server.api_v2.asset_index import Asset, AssetIndex, new_id
from engine.server.api_v2.links import NEVER, base_of, content_url, iso
from engine.server.api_v2.problems import Problem
from engine.server.bodies import LIMITS, read_json
from engine.server.inert import file_response
from engine.server.limits import Limits
from engine.server.principals import asking
from engine.server.refusals import json_response
from engine.server.routes.upload_forms import read_form
from engine.server.saving import incoming_as

_LONGEST_TYPE: Final = 127


class FromHash(msgspec.Struct, kw_only=True):
    """Body of POST /assets/from-hash."""

    hash: str
    file_path: str | None = None
    tags: list[str] = []


class Assets:
    """What the routes of assets and of jobs do with assets."""

    def __init__(self, index: AssetIndex, files: AssetFiles, paths: Paths, dispatcher: Dispatcher) -> None:
        self._index = index
        self._files = files
        self._paths = paths
        self._dispatcher = dispatcher

    # -- handlers

    async def upload(self, request: web.Request) -> web.Response:
        limits = request.app.get(LIMITS) or Limits()
        folder = await asyncio.to_thread(self._paths.directory, "input")
        async with incoming_as(folder, HashedIncoming) as part:
            name, fields = await read_form(request, part, limits, "file", str)
            file_path = fields.get("file_path", "").strip() or name
            read_path(file_path)
            expected = fields.get("expected_hash", "").strip()
            if expected and read_hash(expected) != part.hash:
                message = f"The bytes have the hash {part.hash}, and not {expected[:100]}, which was announced."
                raise Problem(409, "hash_mismatch", message, {"expected": expected[:100], "received": part.hash})
            known = await self._known(part.hash)
            if known is not None:
                return json_response(asset_document(await self._named(known, file_path), base_of(request), False))
            kind = _type_of(fields.get("content_type", ""))
            asset = await asyncio.to_thread(self._files.place, part, file_path, kind)
        if not asset.ours and any(one.ours for one in await self._index.of_file(asset)):
            asset = msgspec.structs.replace(asset, ours=True)  # an equal upload came first
        await self._index.add([asset])
        return json_response(asset_document(asset, base_of(request), True), status=201)

    async def from_hash(self, request: web.Request) -> web.Response:
        wish: FromHash = await read_json(request, FromHash)
        known = await self._known(read_hash(wish.hash))
        if known is None:
            message = f"There are no bytes with the hash {wish.hash[:100]} here. Upload them."
            raise Problem(404, "blob_not_found", message, {"hash": wish.hash[:100]})
        asset = await self._named(known, wish.file_path)
        return json_response(
            asset_document(asset, base_of(request), False), status=200 if asset.id == known.id else 201
        )

    async def by_hash(self, request: web.Request) -> web.Response:
        asset = await self._known(read_hash(request.match_info["hash"]))
        if asset is None:
            raise Problem(404, "blob_not_found", "There are no bytes with this hash here. Upload them.")
        return json_response(asset_document(asset, base_of(request)))

    async def get(self, request: web.Request) -> web.Response:
        asset = await self.one(request.match_info["id"])
        if asset.hash is None:
            asset = await self._hashed(asset)
        return json_response(asset_document(asset, base_of(request)))

    async def content(self, request: web.Request) -> web.StreamResponse:
        asset = await self.one(request.match_info["id"])
        path = await asyncio.to_thread(self._files.found, asset)
        if path is None:
            message = (
                f"The file of the asset {asset.id} was deleted or changed on the server. Asking again does not help."
            )
            raise Problem(404, "output_unavailable", message)
        _check_range(request, asset.size)
        return await asyncio.to_thread(file_response, path)

    async def delete(self, request: web.Request) -> web.Response:
        asset = await self.one(request.match_info["id"])
        same = await self._index.of_file(asset)
        jobs = [id for id in await self._index.users_of([one.id for one in same]) if self._is_active(id)]
        if jobs:
            message = f"{len(jobs)} jobs that wait or run need the asset {asset.id}. Cancel them, or wait until they have ended."
            raise Problem(409, "asset_in_use", message, {"job_ids": jobs[:20]})
        await self._index.remove(asset.id)
        if any(one.ours for one in same) and len(same) == 1:
            await asyncio.to_thread(self._files.remove, asset)
        return web.Response(status=204)

    # -- for jobs

    async def one(self, asset_id: str) -> Asset:
        """An asset. Raises Problem 404."""
        asset = await self._index.get(asset_id)
        if asset is None or not asking().owns(asset.owner):
            raise Problem(404, "not_found", f"There is no asset {asset_id[:100]!r}: it never was, or was deleted.")
        return asset

    async def usable(self, info: dict[str, Any]) -> Asset | None:
        """The asset that a reference means, if its file is there: by its id, or by its hash where it has no id."""
        asset_id, hash = info.get("id"), info.get("hash")
        if isinstance(asset_id, str):
            asset = await self._index.get(asset_id)
            asset = asset if asset is not None and asking().owns(asset.owner) else None
        elif asset_id is None and isinstance(hash, str):
            return await self._known(hash.lower())
        else:
            return None
        there = asset is not None and await asyncio.to_thread(self._files.found, asset) is not None
        return asset if there else None

    async def _known(self, hash: str) -> Asset | None:
        """An asset with these bytes whose file is there; those whose file is gone are forgotten. None of somebody else's."""
        for asset in await self._index.by_hash(hash):
            if not asking().owns(asset.owner):
                continue
            if await asyncio.to_thread(self._files.found, asset) is not None:
                return asset
            if asset.job_id is None:
                await self._index.remove(asset.id)
        return None

    async def _named(self, known: Asset, file_path: str | None) -> Asset:
        """The asset under another name, which is one of its own; under its own it is the same."""
        if known.job_id is None and file_path in (None, known.file_path):
            return known
        for asset in await self._index.by_hash(known.hash or ""):
            if asset.job_id is None and asset.file_path == file_path and asking().owns(asset.owner):
                return asset
        asset = msgspec.structs.replace(
            known,
            id=new_id(),
            file_path=file_path or known.file_path,
            owner=asking().owner,
            job_id=None,
            node_id=None,
            media=None,
        )
        await self._index.add([asset])
        return asset

    async def _hashed(self, asset: Asset) -> Asset:
        hashed = await asyncio.to_thread(self._files.hashed, asset)
        if hashed.hash is not None:
            await self._index.replace(hashed)
        return hashed

    def _is_active(self, job_id: str) -> bool:
        return job_id in self._dispatcher.queue or job_id in self._dispatcher.running


def asset_document(asset: Asset, base: str, created_new: bool | None = None) -> dict[str, Any]:
    """An asset as clients read it. `created_new`: whether these bytes were not here before."""
    document = {
        "id": asset.id,
        "hash": asset.hash,
        "size_bytes": asset.size,
        "content_type": asset.content_type,
        "file_path": asset.file_path,
        "created_at": iso(asset.made),
        "url": content_url(base, asset.id),
        "url_expires_at": NEVER,
        "expires_at": None,
    }
    if asset.job_id is not None:
        document["job_id"] = asset.job_id
    return document | ({"created_new": created_new} if created_new is not None else {})


def output_document(asset: Asset, base: str) -> dict[str, Any]:
    """An output of a job as clients read it."""
    return {
        "node_id": asset.node_id,
        "name": asset.name,
        "type": asset.media,
        "content_type": asset.content_type,
        "size_bytes": asset.size,
        "id": asset.id,
        "hash": asset.hash,
        "url": content_url(base, asset.id),
        "url_expires_at": NEVER,
        "job_id": asset.job_id,
    }


def _check_range(request: web.Request, size: int) -> None:
    """Raises Problem 416 for a range that begins beyond the end, or is none."""
    if hdrs.RANGE not in request.headers or hdrs.IF_RANGE in request.headers:
        return
    try:
        sound = (request.http_range.start or 0) < max(size, 1)
    except ValueError:
        sound = False
    if not sound:
        asked = request.headers[hdrs.RANGE][:100]
        message = (
            f"The asset has {size} bytes, and not those of {asked!r}. Ask for bytes=FIRST-LAST, both counted from 0."
        )
        raise Problem(416, "range_not_satisfiable", message, headers={hdrs.CONTENT_RANGE: f"bytes */{size}"})


def _type_of(text: str) -> str:
    """A media type that a client gave, or "" for one that is none."""
    text = text.strip()
    return text if len(text) <= _LONGEST_TYPE and text.isascii() and text.isprintable() and text.count("/") == 1 else ""
