"""What stands before every route: who may ask (Host, Origin, token), how much may be sent, and the form of every answer.

All of it runs in two middlewares, three with an audit log, as each costs time in every request. `answered` is outermost: it
turns whatever is raised into a JSON problem and writes the access log. `guarded` refuses before a route, and before the body,
is touched.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from engine.server.answers import TOLD, HttpLog, answered, secure_headers
from engine.server.audit import AUDIT, Audit
from engine.server.bodies import LIMITS, encoding_of, too_large
from engine.server.hosts import HostRule, normal_origin, same_origin, split_host
from engine.server.limits import Limits
from engine.server.principals import LOCAL, NOBODY, Principal, scope_of, set_principal
from engine.server.proxies import add_prefix, forwarded_host, is_secure, prefix_of
from engine.server.refusals import Refusal
from engine.server.routing import ROUTE_SCOPES, Scopes
from engine.server.token_file import cookie_of
from engine.server.tokens import COOKIE, PAGE, TOKENS, Tokens

SENT = (
    "Authorization, Comfy-User, Content-Type, Content-Encoding, Idempotency-Key, Last-Event-ID, Prefer, Range, "
    "Safelight-Webhook"
)
"""Headers that pages of another origin may send."""

EXPOSED = (
    "Accept-Ranges, Content-Range, Link, Location, Preference-Applied, Retry-After, Safelight-Job, X-Comfy-Request-Id"
)
"""Headers of answers that pages of another origin may read, beyond the few that they may anyway."""

OPEN_PATHS = ("/health", "/api/health", "/api/v2/health")
"""Answered without a token, for whatever watches over the process."""

RUNNER: dict[str, Any] = {
    "auto_decompress": False,  # `engine.server.bodies` inflates, in bounded steps and only what a route reads
    "access_log": None,  # `answered` writes it, without the query
    "lingering_time": 2.0,  # a refused body is read on this long, so that its sender gets to read the answer
    "keepalive_timeout": 75.0,
    "shutdown_timeout": 5.0,  # what still waits for an answer then is cut off
    "logger": HttpLog(),
}
"""Arguments of `web.AppRunner` that the guards count on."""

_FROM_ELSEWHERE = ("cross-site", "same-site")
_ANY = "*"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Who may use the server."""

    listen: tuple[str, ...] = ("127.0.0.1",)
    port: int = 8188
    token: str | None = None
    """The server's own, which is the admin's; see `engine.server.tokens.ensure_token`."""
    tokens_file: Path | None = None
    """Where named tokens are (`engine.server.token_file`), if there are any."""
    audit_file: Path | None = None
    """Where it is written who did what (`engine.server.audit`)."""
    allow_hosts: tuple[str, ...] = ()
    """More names that clients may call the server by, such as that of a proxy; `*` for any."""
    cors_origins: tuple[str, ...] = ()
    """Pages of other origins that may use the server; `*` for any but `null`."""


def install_guards(app: web.Application, policy: Policy, limits: Limits | None = None) -> None:
    """Put the guards before all routes of `app`. The runner of the app takes the arguments `RUNNER`."""
    limits = limits or Limits()
    app[LIMITS] = limits
    app[TOLD] = set()
    scopes: Scopes = {}
    app[ROUTE_SCOPES] = scopes
    audit = Audit(policy.audit_file) if policy.audit_file is not None else None
    tokens = app[TOKENS] = Tokens(policy.token, policy.tokens_file)
    app.middlewares.extend(make_guards(policy, limits, scopes, audit, tokens))
    if audit is not None:
        app[AUDIT] = audit

        async def close_audit(app: web.Application) -> None:
            await asyncio.to_thread(audit.close)

        app.on_cleanup.append(close_audit)
    headers = secure_headers(shared=bool(policy.cors_origins))
    origins = _Origins(policy.cors_origins, HostRule(policy.listen, policy.allow_hosts))

    async def finish_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers[hdrs.SERVER] = "Safelight"  # versions are nobody's business before the token was shown
        for name, value in headers:
            response.headers.setdefault(name, value)
        if origins:
            origins.add_headers(request, response)
        add_prefix(request, response)

    app.on_response_prepare.append(finish_headers)


