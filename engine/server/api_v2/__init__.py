"""The Comfy API v2 (`/api/v2`): the field's second contract, with jobs and assets, spoken by this server itself.

What is spoken and what is not is told in docs/api_v2.md. Jobs are the server's own: the same checks, queue, store and history as
those of POST /prompt. Assets are names for files of the input, output and temp folders.
"""

from __future__ import annotations

from aiohttp import web

from engine.jobs.dispatch import Dispatcher
from engine.jobs.store import JobStore
from engine.paths import Paths
from engine.server.acceptance import Acceptance
from engine.server.api_v2.asset_files import AssetFiles
from engine.server.api_v2.asset_index import AssetIndex
from engine.server.api_v2.assets import Assets
from engine.server.api_v2.declarations import declared
from engine.server.api_v2.job_documents import JobDocuments
from engine.server.api_v2.jobs import Jobs
from engine.server.api_v2.problems import name_request, problem_answers
from engine.server.api_v2.submitting import Submitting
from engine.server.limits import Limits
from engine.server.routing import Route
from engine.server.watching import Watches

FILE_NAME = "api_v2.db"
"""In the user folder: which assets there are, and what this API keeps of jobs."""


class ApiV2:
    """All parts of it. `routes` go into an application that `install` was called for."""

    def __init__(
        self,
        paths: Paths,
        dispatcher: Dispatcher,
        store: JobStore,
        watches: Watches,
        acceptance: Acceptance,
        limits: Limits,
    ) -> None:
        self._index = AssetIndex(paths.user / FILE_NAME)
        files = AssetFiles(paths)
        self._assets = Assets(self._index, files, paths, dispatcher)
        documents = JobDocuments(dispatcher, store, self._index, files)
        submitting = Submitting(acceptance, dispatcher, self._assets, self._index, limits.max_queue)
        self._jobs = Jobs(dispatcher, store, watches, self._index, documents, submitting)

    def routes(self) -> list[Route]:
        """Their declarations."""
        return declared(self._jobs, self._assets)

    async def close(self) -> None:
        """Close its file."""
        await self._index.close()


def install_api_v2(app: web.Application, api: ApiV2) -> None:
    """Give refusals of the API their form, and close its file with the application.

    After the guards are installed, whose refusals are among them.
    """

    async def close(app: web.Application) -> None:
        await api.close()

    app.on_cleanup.append(close)
    app.middlewares.insert(0, problem_answers)
    app.on_response_prepare.append(name_request)
