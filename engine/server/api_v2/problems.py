"""Refusals of the Comfy API v2: problem documents (RFC 9457) that hold the contract's own envelope, and ids of requests.

`{type, title, status, detail, code, request_id, error: {code, message, details}}`: clients of the contract read `error`, others
the rest. What routes, guards and aiohttp refuse in their own form is put into this one for every path of the API.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from engine.server.checks import GraphRefused
from engine.server.refusals import Refusal

PREFIX: Final = "/api/v2/"
CONTENT_TYPE: Final = "application/problem+json"
REQUEST_ID: Final = "X-Comfy-Request-Id"
TYPE: Final = "urn:comfy:api-v2:problem:"
RETRY_AFTER: Final = 2
"""Seconds that a client waits before it asks again, where nothing more is known."""

_RETRIED: Final = (429, 503)
_ID: Any = web.RequestKey("request_id", str) if hasattr(web, "RequestKey") else "request_id"  # aiohttp 3.14

CODES: Final[Mapping[int, str]] = {
    400: "invalid_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "payload_too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "invalid_request",
    429: "queue_full",
    500: "internal_error",
    503: "unavailable",
    507: "storage_full",
}
"""What a refusal of another part of the server is called here, by its status; a refusal of ours has its own code."""

_TITLES: Final[Mapping[str, str]] = {
    "invalid_workflow": "The workflow cannot run",
    "workflow_format_ui": "The saved workflow cannot be turned into one that runs",
    "missing_asset": "An asset that the workflow names is not there",
    "hash_mismatch": "The bytes do not have the announced hash",
    "blob_not_found": "There are no such bytes",
    "idempotency_key_reuse": "The idempotency key was used",
    "queue_full": "The queue is full",
    "not_found": "There is no such thing",
    "output_unavailable": "The bytes are gone",
    "asset_in_use": "A job needs the asset",
}


class Problem(Refusal):
    """A refusal with a code of the contract. `details` is for programs."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, code, message)
        self.told = dict(details) if details else None
        self.headers.update(headers or {})

    def response(self) -> web.Response:
        """The answer; the id of the request is added by `problem_answers`."""
        answer = document(self.status, self.type, self.message, self.told)
        answer.headers.update(self.headers)
        return answer


def document(
    status: int,
    code: str,
    message: str,
    details: Mapping[str, Any] | None,
    *,
    request_id: str | None = None,
) -> web.Response:
    """A problem document."""
    body: dict[str, Any] = {
        "type": TYPE + code,
        "title": _TITLES.get(code, code.replace("_", " ").capitalize()),
        "status": status,
        "detail": message,
        "code": code,
        "request_id": request_id,
        "error": {"code": code, "message": message, "details": details},
    }
    answer = web.Response(body=msgspec.json.encode(body), status=status, content_type=CONTENT_TYPE)
    if status in _RETRIED:
        answer.headers[hdrs.RETRY_AFTER] = str(RETRY_AFTER)
    return answer


def graph_problem(refused: GraphRefused, *, saved: bool) -> Problem:
    """All that is wrong with a graph at once. `saved`: it came in the form that editors save."""
    body = refused.body()
    errors = body.get("node_errors") or {}
    details = {"node_errors": errors, "errors": [*_each(errors)]}
    message = refused.message
    if details["errors"]:
        first = details["errors"][0]
        more = len(details["errors"]) - 1
        place = f"Node {first['node_id']} ({first['class_type']})" + (f", {first['field']}" if first["field"] else "")
        message = f"{place}: {first['message']}" + (f" ({more} more in details)" if more else "")
    elif body["error"].get("details"):
        message = f"{message}: {body['error']['details']}"
    unread = saved and refused.type not in ("prompt_outputs_failed_validation", "prompt_no_outputs")
    return Problem(422, "workflow_format_ui" if unread else "invalid_workflow", message, details)


def _each(node_errors: Mapping[str, Any]) -> Any:
    for node, found in node_errors.items():
        for error in found.get("errors", ()):
            yield {
                "node_id": node,
                "class_type": found.get("class_type"),
                "field": (error.get("extra_info") or {}).get("input_name"),
                "reason": error.get("type"),
                "message": ": ".join(text for text in (error.get("message"), _details(error)) if text),
            }


def _details(error: Mapping[str, Any]) -> str:
    """The details of a problem, where they are more than the input's name."""
    details = str(error.get("details") or "")
    return "" if details == (error.get("extra_info") or {}).get("input_name") else details


@web.middleware
async def problem_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Outermost: gives requests of the API their id, and every refusal its form."""
    if not request.path.startswith(PREFIX):
        return await handler(request)
    request[_ID] = secrets.token_hex(8)
    answer = await handler(request)
    if answer.status < 400 or answer.prepared or not isinstance(answer, web.Response):
        return answer
    return _in_form(request, answer)


async def name_request(request: web.Request, response: web.StreamResponse) -> None:
    """Send the id of the request along, also with streams and files."""
    if _ID in request:
        response.headers[REQUEST_ID] = request[_ID]


def _in_form(request: web.Request, answer: web.Response) -> web.Response:
    told = _decoded(answer)
    error = told.get("error") if isinstance(told.get("error"), dict) else {}
    assert isinstance(error, dict)
    if answer.content_type == CONTENT_TYPE:
        code, message, details = error["code"], error["message"], error["details"]
    else:
        code = _code(answer.status, error.get("type"))
        message = error.get("message") or f"{answer.status} {answer.reason}"
        extra = {**(error.get("extra_info") or {}), "reason": error.get("type")}
        details = {name: value for name, value in extra.items() if value is not None} or None
    found = document(answer.status, code, message, details, request_id=request[_ID])
    for name in (hdrs.ALLOW, hdrs.CONTENT_RANGE, hdrs.RETRY_AFTER, hdrs.WWW_AUTHENTICATE):
        if name in answer.headers:
            found.headers[name] = answer.headers[name]
    return found


def _code(status: int, type: Any) -> str:
    if type == "idempotency_key_reuse" or type == "too_many_streams":
        return str(type)
    return CODES.get(status, "invalid_request" if status < 500 else "internal_error")


def _decoded(answer: web.Response) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(answer.body) if isinstance(answer.body, bytes) else {}
    except msgspec.DecodeError:
        found = {}
    return found if isinstance(found, dict) else {}
