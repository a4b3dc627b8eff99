"""What an editor remembers for its user: values by name."""

from __future__ import annotations

from typing import Any, Protocol

from aiohttp import web

from engine.jobs.records import Settings
from engine.jobs.store_errors import StoreError, StoreFullError
from engine.server.bodies import LIMITS, read_json
from engine.server.limits import Limits
from engine.server.principals import principal_of
from engine.server.refusals import Refusal, json_response
from engine.server.routes.userdata import USER
from engine.server.routing import Query, Route

_LONGEST_NAME = 500


class SettingsStore(Protocol):
    """Where settings are kept."""

    async def settings(self, user: str) -> Settings:
        """All of them."""

    async def setting(self, user: str, key: str) -> Any | None:
        """One of them; None when it is not set."""

    async def update_settings(self, user: str, values: Settings) -> None:
        """Set these and keep the others."""


class UserSettings:
    """Answers `/settings`."""

    def __init__(self, store: SettingsStore) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """The routes."""
        name = Query(name="id", required=True, doc="The name of a setting, like `Comfy.ColorPalette`.")
        some: dict[str, Any] = {"description": "Any JSON value."}
        rows: tuple[tuple[Any, str, Any, str, tuple[Query, ...], Any, Any], ...] = (
            ("GET", "/settings", self._all, "All settings.", (), None, Settings),
            ("POST", "/settings", self._set_all, "Set these settings and keep the others.", (), Settings, None),
            ("GET", "/settings/{id:[^/]+}", self._one, "One setting; null when it is not set.", (name,), None, some),
            ("POST", "/settings/{id:[^/]+}", self._set_one, "Set one setting to a JSON value.", (name,), some, None),
        )
        return [
            Route(
                method=method,
                path=path,
                handler=handler,
                summary=summary,
                tag="settings",
                query=query,
                body=body,
                answer=answer,
                refusals={413: "The body is too large.", 507: "The disk is full; nothing was saved."} if body else {},
            )
            for method, path, handler, summary, query, body, answer in rows
        ]

    async def _all(self, request: web.Request) -> web.StreamResponse:
        return json_response(await self._store.settings(_user(request)))

    async def _one(self, request: web.Request) -> web.StreamResponse:
        return json_response(await self._store.setting(_user(request), _name(request)))

    async def _set_all(self, request: web.Request) -> web.StreamResponse:
        values: Settings = await read_json(request, dict[str, Any], limit=_limit(request))
        if any(len(name) > _LONGEST_NAME for name in values):
            raise _too_long()
        await self._keep(request, values)
        return web.Response()

    async def _set_one(self, request: web.Request) -> web.StreamResponse:
        name = _name(request)
        value = await read_json(request, limit=_limit(request))
        await self._keep(request, {name: value})
        return web.Response()

    async def _keep(self, request: web.Request, values: Settings) -> None:
        try:
            await self._store.update_settings(_user(request), values)
        except StoreFullError as error:
            raise Refusal(507, "disk_full", str(error)) from None
        except StoreError as error:
            raise Refusal(503, "store_failed", str(error)) from None


def settings_routes(store: SettingsStore) -> list[Route]:
    """The routes of `UserSettings`."""
    return UserSettings(store).routes()


def _user(request: web.Request) -> str:
    """Whose settings: those of who shows a named token are apart."""
    principal = principal_of(request)
    return USER if principal.is_admin else f"token:{principal.name}"


def _name(request: web.Request) -> str:
    name = request.match_info["id"]
    if len(name) > _LONGEST_NAME:
        raise _too_long()
    return name


def _too_long() -> Refusal:
    return Refusal(400, "invalid_name", f"The name of a setting has at most {_LONGEST_NAME} characters.")


def _limit(request: web.Request) -> int:
    return (request.app.get(LIMITS) or Limits()).max_settings_body