def make_guards(
    policy: Policy,
    limits: Limits,
    scopes: Scopes | None = None,
    audit: Audit | None = None,
    tokens: Tokens | None = None,
) -> list[Middleware]:
    """The middlewares, outermost first. `scopes`: what routes need, where not what their method says.

    Raises ValueError for a policy that would leave the server open.
    """
    hosts = HostRule(policy.listen, policy.allow_hosts)
    if hosts.beyond_loopback and not policy.token:
        raise ValueError(f"Listening on {', '.join(policy.listen)} needs a token, as other machines can reach it.")
    origins = _Origins(policy.cors_origins, hosts)
    tokens = tokens or Tokens(policy.token, policy.tokens_file)
    scopes = {} if scopes is None else scopes
    known = lru_cache(256)(lambda host: _is_known(hosts, host))

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = _host_of(request)
        for name in (host, forwarded_host(request)):
            if name is not None and not known(name):
                raise _unknown_host(name)
        if _is_preflight(request):
            return origins.preflight(request)
        origins.check(request, host)
        if not tokens.needed:
            set_principal(request, LOCAL)
        elif request.path in OPEN_PATHS:
            set_principal(request, NOBODY)
        else:
            admitted = _admit(tokens, request)
            if isinstance(admitted, web.Response):
                return admitted
            set_principal(request, admitted)
            _check_scope(admitted, request, scopes)
        _check_body(request, limits)
        return await handler(request)

    return [answered, guarded] if audit is None else [answered, _audited(audit), guarded]


