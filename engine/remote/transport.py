"""Asking a service over HTTP: bounded in time and size, tried again where that helps, and never led to another host."""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urljoin
from uuid import uuid4

import aiohttp

from engine.remote.addresses import is_loopback, may_fetch, same_origin
from engine.remote.answers import Answer, Event, read_answer, read_event, refusal_words
from engine.remote.errors import BusyError, RemoteError, remedy, said
from engine.remote.events import EventReader
from engine.remote.services import Service

AGAIN: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same may be asked again."""

PAID_UP: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Codes of a 429 that waiting does not help."""

_MIB: Final = 1024 * 1024
_CONNECT_SECONDS: Final = 15.0
_FIRST_WAIT: Final = 0.5
_MOST_WAIT: Final = 8.0
_MOST_REDIRECTS: Final = 3
_ERROR_BYTES: Final = 64 * 1024

T = TypeVar("T")

Body = Callable[[], Mapping[str, Any]]
"""Makes the `json=` or `data=` of a request, anew for each try."""

OnEvent = Callable[[Event], None]
Tell = Callable[[str], None]


class Transport:
    """Requests to one service. Cancelling the awaiting task ends them at once; `close` ends the connections."""

    def __init__(self, service: Service, tell: Tell) -> None:
        """`tell` is called with one sentence before each further try."""
        self._service = service
        self._tell = tell
        seconds = service.settings.seconds
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=min(_CONNECT_SECONDS, seconds))
        self._session = aiohttp.ClientSession(timeout=timeout, trust_env=not is_loopback(service.url))

    async def close(self) -> None:
        """End the connections."""
        await self._session.close()

    async def ask(self, path: str, body: Body, on_event: OnEvent) -> Answer:
        """POST to `path` behind the address of the service. Raises RemoteError.

        Where the answer is a stream, `on_event` is called with its partial pictures, and the answer has the completed ones.
        """
        headers = {
            "Accept": "application/json, text/event-stream",
            "Idempotency-Key": str(uuid4()),
            **self._shown_key(),
        }
        return await self._tried(lambda: self._ask_once(self._service.url + path, body, headers, on_event))

    async def fetch(self, url: str) -> bytes:
        """The picture at an address that the service gave, from allowed hosts only. Raises RemoteError.

        The key goes along to the service itself, which has it already, and to no other host.
        """
        if not may_fetch(url, self._service.url, self._service.settings.hosts):
            raise RemoteError(
                f"Service {self._service.name!r} gave the address of a picture on another host, which is not fetched. If it "
                f"is right, name that host in `hosts` under [services.{self._service.name}] in safelight.toml."
            )
        headers = self._shown_key() if same_origin(url, self._service.url) else {}
        return await self._tried(lambda: self._fetch_once(url, headers))

    def _shown_key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._service.key}"} if self._service.key else {}

    async def _tried(self, once: Callable[[], Awaitable[T]]) -> T:
        """What `once` gives, tried again with growing waits where the service is busy, or asks to wait."""
        settings, name = self._service.settings, self._service.name
        for number in range(settings.retries + 1):
            try:
                with _explained(self._service):
                    return await once()
            except BusyError as busy:
                wait = _FIRST_WAIT * 2**number * random.uniform(0.75, 1) if busy.wait is None else busy.wait
                wait = min(wait, _MOST_WAIT) if busy.wait is None else wait
                if number == settings.retries or wait > settings.longest_wait:
                    later = f" It asks to wait {wait:.0f} s." if wait > settings.longest_wait else ""
                    raise RemoteError(f"{busy}{later}") from None
                self._tell(
                    f"Service {name!r} is busy; trying again in {wait:.1f} s ({number + 1} of {settings.retries})."
                )
                await asyncio.sleep(wait)
        raise AssertionError("a last try gives an answer or raises")

    async def _ask_once(self, url: str, body: Body, headers: Mapping[str, str], on_event: OnEvent) -> Answer:
        for _ in range(_MOST_REDIRECTS + 1):
            async with self._session.post(url, headers=headers, allow_redirects=False, **body()) as response:
                if response.status in (307, 308):
                    url = self._followed(url, response)
                    continue
                await self._check(response)
                if response.content_type == "text/event-stream":
                    return await self._streamed(response, on_event)
                return read_answer(self._service, await self._whole(response))
        raise RemoteError(f"Service {self._service.name!r} redirects in a circle. Check `url` in safelight.toml.")

    async def _fetch_once(self, url: str, headers: Mapping[str, str]) -> bytes:
        for _ in range(_MOST_REDIRECTS + 1):
            async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308):
                    url = self._followed(url, response)
                    continue
                await self._check(response)
                return await self._whole(response)
        raise RemoteError(f"Service {self._service.name!r} redirects in a circle when a picture is fetched.")

    def _followed(self, url: str, response: aiohttp.ClientResponse) -> str:
        """Where a redirect leads. Raises RemoteError where that is another host: what is sent is for this one."""
        target = urljoin(url, response.headers.get("Location", ""))
        if not same_origin(target, url):
            raise RemoteError(
                f"Service {self._service.name!r} redirects to another host, which is not followed. If it has moved, change "
                f"`url` under [services.{self._service.name}] in safelight.toml."
            )
        return target

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        """Raise BusyError or RemoteError for an answer that is none."""
        status = response.status
        if 200 <= status < 300:
            return
        if status < 400:
            raise RemoteError(
                f"Service {self._service.name!r} redirects ({status}) what is sent to it. Give the address that it leads "
                f"to as `url` under [services.{self._service.name}] in safelight.toml."
            )
        words = said(await response.content.read(_ERROR_BYTES))
        told = refusal_words(self._service, f"refuses with status {status}", words)
        message = f"{told.rstrip('.')}. {remedy(status, words.code, self._service.name)}"
        final = words.code in PAID_UP or response.headers.get("x-should-retry") == "false"
        if status in AGAIN and not final:
            raise BusyError(message, wait_asked(response.headers))
        raise RemoteError(message)

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, within the bound."""
        found = bytearray()
        async for piece in response.content.iter_any():
            found += piece
            self._bounded(len(found))
        return bytes(found)

    async def _streamed(self, response: aiohttp.ClientResponse, on_event: OnEvent) -> Answer:
        """The completed pictures of a stream."""
        reader, size = EventReader(), 0
        answer = Answer([])
        async for piece in response.content.iter_any():
            size += len(piece)
            self._bounded(size)
            for data in reader.feed(piece):
                event = read_event(self._service, data)
                if event is not None and event.kind == "completed":
                    answer.pictures.append(event.picture)
                    answer.usage = event.usage or answer.usage
                elif event is not None:
                    on_event(event)
        if not answer.pictures:
            raise RemoteError(
                f"Service {self._service.name!r} ended its stream without a finished picture. Run it again."
            )
        return answer

    def _bounded(self, size: int) -> None:
        most = self._service.settings.answer_mib
        if size > most * _MIB:
            raise RemoteError(
                f"Service {self._service.name!r} answers with more than {most} MiB. Ask for fewer or smaller pictures, or "
                f"raise `answer_mib` under [services.{self._service.name}] in safelight.toml."
            )


class _explained:  # noqa: N801 - used as a function
    """Turns what aiohttp raises, which names addresses, into errors of ours, which do not."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        name = f"Service {self._service.name!r}"
        if isinstance(error, aiohttp.ClientSSLError):
            raise RemoteError(
                f"{name} has no certificate that this machine trusts. Check `url` in safelight.toml."
            ) from None
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            raise BusyError(
                f"{name} cannot be reached ({type(error).__name__}). Check that it runs, and its `url`."
            ) from None
        if isinstance(error, TimeoutError):
            seconds = self._service.settings.seconds
            raise RemoteError(
                f"{name} gave no answer within {seconds:g} s. Run it again, or raise its `seconds`."
            ) from None
        if isinstance(error, aiohttp.ClientError):
            raise RemoteError(
                f"{name} broke off the answer ({type(error).__name__}). It may have been paid for; run it again."
            ) from None


def wait_asked(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer asks to wait (`retry-after-ms`, or Retry-After as seconds or a date); None if it does not."""
    exact, plain = headers.get("retry-after-ms", ""), headers.get("Retry-After", "").strip()
    try:
        if exact:
            return max(float(exact) / 1000, 0.0)
        return max(float(plain), 0.0) if plain else None
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(plain).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return None
