"""From a graph to a job in the queue: the one way, whoever brings it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from engine.graph.a1111 import ModelFiles
from engine.graph.schema import Catalogue
from engine.jobs.dispatch import Dispatcher
from engine.jobs.records import Job
from engine.jobs.store import JobStore
from engine.jobs.store_errors import DuplicateJobError
from engine.server.checks import Checks
from engine.server.graph_source import Posted
from engine.server.pack_prompts import PackPrompts
from engine.server.packs import Packs
from engine.server.refusals import Refusal
from engine.server.submission import Wish, make_job, place, read_wish


class Acceptance:
    """Checks graphs and takes them in. `files` gives the file names in a models folder, or in `input`."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        store: JobStore,
        catalogue: Callable[[], Awaitable[Catalogue]],
        files: ModelFiles,
        packs: Packs,
    ) -> None:
        self.catalogue = catalogue
        """The nodes that there are; waits until they have been read."""
        self.files = files
        self._packs = PackPrompts(packs)
        self._dispatcher = dispatcher
        self._store = store
        self._checks = Checks(files.names)

    def refuse_when_ending(self) -> None:
        """Raises Refusal 503 when the server takes no further jobs."""
        if self._dispatcher.draining:
            raise Refusal(
                503, "server_ends", "The server is ending and takes no further jobs. Post again once it is back."
            )

    async def check(
        self, posted: Posted, catalogue: Catalogue, *, large: bool = False
    ) -> tuple[Job, Wish, dict[str, Any]]:
        """The job, what the client wishes for it, and the problems of nodes that do not keep it from running.

        `large`: on a thread. Raises GraphRefused when no output can run, Refusal 400 and 503.
        """
        wish = read_wish(posted)
        if await self._packs.concern(posted, catalogue):
            posted, graph = await self._packs.check(posted, catalogue, wish.targets)
            wish = read_wish(posted)
        elif large:
            graph = await asyncio.to_thread(self._checks.check, posted, catalogue, wish.targets)
        else:
            graph = self._checks.check(posted, catalogue, wish.targets)
        return make_job(wish, graph), wish, graph.node_errors

    async def accept(self, job: Job, wish: Wish) -> None:
        """Put a checked job into the queue: it is on disk when this returns, and so it is when the caller is cancelled.

        Raises Refusal 409 for an id that is known already, StoreFullError.
        """
        await asyncio.shield(self._accept(job, wish))

    async def _accept(self, job: Job, wish: Wish) -> None:
        """Runs to its end even when the client has gone: what is on disk must get into the queue."""
        place(job, wish, self._store.next_sequence)  # nothing is awaited from here until the store has it
        try:
            await self._dispatcher.accept(job)
        except DuplicateJobError:
            raise Refusal(
                409, "duplicate_prompt_id", f"A job with the prompt_id {job.id!r} is known already. Use a new one."
            ) from None
