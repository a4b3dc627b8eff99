"""Errors in the form of that API: `{"error": {message, type, param, code}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.server.refusals import Refusal

BEGINNING: Final = "/v1/"
"""Of the paths of that API."""

PROBLEM: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "The field that is meant."},
                "code": {"type": "string", "description": "A word in snake_case, for programs."},
            },
        }
    },
}
"""JSON Schema of that form."""

_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_AGAIN: Final = frozenset({408, 429, 503})
"""Statuses after which the same may be asked again. Of 409 and other 5xx clients think so too, and a run may take minutes."""


class ApiError(Refusal):
    """A refusal that is told in that form. `param` is the field of the request that is meant."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(status, code, message)
        self.param = param
        if status not in _AGAIN:
            self.headers["x-should-retry"] = "false"

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.type}}


def as_api_error(refusal: Refusal, fields: Mapping[str, str] | None = None) -> ApiError:
    """The same in that form. `fields`: parameter of the workflow → field of the request."""
    if isinstance(refusal, ApiError):
        return refusal
    problems = refusal.extra_info.get("problems")
    if refusal.type == "invalid_arguments" and problems:
        parameter = str(problems[0].get("parameter", ""))
        return ApiError(
            400, str(problems[0]["type"]), refusal.message, (fields or {}).get(parameter, parameter) or None
        )
    if refusal.type == "unknown_workflow":
        return ApiError(404, "model_not_found", refusal.message, "model")
    if refusal.type in ("workflow_broken", "workflow_incomplete", "workflow_not_sound"):
        return ApiError(400, refusal.type, refusal.message, "model")
    error = ApiError(refusal.status, refusal.type, refusal.message)
    error.headers.update(refusal.headers)
    return error
