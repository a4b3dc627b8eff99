"""Idempotency keys: a request that is sent again, because its answer got lost, does its work once.

A client names a request with the header `Idempotency-Key`. Within a scope (a route, and whose key it is) the key stands for one
body; it is kept over restarts, for a day. Usual use:

    async with keys.claim("jobs", key, digest_of(body)) as claim:
        if claim.answer is not None:        # done before: tell it again, or refuse
            return ...
        await claim.hold(job_id)            # before the work: after a crash, `claim.job_id` says what may have been done
        ...
        await claim.keep(answer)            # without it, the key is free again: the work was refused
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import xxhash
from aiohttp import web

from engine.server.refusals import Refusal
from engine.server.small_store import SmallStore

HEADER: Final = "Idempotency-Key"
LONGEST: Final = 255
HOURS: Final = 24.0
"""How long a key is kept."""
MOST_KEYS: Final = 100_000
"""Beyond it the oldest are forgotten."""
LONGEST_ANSWER: Final = 256 * 1024

_SCHEMA: Final = """
CREATE TABLE keys (
    scope TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL, job_id TEXT, answer BLOB, made REAL NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;
CREATE INDEX keys_made ON keys (made);
"""


class KeyReused(Refusal):
    """The key stands for another request already. `job_id`: the job of that one, if it has one."""

    def __init__(self, message: str, job_id: str | None) -> None:
        super().__init__(422, "idempotency_key_reuse", message, **({"job_id": job_id} if job_id else {}))
        self.job_id = job_id


class _Row(NamedTuple):
    digest: bytes
    job_id: str | None
    answer: bytes | None


class _Held:
    """A key whose request is being worked on."""

    def __init__(self, digest: bytes) -> None:
        self.digest = digest
        self.ended = asyncio.Event()


class Claim:
    """A key in the hands of one request."""

    def __init__(self, store: SmallStore, place: tuple[str, str], digest: bytes, found: _Row | None) -> None:
        self._store = store
        self._place = place
        self._digest = digest
        self.job_id = found.job_id if found is not None else None
        """The job that an earlier request with this key made, or was about to make when the server ended."""
        self.answer = found.answer if found is not None else None
        """What the first request with this key kept; None when there is none, or it did not come to its end."""
        self._held = found is not None

    async def hold(self, job_id: str) -> None:
        """Note before the work which job it will make."""
        await self._write(job_id, None)
        self.job_id = job_id

    async def keep(self, answer: bytes = b"") -> None:
        """The work is done: from now on the key stands for `answer`, at most `LONGEST_ANSWER` bytes."""
        if len(answer) > LONGEST_ANSWER:
            raise ValueError(
                f"The answer has {len(answer)} bytes; at most {LONGEST_ANSWER} are kept: keep a reference."
            )
        await self._write(self.job_id, answer)
        self.answer = answer

    async def release(self) -> None:
        """Forget the key unless an answer was kept."""
        if self._held and self.answer is None:
            await self._store.call(partial(_delete, self._place))

    async def _write(self, job_id: str | None, answer: bytes | None) -> None:
        self._held = True
        row = (*self._place, self._digest, job_id, answer, time.time())
        await self._store.call(partial(_put, row))


class Idempotency:
    """The keys of a server, in a file of their own."""

    def __init__(self, path: Path, *, hours: float = HOURS, most: int = MOST_KEYS) -> None:
        self._store = SmallStore(path, _SCHEMA)
        self._seconds = hours * 3600
        self._most = most
        self._held: dict[tuple[str, str], _Held] = {}

    @asynccontextmanager
    async def claim(self, scope: str, key: str, digest: bytes) -> AsyncIterator[Claim]:
        """Have `key` of `scope` to oneself for a request whose body has `digest`; who sends the same meanwhile waits.

        Raises KeyReused when the key stands for another body. When the block ends without `keep`, the key is free again,
        but not when it is cancelled: then the work may have been done.
        """
        place = (scope, key)
        while (other := self._held.get(place)) is not None:
            if other.digest != digest:
                raise _other_body(key, None)
            await other.ended.wait()
        held = self._held[place] = _Held(digest)
        try:
            found = await self._store.call(partial(_find, place, self._seconds, self._most))
            if found is not None and found.digest != digest:
                raise _other_body(key, found.job_id)
            claim = Claim(self._store, place, digest, found)
            try:
                yield claim
            except Exception:
                await claim.release()
                raise
            await claim.release()
        finally:
            del self._held[place]
            held.ended.set()

    async def close(self) -> None:
        """Close the file."""
        await self._store.close()


IDEMPOTENCY: web.AppKey[Idempotency] = web.AppKey("idempotency", Idempotency)


def install_idempotency(app: web.Application, path: Path) -> None:
    """Give an application its keys, kept at `path`; handlers take `request.app[IDEMPOTENCY]`."""
    keys = app[IDEMPOTENCY] = Idempotency(path)

    async def close(app: web.Application) -> None:
        await keys.close()

    app.on_cleanup.append(close)


def read_key(request: web.Request) -> str | None:
    """The key that the request names. Raises Refusal 400 for one that cannot be one."""
    keys = request.headers.getall(HEADER, [])
    if not keys:
        return None
    if len(keys) > 1 or not 0 < len(keys[0]) <= LONGEST or not (keys[0].isascii() and keys[0].isprintable()):
        message = f"{HEADER}: expected 1 to {LONGEST} printable ASCII characters, once; got {repr(keys)[:80]}."
        raise Refusal(400, "invalid_request", message, field=HEADER)
    return keys[0]


def digest_of(*parts: bytes) -> bytes:
    """What two requests with the same key must have in common."""
    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def _other_body(key: str, job_id: str | None) -> KeyReused:
    return KeyReused(
        f"The {HEADER} {key[:80]!r} was used for another request. Use a new key for a new request.", job_id
    )


# -- on the store's thread


def _find(place: tuple[str, str], seconds: float, most: int, connection: sqlite3.Connection) -> _Row | None:
    connection.execute("DELETE FROM keys WHERE made < ?", (time.time() - seconds,))
    count = int(connection.execute("SELECT count(*) FROM keys").fetchone()[0])
    if count >= most:
        oldest = "SELECT scope, key FROM keys ORDER BY made LIMIT ?"
        connection.execute(f"DELETE FROM keys WHERE (scope, key) IN ({oldest})", (count - most + 1,))
    found = connection.execute("SELECT digest, job_id, answer FROM keys WHERE scope = ? AND key = ?", place).fetchone()
    return _Row(*found) if found is not None else None


def _put(row: tuple[str, str, bytes, str | None, bytes | None, float], connection: sqlite3.Connection) -> None:
    connection.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?, ?)", row)


def _delete(place: tuple[str, str], connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM keys WHERE scope = ? AND key = ?", place)