def _audited(audit: Audit) -> Middleware:
    @web.middleware
    async def audited(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            answer = await handler(request)
        except Refusal as refusal:
            audit.request(request, refusal.status, refusal.type)
            raise
        except web.HTTPException as error:
            audit.request(request, error.status)
            raise
        audit.request(request, answer.status)
        return answer

    return audited


# -- Host


def _host_of(request: web.Request) -> str:
    hosts = request.headers.getall(hdrs.HOST, [])
    if len(hosts) != 1:
        message = f"A request needs one Host header; this one has {len(hosts)}."
        raise Refusal(400, "bad_host", message)
    return hosts[0]


def _is_known(hosts: HostRule, host: str) -> bool:
    parts = split_host(host)
    if parts is None:
        raise Refusal(400, "bad_host", f"The Host header {host[:100]!r} is not NAME or NAME:PORT.")
    return hosts.allows(parts[0])


def _unknown_host(host: str) -> Refusal:
    found = split_host(host)
    message = (
        f"This server is not called {host!r}. Open it by its address (such as http://127.0.0.1:8188), or start it with "
        f"--allow-host {found[0] if found else 'NAME'} if that name is right. (Pages that rebind a name to reach local "
        "servers are stopped here.)"
    )
    return Refusal(403, "unknown_host", message)


# -- Origin


class _Origins:
    """The pages that may use the server: its own, and those of the given origins."""

    def __init__(self, allowed: tuple[str, ...], hosts: HostRule) -> None:
        self._hosts = hosts
        self._any = _ANY in allowed
        self._allowed = {normal_origin(origin) for origin in allowed if origin != _ANY}

    def __bool__(self) -> bool:
        return self._any or bool(self._allowed)

    def check(self, request: web.Request, host: str) -> None:
        """Raises Refusal 403 for what a page of another origin sends, or embeds."""
        headers = request.headers
        origin = headers.get(hdrs.ORIGIN)
        if origin is not None:
            if not (same_origin(origin, host) or self._is_own_behind_proxy(request, origin) or self.allows(origin)):
                raise _foreign(f"the page {origin[:200]!r}", host)
        elif headers.get("Sec-Fetch-Site") in _FROM_ELSEWHERE and not (
            # Browsers leave Origin out where a page embeds a picture or a script, and in a few old kinds of POST.
            _opens_page(request) or self._is_embedded_by_allowed(headers.get(hdrs.REFERER, ""))
        ):
            raise _foreign("a page of another origin")

    def _is_own_behind_proxy(self, request: web.Request, origin: str) -> bool:
        """Whether it is our own page though a proxy has changed `Host`: the proxy says so, or the browser.

        No page of another origin can set either header, and the name must be one of ours.
        """
        name = forwarded_host(request)
        if name is not None:
            return same_origin(origin, name)
        found = split_host(origin.partition("://")[2])
        is_same = request.headers.get("Sec-Fetch-Site") == "same-origin"
        return is_same and found is not None and self._hosts.allows(found[0])

    def allows(self, origin: str) -> bool:
        """Whether pages of another origin, as an Origin header tells it, were allowed when the server was started."""
        return origin.lower() in self._allowed or (self._any and origin != "null")

    def _is_embedded_by_allowed(self, referer: str) -> bool:
        return bool(self) and self.allows("/".join(referer.split("/", 3)[:3]))

    def preflight(self, request: web.Request) -> web.Response:
        """Answer a browser that asks whether a page may send what it wants to."""
        origin = request.headers[hdrs.ORIGIN]
        if not self.allows(origin):
            raise _foreign(f"the page {origin[:200]!r}", request.host)
        headers = {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, POST, PUT, PATCH, DELETE",
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: SENT,
            hdrs.ACCESS_CONTROL_MAX_AGE: "600",
        }
        return web.Response(status=204, headers=headers)

    def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let an allowed page read the answer."""
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and self.allows(origin):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED
            if not self._any:
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"


def _is_preflight(request: web.Request) -> bool:
    headers = request.headers
    return (
        request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in headers and hdrs.ORIGIN in headers
    )


def _opens_page(request: web.Request) -> bool:
    """Whether a person follows a link to here, which shows the page its own answer and gives nothing to the other one."""
    headers = request.headers
    is_top = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    return is_top and request.method in (hdrs.METH_GET, hdrs.METH_HEAD)


def _foreign(who: str, host: str = "") -> Refusal:
    message = (
        f"This comes from {who}, and only pages of this server{f' ({host})' if host else ''} may use it. If a proxy stands "
        "between, let it pass Host on as it came (nginx: proxy_set_header Host $http_host;). If that page is another of yours, "
        "start the server with --enable-cors-header and its origin."
    )
    return Refusal(403, "foreign_origin", message)


# -- token


def _admit(tokens: Tokens, request: web.Request) -> Principal | web.Response:
    """Who shows a token; else what a browser opens instead. Raises Refusal 401 for programs."""
    found = tokens.by_header(request)
    if found is not None:
        return found
    shown = request.query.get("token", "") if "token" in request.rel_url.raw_query_string else ""
    found = tokens.of(shown) if shown else None
    if found is not None:  # before the cookie: somebody may come with another token
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
            return found
        if request.method in (hdrs.METH_GET, hdrs.METH_HEAD):
            return _with_cookie(shown, request)
    found = tokens.by_cookie(request)
    if found is not None:
        return found
    if request.headers.get("Sec-Fetch-Mode") == "navigate":
        return web.Response(status=401, text=PAGE, content_type="text/html", headers={hdrs.CACHE_CONTROL: "no-store"})
    message = (
        "This server asks for a token: yours, or the one that it printed when it started. Open its page once with "
        "?token=TOKEN, or send the header 'Authorization: Bearer TOKEN'."
    )
    raise Refusal(401, "token_wrong" if shown or hdrs.AUTHORIZATION in request.headers else "token_needed", message)


def _with_cookie(token: str, request: web.Request) -> web.Response:
    """Send a browser on to the same address without the token, which thus stays out of its history."""
    query = request.rel_url.query.copy()
    query.popall("token")
    last = request.rel_url.raw_path.rpartition("/")[2]
    target = f"./{last}{'?' if query else ''}{request.rel_url.with_query(query).raw_query_string}"  # a proxy may have a prefix
    answer = web.Response(status=303, headers={hdrs.LOCATION: target, hdrs.CACHE_CONTROL: "no-store"})
    secure = is_secure(request)
    answer.set_cookie(
        COOKIE, cookie_of(token), httponly=True, samesite="Strict", secure=secure, path=f"{prefix_of(request)}/"
    )
    return answer


def _check_scope(principal: Principal, request: web.Request, scopes: Scopes) -> None:
    """Raises Refusal 403 when a route needs a scope that the token does not have."""
    needed = scopes.get(request.match_info.route) or scope_of(request.method)
    if not principal.may(needed):
        has = ", ".join(sorted(principal.scopes))
        message = (
            f"{request.method} {request.path[:200]} needs the scope {needed!r}, and the token {principal.name!r} has: {has}. "
            "Who runs this server makes tokens with more (safelight token create)."
        )
        raise Refusal(403, "scope_needed", message, scope=needed)


# -- bodies


def _check_body(request: web.Request, limits: Limits) -> None:
    """Raises Refusal 413 and 415 for what no route takes, before any of it is read."""
    if not request.body_exists:
        return
    if (request.content_length or 0) > limits.largest_request:
        raise too_large(limits.largest_request)
    if (
        hdrs.CONTENT_ENCODING in request.headers
        and encoding_of(request)
        and request.content_type.startswith("multipart/")
    ):
        raise Refusal(415, "unknown_encoding", "A multipart body is taken only as it is, without Content-Encoding.")
