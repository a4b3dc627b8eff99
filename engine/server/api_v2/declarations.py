"""The table of operations: every route of the Comfy API v2, and what comes and goes."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from engine.server.api_v2.assets import Assets, FromHash
from engine.server.api_v2.job_documents import STATUSES
from engine.server.api_v2.jobs import MOST, Jobs
from engine.server.refusals import json_response
from engine.server.routing import Query, Route

_TAG: Final = "api v2"


def declared(jobs: Jobs, assets: Assets) -> list[Route]:
    """All routes."""
    found = [_health(), *_of_jobs(jobs), *_of_assets(assets)]
    return [msgspec.structs.replace(route, api_only=True, problems="document") for route in found]


def _health() -> Route:
    async def health(request: web.Request) -> web.Response:
        return json_response({"status": "healthy"})

    return Route(
        method="GET",
        path="/api/v2/health",
        handler=health,
        summary="Whether the server answers.",
        tag=_TAG,
        answer={"type": "object", "properties": {"status": {"const": "healthy"}}},
    )


def _of_jobs(jobs: Jobs) -> list[Route]:
    unknown = {404: "There is no such job."}
    return [
        Route(
            method="POST",
            path="/api/v2/jobs",
            handler=jobs.create,
            summary="Queue a graph; its core/ASSET references mean assets of this server.",
            tag=_TAG,
            body=_CREATE,
            answer=_JOB,
            status=201,
            refusals={
                413: "The body is too large.",
                422: "The graph is not sound, an asset is missing, or the Idempotency-Key was used.",
                429: "Too many jobs wait.",
                503: "The server is ending.",
                507: "The disk is full.",
            },
        ),
        Route(
            method="GET",
            path="/api/v2/jobs",
            handler=jobs.show,
            summary="Jobs, newest first, page by page. metadata[NAME]=VALUE keeps those with such a label.",
            tag=_TAG,
            query=(
                Query(name="limit", schema={"type": "integer", "minimum": 1, "maximum": MOST}),
                Query(name="cursor", doc="`next_cursor` of the page before."),
                Query(name="status", doc=f"Some of {', '.join(STATUSES)}, with commas."),
            ),
            answer=_JOBS,
            refusals={400: "A parameter is not one of those that are known."},
        ),
        Route(
            method="GET",
            path="/api/v2/jobs/{id}",
            handler=jobs.get,
            summary="One job: how far it is, what it put out, why it failed.",
            tag=_TAG,
            answer=_JOB,
            refusals=unknown,
        ),
        Route(
            method="GET",
            path="/api/v2/jobs/{id}/workflow",
            handler=jobs.workflow,
            summary="The graph that ran, or the saved workflow that it was made from.",
            tag=_TAG,
            query=(Query(name="format", schema={"enum": ["api", "save"], "default": "api"}),),
            answer={
                "type": "object",
                "properties": {"workflow": {"type": "object"}, "format": {"enum": ["api", "save"]}},
            },
            refusals=unknown,
        ),
        Route(
            method="POST",
            path="/api/v2/jobs/{id}/cancel",
            handler=jobs.cancel,
            summary="Cancel a job; one that has ended stays as it is.",
            tag=_TAG,
            answer=_JOB,
            refusals=unknown,
        ),
        Route(
            method="GET",
            path="/api/v2/jobs/{id}/events",
            handler=jobs.events,
            summary="What happens to a job as server-sent events: status, progress, preview, output.",
            tag=_TAG,
            answer={"type": "string"},
            answer_type="text/event-stream",
            refusals={**unknown, 429: "Too many streams are open."},
        ),
    ]


def _of_assets(assets: Assets) -> list[Route]:
    unknown = {404: "There is no such asset."}
    by_hash = {404: "There are no such bytes."}
    path = "/api/v2/assets/by-hash/{hash}"
    return [
        Route(
            method="POST",
            path="/api/v2/assets",
            handler=assets.upload,
            summary="Upload a file into the input folder; bytes that are here already are not stored again.",
            tag=_TAG,
            body=_UPLOAD,
            body_type="multipart",
            answer=_ASSET,
            status=201,
            refusals={
                408: "The file came too slowly.",
                409: "The bytes do not have the announced hash.",
                413: "The file is too large.",
                415: "It is no form.",
                507: "The disk is full; nothing was saved.",
            },
        ),
        Route(
            method="POST",
            path="/api/v2/assets/from-hash",
            handler=assets.from_hash,
            summary="An asset of bytes that are here already.",
            tag=_TAG,
            body=FromHash,
            answer=_ASSET,
            refusals=by_hash,
        ),
        Route(
            method="GET",
            path=path,
            handler=assets.by_hash,
            summary="An asset of these bytes.",
            tag=_TAG,
            answer=_ASSET,
            refusals=by_hash,
        ),
        Route(
            method="HEAD",
            path=path,
            handler=assets.by_hash,
            summary="Whether these bytes are here.",
            tag=_TAG,
            refusals=by_hash,
        ),
        Route(
            method="GET",
            path="/api/v2/assets/{id}",
            handler=assets.get,
            summary="What is known of an asset.",
            tag=_TAG,
            answer=_ASSET,
            refusals=unknown,
        ),
        Route(
            method="DELETE",
            path="/api/v2/assets/{id}",
            handler=assets.delete,
            summary="Delete an asset, and its file with the last one that names it.",
            tag=_TAG,
            status=204,
            refusals={**unknown, 409: "A job that waits or runs needs it."},
        ),
        *(
            Route(
                method=method,
                path="/api/v2/assets/{id}/content",
                handler=assets.content,
                summary=summary,
                tag=_TAG,
                answer={"type": "string", "format": "binary"} if method == "GET" else None,
                answer_type="*/*" if method == "GET" else "application/json",
                refusals={404: "There is no such asset, or its file is gone.", 416: "It does not have these bytes."},
            )
            for method, summary in _CONTENT
        ),
    ]


_CONTENT: Final[tuple[tuple[Any, str], ...]] = (
    ("GET", "The bytes of an asset, with ranges."),
    ("HEAD", "How many bytes an asset has."),
)

_TIME: Final = {"type": ["string", "null"], "format": "date-time"}
_TEXT: Final = {"type": ["string", "null"]}

_ASSET: Final = {
    "type": "object",
    "required": ["id", "hash", "size_bytes", "content_type", "created_at", "url", "url_expires_at"],
    "properties": {
        "id": {"type": "string"},
        "hash": _TEXT,
        "size_bytes": {"type": "integer"},
        "content_type": {"type": "string"},
        "file_path": _TEXT,
        "created_new": {"type": "boolean"},
        "created_at": {"type": "string", "format": "date-time"},
        "url": {"type": "string", "format": "uri"},
        "url_expires_at": {"type": "string", "format": "date-time"},
        "expires_at": _TIME,
        "job_id": _TEXT,
    },
}

_OUTPUT: Final = {
    "type": "object",
    "required": ["node_id", "name", "type", "content_type", "size_bytes", "id", "hash", "url", "url_expires_at"],
    "properties": {
        "node_id": {"type": "string"},
        "name": {"type": "string"},
        "type": {"enum": ["image", "video", "audio", "text", "file", "latent"]},
        "content_type": {"type": "string"},
        "size_bytes": {"type": "integer"},
        "id": {"type": "string"},
        "hash": _TEXT,
        "url": {"type": "string", "format": "uri"},
        "url_expires_at": {"type": "string", "format": "date-time"},
        "job_id": _TEXT,
    },
}

_PROGRESS: Final = {
    "type": ["object", "null"],
    "required": ["value", "nodes_done", "nodes_total"],
    "properties": {
        "value": {"type": "number", "minimum": 0, "maximum": 1},
        "nodes_done": {"type": "integer"},
        "nodes_total": {"type": "integer"},
        "current_node": _TEXT,
        "current_node_class": _TEXT,
        "step": {"type": ["integer", "null"]},
        "steps": {"type": ["integer", "null"]},
        "message": _TEXT,
    },
}

_ERROR: Final = {
    "type": ["object", "null"],
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "node_id": _TEXT,
        "class_type": _TEXT,
        "traceback": _TEXT,
    },
}

_METADATA: Final = {
    "anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}, {"type": "string"}],
    "description": "Labels of the caller's own, by which the list can be asked.",
}

_URLS: Final = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("self", "events", "cancel", "workflow")},
}

_JOB: Final = {
    "type": "object",
    "required": [
        "id",
        "status",
        "created_at",
        "started_at",
        "completed_at",
        "expires_at",
        "queue_position",
        "progress",
        "outputs",
        "error",
        "urls",
    ],
    "properties": {
        "id": {"type": "string"},
        "status": {"enum": list(STATUSES)},
        "created_at": {"type": "string", "format": "date-time"},
        "started_at": _TIME,
        "completed_at": _TIME,
        "expires_at": {"type": "string", "format": "date-time"},
        "queue_position": {"type": ["integer", "null"]},
        "progress": _PROGRESS,
        "outputs": {"type": "array", "items": _OUTPUT},
        "error": _ERROR,
        "outputs_reused": {"type": "boolean", "description": "Whether some nodes were served from the cache."},
        "metrics": {"type": "object", "additionalProperties": {"type": ["integer", "null"]}},
        "metadata": _METADATA,
        "priority": {"type": "integer"},
        "node_errors": {"type": "object", "description": "Nodes that do not run, though others do."},
        "urls": _URLS,
    },
}

_JOBS: Final = {
    "type": "object",
    "required": ["jobs"],
    "properties": {
        "jobs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "status", "create_time", "update_time"],
                "properties": {
                    "id": {"type": "string"},
                    "status": {"enum": list(STATUSES)},
                    "create_time": {"type": "string", "format": "date-time"},
                    "update_time": {"type": "string", "format": "date-time"},
                    "queue_position": {"type": ["integer", "null"]},
                    "error": _ERROR,
                    "metadata": _METADATA,
                    "urls": _URLS,
                },
            },
        },
        "next_cursor": {"type": "string", "description": "Missing on the last page."},
    },
}

_CREATE: Final = {
    "type": "object",
    "required": ["workflow"],
    "properties": {
        "workflow": {
            "type": "object",
            "description": "A graph in the prompt form, or a workflow as editors save it. In place of the name of a file may "
            'stand {"__type": "core/ASSET", "info": {"id": …}}.',
        },
        "metadata": _METADATA,
        "priority": {"type": "integer", "description": "Told again, and of no effect."},
        "extra_data": {"type": "object", "properties": {"api_key_comfy_org": {"type": "string"}}},
    },
}

_UPLOAD: Final = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "file_path": {"type": "string", "description": "Its name, such as photo.png or input/faces/photo.png."},
        "content_type": {"type": "string"},
        "expected_hash": {"type": "string", "description": "blake3: and 64 hexadecimal digits."},
        "tags": {"type": "string", "description": "Taken, and not kept."},
    },
}
