"""Refusals: errors that a route raises and a client reads as a JSON problem with a status."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web


class Refusal(Exception):  # noqa: N818 - a refusal is an answer
    """Answer a request with `status` and `{"error": {type, message, details, extra_info}, "node_errors": {}}`.

    `type` is a word in snake_case for programs; `message` says what was expected, what came and what to do, for people.
    """

    def __init__(self, status: int, type: str, message: str, *, details: str = "", **extra_info: Any) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message
        self.details = details
        self.extra_info = extra_info
        self.headers: dict[str, str] = {}
        """Of the answer: Retry-After where `extra_info` has `retry_after`, in seconds."""
        if "retry_after" in extra_info:
            self.headers["Retry-After"] = str(extra_info["retry_after"])

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        error = {"type": self.type, "message": self.message, "details": self.details, "extra_info": self.extra_info}
        return {"error": error, "node_errors": {}}

    def response(self) -> web.Response:
        """The answer."""
        answer = json_response(self.body(), status=self.status)
        answer.headers.update(self.headers)
        return answer


def json_response(value: Any, *, status: int = 200) -> web.Response:
    """`value` (anything msgspec can encode; bytes: JSON as they are) as a JSON answer."""
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")
