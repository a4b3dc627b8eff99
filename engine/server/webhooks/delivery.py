"""Delivering webhooks: when a job has ended, signed, tried again with growing waits, over restarts, and given up at last."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp import web

from engine.config import WebhookSettings
from engine.jobs.store_errors import StoreError
from engine.server.refusals import Refusal
from engine.server.watching import Ended, JobEvent
from engine.server.webhooks.signing import key_of, signed_headers
from engine.server.webhooks.targets import OpenResolver, Targets
from engine.server.webhooks.waiting import Hook, WaitingHooks
from engine.server.workflows.results import CallResult
from engine.server.workflows.runner import RunService
from engine.server.workflows.told import result_json

log = logging.getLogger("safelight.webhooks")

MOST: Final = 10_000
"""Hooks that wait for their jobs, or to be tried again."""

AT_ONCE: Final = 16
GROWTH: Final = 5.0
"""By which each wait is longer than the one before."""
LONGEST_WAIT: Final = 6 * 3600.0
SECONDS: Final = 20.0
"""For one try."""

_GONE: Final = 410
_encode: Final = msgspec.json.Encoder().encode


class Webhooks:
    """The webhooks of a server. All methods belong to the event loop.

    Raises ValueError for settings that are not sound.
    """

    def __init__(self, settings: WebhookSettings, runs: RunService, waiting: WaitingHooks) -> None:
        self._settings = settings
        self._key = key_of(settings.secret) if settings.secret else None
        self._targets = Targets(settings.hosts, settings.networks)
        self._runs = runs
        self._waiting = waiting
        self._held: set[str] = set()
        self._forget: dict[str, Callable[[], None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    def check(self, url: str) -> None:
        """Raises Refusal 400 for what is no address, 403 for one that is not allowed, 429 when too many wait."""
        self._targets.check(url)
        if self._key is None:
            message = (
                "Webhooks are signed, and this server has no secret for it: `secret` of [webhooks] in safelight.toml."
            )
            raise Refusal(403, "webhook_forbidden", message)
        if len(self._held) >= MOST:
            message = f"{MOST} webhooks wait to be delivered, the most that are kept. Ask for the result instead."
            raise Refusal(429, "too_many_webhooks", message)

    async def promise(self, job_id: str, url: str, base: str) -> None:
        """Keep that `url` is to be told of the end of a job that is about to be made. Raises as `check`, and StoreError."""
        self.check(url)
        self._held.add(job_id)
        try:
            await self._waiting.put(Hook(job_id=job_id, url=url, base=base, made=time.time()))
        except BaseException:
            self._held.discard(job_id)
            raise

    async def withdraw(self, job_id: str) -> None:
        """The job was not made after all."""
        self._held.discard(job_id)
        await self._waiting.remove(job_id)

    def follow(self, job_id: str, url: str, base: str) -> None:
        """Deliver what was promised once the job, which is made by now, has ended."""
        self._follow(Hook(job_id=job_id, url=url, base=base, made=time.time()))

    async def resume(self) -> None:
        """Go on with what was promised before the server was started. The store must be open."""
        try:
            hooks = await self._waiting.load()
        except StoreError as error:
            log.error("webhooks that were promised are not known: %s", error)
            return
        for hook in hooks:
            self._held.add(hook.job_id)
            if hook.body is not None:
                self._spawn(self._deliver(hook))
            else:
                self._follow(hook)

    async def close(self) -> None:
        """Stop; what is not delivered waits on disk."""
        for forget in list(self._forget.values()):
            forget()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        await self._waiting.close()

    # -- to the end of the job

    def _follow(self, hook: Hook) -> None:
        if not self._runs.is_active(hook.job_id):
            self._spawn(self._ended_before(hook))
            return

        def hear(event: JobEvent) -> None:
            if isinstance(event, Ended):
                self._forget.pop(hook.job_id, None)
                if event.status != "lost":
                    self._spawn(self._ended(hook, event))

        self._forget[hook.job_id] = self._runs.watch(hook.job_id, hear)

    async def _ended_before(self, hook: Hook) -> None:
        """Nobody heard the end of the job: it is in the history, or the job was never made."""
        try:
            result = await self._runs.result(hook.job_id)
        except Refusal:
            await self._done(hook)
            return
        await self._tell(hook, result_json(result, hook.base), result.state)

    async def _ended(self, hook: Hook, event: Ended) -> None:
        try:
            result: CallResult | None = await self._runs.result_of(hook.job_id, event)
        except Refusal:  # taken out of the queue
            result = None
        if result is None:
            await self._tell(hook, {"job_id": hook.job_id, "state": "cancelled"}, "cancelled")
        else:
            await self._tell(hook, result_json(result, hook.base), result.state)

    async def _tell(self, hook: Hook, data: dict[str, Any], state: str) -> None:
        when = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        hook.body = _encode({"type": f"job.{state}", "timestamp": when, "data": data})
        hook.due = time.time()
        await self._keep(hook)
        await self._deliver(hook)

    # -- to the address

    async def _deliver(self, hook: Hook) -> None:
        while True:
            await asyncio.sleep(max(0.0, (hook.due or 0.0) - time.time()))
            async with self._places:
                problem, wait = await self._try(hook)
            if problem is None:
                log.info("webhook delivered", extra={"job": hook.job_id, "host": _host(hook.url)})
                break
            hook.tries += 1
            facts = {"job": hook.job_id, "host": _host(hook.url), "problem": problem, "tries": hook.tries}
            if hook.tries >= self._settings.tries or wait is None:
                log.error("webhook given up", extra=facts)
                break
            hook.due = time.time() + max(wait, self._wait(hook.tries))
            log.warning("webhook failed, and is tried again", extra=facts)
            await self._keep(hook)
        await self._done(hook)

    async def _try(self, hook: Hook) -> tuple[str | None, float | None]:
        """What went wrong, and how long its receiver wants to be left alone; (None, …): nothing, (…, None): for ever."""
        try:
            self._targets.check(hook.url)  # the settings may be others than when it was promised
        except Refusal as refusal:
            return refusal.message, None
        if self._key is None:
            return "there is no secret any more", None
        body = hook.body or b""
        headers = signed_headers(self._key, f"msg_{hook.job_id}", int(time.time()), body)
        headers |= {"Content-Type": "application/json", "User-Agent": "Safelight"}
        try:
            async with self._opened().post(hook.url, data=body, headers=headers, allow_redirects=False) as answer:
                if 200 <= answer.status < 300:
                    return None, 0.0
                wait = None if answer.status == _GONE else _retry_after(answer.headers.get("Retry-After", ""))
                return f"status {answer.status}", wait
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return f"{type(error).__name__}: {error}"[:300], 0.0

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=OpenResolver(self._targets), use_dns_cache=False, limit=AT_ONCE)
            timeout = aiohttp.ClientTimeout(total=SECONDS)
            jar = aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar, trust_env=False)
        return self._session

    def _wait(self, tries: int) -> float:
        """Seconds until the next try; not the same for all that failed together."""
        wait = min(LONGEST_WAIT, self._settings.first_wait * GROWTH ** (tries - 1))
        return wait * random.uniform(0.8, 1.2)

    async def _keep(self, hook: Hook) -> None:
        try:
            await self._waiting.put(hook)
        except StoreError as error:  # it goes on without, and may be sent twice
            log.warning("the state of a webhook is not on disk: %s", error)

    async def _done(self, hook: Hook) -> None:
        self._held.discard(hook.job_id)
        try:
            await self._waiting.remove(hook.job_id)
        except StoreError as error:
            log.warning("a webhook that is done stays on disk: %s", error)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a webhook was not delivered", exc_info=error)


def install_webhooks(app: web.Application, webhooks: Webhooks, opened: asyncio.Event) -> None:
    """Have an application go on with its webhooks once its store is open, and stop them with it."""
    tasks: list[asyncio.Task[None]] = []

    async def resume() -> None:
        await opened.wait()
        await webhooks.resume()

    async def start(app: web.Application) -> None:
        tasks.append(asyncio.get_running_loop().create_task(resume()))

    async def stop(app: web.Application) -> None:
        for task in tasks:
            task.cancel()
        await webhooks.close()

    app.on_startup.append(start)
    app.on_shutdown.append(stop)


def _host(url: str) -> str:
    """What of an address may be in the log: its path or query may hold a secret."""
    return urlsplit(url).netloc


def _retry_after(text: str) -> float:
    """Seconds that a receiver asks to be left alone."""
    return min(float(text), LONGEST_WAIT) if text.isascii() and text.isdigit() and len(text) < 9 else 0.0
