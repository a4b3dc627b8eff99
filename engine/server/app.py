"""The application: every route and guard around the parts of a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from aiohttp import web

from engine.config import OpenAISettings, WebhookSettings
from engine.jobs.dispatch import Dispatcher
from engine.jobs.inspections import Inspections
from engine.jobs.store import JobStore
from engine.jobs.store_errors import StoreError, StoreFullError
from engine.media.model_files import FolderFiles
from engine.paths import Paths, shipped
from engine.server.acceptance import Acceptance
from engine.server.answers import FORMS, Forms
from engine.server.api_v2 import ApiV2, install_api_v2
from engine.server.audit import AUDIT
from engine.server.catalogues import Catalogues
from engine.server.guards import Policy, install_guards
from engine.server.hub import Hub
from engine.server.idempotency import install_idempotency
from engine.server.large_bodies import BODIES, LargeBodies
from engine.server.limits import Limits
from engine.server.log_ring import LogRing
from engine.server.openai.errors import BEGINNING, as_api_error
from engine.server.openai.routes import openai_routes
from engine.server.openapi import openapi_routes
from engine.server.options import OptionsError, ServeOptions
from engine.server.pack_proxy import pack_routes
from engine.server.packs import Packs
from engine.server.quotas import Quotas
from engine.server.refusals import Refusal
from engine.server.routes.calls import CallRoutes
from engine.server.routes.convert import convert_routes
from engine.server.routes.frontend import frontend_routes
from engine.server.routes.health import HealthRoutes
from engine.server.routes.history import HistoryRoutes
from engine.server.routes.inspect import InspectRoutes
from engine.server.routes.jobs import JobRoutes
from engine.server.routes.logs import log_routes
from engine.server.routes.models import model_routes
from engine.server.routes.object_info import ObjectInfo
from engine.server.routes.pack_templates import pack_template_routes
from engine.server.routes.packs import PackRoutes
from engine.server.routes.prompts import prompt_routes
from engine.server.routes.queue import QueueRoutes
from engine.server.routes.settings import settings_routes
from engine.server.routes.system import SystemInfo, system_routes
from engine.server.routes.templates import template_routes
from engine.server.routes.translations import translation_routes
from engine.server.routes.uploads import upload_routes
from engine.server.routes.userdata import userdata_routes
from engine.server.routes.users import user_routes
from engine.server.routes.view import view_routes
from engine.server.routes.workflows import WorkflowRoutes
from engine.server.routing import Route, register
from engine.server.sse import install_streams
from engine.server.webhooks.delivery import Webhooks, install_webhooks
from engine.server.webhooks.waiting import FILE_NAME, WaitingHooks
from engine.server.workflows.files import CallFiles
from engine.server.workflows.library import WorkflowLibrary
from engine.server.workflows.operations import Operations
from engine.server.workflows.runner import RunService

BEFORE_STORE: Final = ("/system_stats", "/health", "/object_info", "/features")
"""Answered while the store is still being opened; everything else waits for it."""


@dataclass(frozen=True)
class Parts:
    """What the routes stand on."""

    paths: Paths
    store: JobStore
    dispatcher: Dispatcher
    inspections: Inspections
    hub: Hub
    catalogues: Catalogues
    system: SystemInfo
    ring: LogRing
    version: str
    opened: asyncio.Event
    """Set once the store is open and its jobs are in the queue."""
    packs: Packs
    object_info: ObjectInfo
    reload: Callable[[bool], Awaitable[None]]
    """Has the workers started again, so that packs are read anew; True: even while jobs run. Raises Refusal."""
    limits: Limits = Limits()  # noqa: RUF009 - it never changes
    openai: OpenAISettings = OpenAISettings()  # noqa: RUF009 - nor does it
    webhook_settings: WebhookSettings = WebhookSettings()  # noqa: RUF009 - nor does it

    @cached_property
    def acceptance(self) -> Acceptance:
        """What takes graphs in, whoever brings them."""
        files = FolderFiles(self.paths.listing, self.paths.locate)
        return Acceptance(self.dispatcher, self.store, self.catalogues.get, files, self.packs)

    @cached_property
    def api_v2(self) -> ApiV2:
        """The Comfy API v2."""
        return ApiV2(self.paths, self.dispatcher, self.store, self.hub.watches, self.acceptance, self.limits)

    @cached_property
    def runs(self) -> RunService:
        """What calls saved workflows, for every way of calling them."""
        library = WorkflowLibrary(self.paths, self.catalogues.get, self.acceptance.files)
        files = CallFiles(self.paths, max_bytes=self.limits.max_upload_size, max_pixels=self.limits.max_pixels)
        return RunService(library, self.acceptance, self.dispatcher, self.store, self.hub.watches, files, self.paths)

    @cached_property
    def webhooks(self) -> Webhooks:
        """What tells others that a job has ended. Raises OptionsError for settings that are not sound."""
        try:
            return Webhooks(self.webhook_settings, self.runs, WaitingHooks(self.paths.user / FILE_NAME))
        except ValueError as error:
            raise OptionsError(f"safelight.toml: {error}.") from None


def make_application(parts: Parts, options: ServeOptions, policy: Policy, limits: Limits) -> web.Application:
    """The aiohttp application. Its start and end are `engine.server.run`'s."""
    parts.dispatcher.admit = Quotas(parts.dispatcher.held, parts.dispatcher.totals.mean_seconds).admit
    app = web.Application()
    install_guards(app, policy, limits)
    if AUDIT in app:
        parts.dispatcher.on_accepted = app[AUDIT].job
    install_streams(app)
    install_idempotency(app, parts.paths.user / "idempotency.db")
    install_webhooks(app, parts.webhooks, parts.opened)
    install_api_v2(app, parts.api_v2)
    forms: Forms = {BEGINNING: as_api_error}
    app[FORMS] = forms
    app[BODIES] = LargeBodies(parts.dispatcher.turns, lambda: parts.paths.directory("temp"))
    app.middlewares.append(app[BODIES].middleware)
    app.middlewares.append(_with_store(parts.opened))
    app.middlewares.append(pack_routes(parts.packs, limits))
    routes = all_routes(parts, limits)
    register(app, [*routes, *openapi_routes(routes, Operations(parts.runs)), *frontend_routes(options.front_end_root)])
    return app


