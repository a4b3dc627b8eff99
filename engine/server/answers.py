"""The form of every answer: problems as JSON, headers that keep browsers from guessing, one line in the access log."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from engine.server.proxies import keeps_prefix
from engine.server.refusals import Refusal

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

access = logging.getLogger("safelight.access")
log = logging.getLogger("safelight.server")

_MESSAGES = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    416: "range_not_satisfiable",
}
_FIRST_PROBLEM = 400

_SETTINGS_WRONG = ("unknown_host", "foreign_origin")
"""Refusals that a wrong setting of a proxy or of ours brings: a browser does not show why it cannot open a websocket."""
_MOST_TOLD = 32

TOLD: web.AppKey[set[str]] = web.AppKey("told", set)
"""What to set that the log has told already."""

Forms: TypeAlias = dict[str, Callable[[Refusal], Refusal]]
FORMS: web.AppKey[Forms] = web.AppKey("forms", dict)
"""Beginning of a path → how its refusals are told, for APIs whose errors have a form of their own."""


def secure_headers(*, shared: bool = False) -> tuple[tuple[str, str], ...]:
    """Headers of every answer that does not set its own. `shared`: pages of other origins are allowed to embed answers."""
    return (
        ("X-Content-Type-Options", "nosniff"),
        # `no-referrer` would make browsers send `Origin: null` with the forms of our own pages.
        ("Referrer-Policy", "same-origin"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Content-Security-Policy", "frame-ancestors 'self'"),
        ("Cross-Origin-Resource-Policy", "cross-origin" if shared else "same-origin"),
    )


@web.middleware
async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever is raised with a JSON problem, and log the request."""
    began = time.perf_counter()
    try:
        answer = await handler(request)
    except Exception as error:
        if isinstance(error, web.HTTPException) and error.status < _FIRST_PROBLEM:  # a redirect
            _log(request, error.status, began)
            raise
        if isinstance(error, ConnectionError) and _has_gone(request):
            raise  # nobody is left to answer, and `HttpLog` passes over it
        if request.writer.output_size > 0:
            log.warning("The answer to %s %s broke off", request.method, _path(request), exc_info=error)
            raise ConnectionResetError("an answer that has begun cannot become a problem") from error
        answer = _problem(request, error)
    _log(request, answer.status, began)
    return answer


def _has_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


class HttpLog(logging.LoggerAdapter[logging.Logger]):
    """The log of aiohttp itself. What is not HTTP is told in one line without its text, which may hold a token."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger("safelight.http"), {})

    def exception(self, msg: object, *args: object, exc_info: Any = True, **kwargs: Any) -> None:
        """Log a request that cannot be read as such, or whose client has gone, and anything else with its traceback."""
        if isinstance(exc_info, HttpProcessingError):
            self.info("A request cannot be read: %s", type(exc_info).__name__)
        elif isinstance(
            exc_info, ConnectionError
        ):  # `answered` has told of an answer that broke off by a fault of ours
            self.debug("A client has gone before its answer: %s", exc_info)
        else:
            super().exception(msg, *args, exc_info=exc_info, **kwargs)


def _problem(request: web.Request, error: Exception) -> web.Response:
    """The answer that tells of `error`."""
    status = getattr(error, "status", None)
    if status in (404, 405) and (advice := keeps_prefix(request)):
        _tell_once(request, advice)
        return _refused(request, Refusal(404, "prefix_kept", advice))
    if isinstance(error, Refusal):
        if error.type in _SETTINGS_WRONG:
            _tell_once(request, error.message)
        return _refused(request, error)
    if isinstance(error, web.HTTPException):
        return _http_problem(request, error)
    if isinstance(error, (web.RequestPayloadError, HttpProcessingError)):
        return _refused(
            request, Refusal(400, "broken_body", f"The body broke off or was not sent as announced: {error}.")
        )
    if isinstance(error, TimeoutError):
        log.warning("%s %s took too long", request.method, _path(request), exc_info=error)
        return _refused(request, Refusal(503, "timeout", "The server was too busy to answer in time. Try again."))
    number = secrets.token_hex(4)
    log.error("%s %s failed (error %s)", request.method, _path(request), number, exc_info=error)
    message = f"The server failed here; its log tells more under the number {number}. It goes on, and so may you."
    return _refused(request, Refusal(500, "server_error", message, error_id=number))


def _tell_once(request: web.Request, message: str) -> None:
    """Log what to set, but the same only once, and no endless number."""
    told = request.app.get(TOLD)
    if told is not None and message not in told and len(told) < _MOST_TOLD:
        told.add(message)
        log.warning("%s", message)


def _refused(request: web.Request, refusal: Refusal) -> web.Response:
    forms = request.app.get(FORMS, {})
    form = next((form for beginning, form in forms.items() if request.path.startswith(beginning)), _as_it_is)
    try:
        answer = form(refusal).response()
    except UnicodeEncodeError:  # the message quotes bytes of a request that are no UTF-8
        message = refusal.message.encode(errors="backslashreplace").decode()
        answer = form(Refusal(refusal.status, refusal.type, message)).response()
    if refusal.status == 401:
        answer.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    return answer


def _as_it_is(refusal: Refusal) -> Refusal:
    return refusal


def _http_problem(request: web.Request, error: web.HTTPException) -> web.Response:
    """aiohttp's own exceptions in the form of ours."""
    type_ = _MESSAGES.get(error.status, "bad_request" if error.status < 500 else "server_error")
    refusal = Refusal(error.status, type_, _http_message(request, error))
    answer = _refused(request, refusal)
    for name in (hdrs.ALLOW, hdrs.CONTENT_RANGE, hdrs.RETRY_AFTER):
        if name in error.headers:
            answer.headers[name] = error.headers[name]
    return answer


def _http_message(request: web.Request, error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPNotFound):
        return f"There is nothing at {_path(request)}."
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return f"{_path(request)} does not take {error.method}: use {allowed}."
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return "The body is larger than what is taken here."
    return error.text if error.text and error.text != f"{error.status}: {error.reason}" else f"{error.reason}."


def _path(request: web.Request) -> str:
    """The path as it was sent (percent-encoded, so that it stays one line), without the query, which may hold secrets."""
    return request.rel_url.raw_path


def _log(request: web.Request, status: int, began: float) -> None:
    """Refusals are always logged; what went well only for those who ask for it, as editors poll and scripts post a lot."""
    level = logging.DEBUG if status < _FIRST_PROBLEM else logging.INFO
    if access.isEnabledFor(level):
        path, ms = _path(request), round((time.perf_counter() - began) * 1000, 2)
        fields = {"method": request.method, "path": path, "status": status, "ms": ms}
        access.log(level, "%s %s → %s", request.method, path, status, extra=fields)
