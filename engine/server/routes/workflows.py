"""The saved workflows: what each takes and gives, and its picture."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from engine.media.types import UNKNOWN
from engine.saved_workflows import thumbnail_of
from engine.server.inert import content_type, file_response
from engine.server.proxies import prefix_of
from engine.server.refusals import Refusal, json_response
from engine.server.routes.history import whole_number
from engine.server.routing import Query, Route
from engine.server.workflows.library import BrokenWorkflow, SavedWorkflow
from engine.server.workflows.runner import RunService
from engine.server.workflows.told import broken_json, workflow_json

MOST: Final = 1_000
"""Workflows in one answer."""

NAME: Final = Query(name="name", doc="The path below its folder without `.json`: `portraits/soft_light`.")
_THUMBNAIL: Final = "thumbnail"
UNKNOWN_NAME: Final = "There is no such workflow; `nearest` has the nearest names."


class WorkflowRoutes:
    """Answers what workflows there are."""

    def __init__(self, runs: RunService) -> None:
        self._runs = runs

    def routes(self) -> list[Route]:
        """Their declarations. `/thumbnail` stands before the names, which may hold `/`."""
        return [
            Route(
                method="GET",
                path="/api/v1/workflows",
                handler=self.listed,
                summary="The saved workflows, by name: parameters as JSON Schema, outputs, what keeps one from running.",
                tag="workflows",
                query=(
                    Query(name="limit", schema={"type": "integer", "minimum": 0, "maximum": MOST}),
                    Query(name="offset", schema={"type": "integer", "minimum": 0}),
                ),
                answer=WORKFLOWS,
                api_only=True,
                refusals={400: "A number is none."},
            ),
            Route(
                method="GET",
                path="/api/v1/workflows/{name:.+}/thumbnail",
                handler=self.thumbnail,
                summary="The picture beside a workflow.",
                tag="workflows",
                query=(NAME,),
                answer={"type": "string", "format": "binary"},
                answer_type="image/*",
                api_only=True,
                refusals={404: "There is no such workflow, or no picture of it."},
            ),
            Route(
                method="GET",
                path="/api/v1/workflows/{name:.+}",
                handler=self.one,
                summary="A saved workflow: its parameters as JSON Schema, its outputs, what keeps it from running.",
                tag="workflows",
                query=(NAME,),
                answer=WORKFLOW,
                api_only=True,
                refusals={404: UNKNOWN_NAME},
            ),
        ]

    async def listed(self, request: web.Request) -> web.Response:
        limit = min(whole_number(request, "limit", MOST, least=0) or 0, MOST)
        offset = whole_number(request, "offset", 0, least=0) or 0
        found = await self._runs.library.all()
        page = found[offset : offset + limit]
        return json_response(
            {
                "workflows": await asyncio.to_thread(self._told, page, prefix_of(request)),
                "total": len(found),
            }
        )

    async def one(self, request: web.Request) -> web.Response:
        return json_response(await self._told_of(request, request.match_info["name"]))

    async def thumbnail(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        whole = f"{name}/{_THUMBNAIL}"
        if not self._runs.library.has(name) and self._runs.library.has(whole):  # a workflow that is called so
            return json_response(await self._told_of(request, whole))
        return await asyncio.to_thread(self._thumbnail, name)

    async def _told_of(self, request: web.Request, name: str) -> dict[str, Any]:
        found = await self._runs.library.find(name)
        return (await asyncio.to_thread(self._told, [found], prefix_of(request)))[0]

    def _told(self, found: list[SavedWorkflow | BrokenWorkflow], prefix: str) -> list[dict[str, Any]]:
        told = []
        for one in found:
            if isinstance(one, BrokenWorkflow):
                told.append(broken_json(one, prefix))
            else:
                readiness = self._runs.readiness.of(one)
                picture = thumbnail_of(one.path) is not None
                told.append(workflow_json(one, readiness, self._runs.choices, picture, prefix))
        return told

    def _thumbnail(self, name: str) -> web.StreamResponse:
        path = thumbnail_of(self._runs.library.path(name))
        kind = content_type(path) if path is not None else UNKNOWN
        if path is None or kind == UNKNOWN:
            raise Refusal(404, "no_thumbnail", f"There is no picture beside the workflow {name[:200]!r}.")
        return file_response(path, kind)


_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}

WORKFLOW: Final[dict[str, Any]] = {
    "title": "Workflow",
    "type": "object",
    "required": ["name", "doc", "parameters", "outputs", "runnable", "problems", "url", "run_url"],
    "properties": {
        "name": _TEXT,
        "doc": _TEXT,
        "parameters": {"type": "object", "description": "JSON Schema of what a call takes."},
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "kind", "doc"],
                "properties": {
                    "name": _TEXT,
                    "kind": {"enum": ["image", "mask", "audio", "video", "mesh", "text", "file"]},
                    "doc": _TEXT,
                },
            },
        },
        "runnable": {"type": "boolean"},
        "problems": {**_TEXTS, "description": "What keeps it from running, or should be known."},
        "missing_nodes": {**_TEXTS, "description": "Types of nodes that are not installed."},
        "missing_models": {**_TEXTS, "description": "Model files that are not here, with their folders."},
        "url": _TEXT,
        "run_url": _TEXT,
        "thumbnail_url": {"type": ["string", "null"]},
    },
}

WORKFLOWS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["workflows", "total"],
    "properties": {"workflows": {"type": "array", "items": WORKFLOW}, "total": {"type": "integer"}},
}
