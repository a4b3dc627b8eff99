"""Who asks: the name behind a request, what it may do, and how much of it.

The guards set it (`engine.server.guards`); routes ask with `principal_of(request)`. What makes jobs asks with `asking()`, so
that no way of making a job can leave its owner out.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec
from aiohttp import hdrs, web

Scope: TypeAlias = Literal["run", "read", "admin"]
"""`run`: make jobs, upload, change files; `read`: look and fetch; `admin`: both, and what is everybody's."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

_READS: Final = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS)


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may use the server. Two with one name are the same, and see the same jobs."""

    name: str
    scopes: frozenset[Scope]
    rate: float | None = None
    """Jobs per minute; None: any number."""
    queue: int | None = None
    """Jobs that may wait and run at once; None: any number."""
    issued: float | None = None
    """When its token was made (Unix seconds): another one of the name is another token."""

    @property
    def is_admin(self) -> bool:
        """Whether everybody's jobs are its own."""
        return "admin" in self.scopes

    @property
    def owner(self) -> str | None:
        """`Job.owner` of the jobs that it makes: its name, and None where that is the server's own."""
        return None if self.name in UNNAMED else self.name

    @property
    def only(self) -> str | None:
        """The one owner whose jobs it sees; None: it sees everybody's."""
        return None if "admin" in self.scopes else self.name

    def may(self, scope: Scope) -> bool:
        """Whether it has a scope; an admin has all."""
        return scope in self.scopes or "admin" in self.scopes

    def owns(self, owner: str | None) -> bool:
        """Whether it may see and end a job of `owner` (`Job.owner`). To others such a job does not exist: 404, not 403."""
        return "admin" in self.scopes or owner == self.name


LOCAL: Final = Principal(name="local", scopes=frozenset({"admin"}))
"""Everybody, where no token is asked for."""

ADMIN: Final = Principal(name="admin", scopes=frozenset({"admin"}))
"""Who shows the server's own token (`--token`)."""

NOBODY: Final = Principal(name="nobody", scopes=frozenset())
"""Who has shown no token, where one is asked for: gets the few open paths only."""

UNNAMED: Final = frozenset({LOCAL.name, ADMIN.name, NOBODY.name})
"""Names that no token of a file may have."""

_PRINCIPAL: Any = web.RequestKey("principal", Principal) if hasattr(web, "RequestKey") else "principal"  # aiohttp 3.14
_ASKING: ContextVar[Principal] = ContextVar("asking", default=LOCAL)
_ASKED_FROM: ContextVar[tuple[str, str]] = ContextVar("asked_from", default=("", ""))


def principal_of(request: web.BaseRequest) -> Principal:
    """Who sent the request; `LOCAL` in an application without guards."""
    found: Principal = request.get(_PRINCIPAL, LOCAL)
    return found


def asking() -> Principal:
    """Who sent the request that is being handled, in its task and in the tasks and threads that this one starts."""
    return _ASKING.get()


def asked_from() -> tuple[str, str]:
    """Where the request that is being handled came from: its address, a proxy's or a client's, and what it says of others before.

    Both are empty outside of requests.
    """
    return _ASKED_FROM.get()


def addresses(request: web.BaseRequest) -> tuple[str, str]:
    """Where a request came from, in the same form."""
    return request.remote or "", request.headers.get(hdrs.X_FORWARDED_FOR, "")[:100]


def known_principal(request: web.BaseRequest) -> Principal | None:
    """Who sent the request; None when it was refused before that was known."""
    found: Principal | None = request.get(_PRINCIPAL)
    return found


def set_principal(request: web.BaseRequest, principal: Principal) -> None:
    """Note who sent the request, for `principal_of` and `asking`. For guards, and for tests."""
    request[_PRINCIPAL] = principal
    _ASKING.set(principal)
    _ASKED_FROM.set(addresses(request))


def scope_of(method: str) -> Scope:
    """What a request of a method needs where its route does not say."""
    return "read" if method in _READS else "run"