def all_routes(parts: Parts, limits: Limits) -> list[Route]:
    """Every route but those of the front end's files."""
    paths, store, dispatcher, hub = parts.paths, parts.store, parts.dispatcher, parts.hub
    catalogue = parts.catalogues.get
    return [
        *prompt_routes(parts.acceptance, dispatcher),
        *QueueRoutes(dispatcher).routes(),
        *HistoryRoutes(store).routes(),
        *JobRoutes(dispatcher, store).routes(),
        *CallRoutes(parts.runs, parts.webhooks, limits.max_pixels).routes(),
        *WorkflowRoutes(parts.runs).routes(),
        *InspectRoutes(parts.inspections, dispatcher, store, catalogue, paths.listing).routes(),
        *convert_routes(catalogue, parts.acceptance.files),
        _websocket(hub),
        *parts.object_info.routes(),
        *system_routes(parts.system),
        *HealthRoutes(dispatcher, store, lambda: len(hub), parts.version).routes(),
        *view_routes(paths, max_pixels=limits.max_pixels),
        *upload_routes(paths, max_bytes=limits.max_upload_size, max_pixels=limits.max_pixels),
        *userdata_routes(paths, max_bytes=limits.max_upload_size),
        *settings_routes(store),
        *user_routes(),
        *model_routes(paths),
        *template_routes(shipped("workflows")),
        *pack_template_routes(parts.packs.folders),
        *translation_routes(parts.packs.folders),
        *PackRoutes(parts.packs, parts.reload).routes(),
        *log_routes(parts.ring, hub.subscribe_logs, paths),
        *parts.api_v2.routes(),
        *openai_routes(parts.runs, parts.openai, limits.max_pixels),
    ]


def _websocket(hub: Hub) -> Route:
    return Route(
        method="GET",
        path="/ws",
        handler=hub.serve,
        summary="The websocket: status of the queue for all, messages of a job for the client that posted it.",
        tag="websocket",
        status=101,
    )


def _with_store(opened: asyncio.Event) -> Any:
    """Wait until the store is open, and tell what it raises: any route may meet a full disk."""

    @web.middleware
    async def with_store(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not opened.is_set() and not request.path.removeprefix("/api").startswith(BEFORE_STORE):
            await opened.wait()
        try:
            return await handler(request)
        except StoreFullError as error:
            raise Refusal(507, "disk_full", str(error)) from None
        except StoreError as error:
            raise Refusal(503, "store_failed", str(error)) from None

    return with_store
