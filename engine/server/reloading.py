"""Reading node packs anew: the workers are started again, and the first one to be there has read what changed."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from engine.jobs.messages import Shutdown
from engine.jobs.workers import Worker, WorkerPool
from engine.plugins.store import forget_failures
from engine.server.catalogues import Catalogues
from engine.server.refusals import Refusal

PATIENCE: Final = 60.0

log = logging.getLogger("safelight.packs")


class Reloading:
    """Starts workers again, and keeps the catalogue as the newest of them has stored it."""

    def __init__(self, pool: WorkerPool, catalogues: Catalogues, stored_at: Path) -> None:
        self._stored_at = stored_at
        self._pool = pool
        self._catalogues = catalogues
        self._wanted = False
        self._read = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    async def reload(self, force: bool) -> None:
        """Return once packs were read anew. Raises Refusal 409 while jobs run, unless `force`; 503 when it takes too long."""
        async with self._one_at_a_time:
            running = [worker for worker in self._pool.workers if worker.job is not None]
            if running and not force:
                message = "Jobs run, and reading the node packs anew ends them. Wait for them, or add ?force=true."
                raise Refusal(409, "jobs_run", message)
            await asyncio.to_thread(forget_failures, self._stored_at)
            self._wanted = True
            self._read.clear()
            for worker in self._pool.workers:
                worker.replaced = worker.process is not None
                if worker in running:
                    worker.kill()
                elif worker.usable:
                    worker.send(Shutdown())
            try:
                await asyncio.wait_for(self._read.wait(), PATIENCE)
            except TimeoutError:
                raise Refusal(503, "no_worker", "The packs are still being read. See the log.") from None

    async def catalogue_ready(self, worker: Worker) -> None:
        """A worker has read the packs: take its catalogue, if that is wanted or there is none."""
        if self._wanted or not self._catalogues.known:
            self._wanted = False
            await self._catalogues.read(as_it_is=True)
        self._read.set()
