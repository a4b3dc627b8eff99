"""Behind a proxy that changes the host, the scheme or the path."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from engine.server.guards import Policy
from engine.server.routing import Route
from tests.server.guarded import EXPOSED, ROUTES, SECRET, ask, problem, socket_status

NAMED = Policy(allow_hosts=("pictures.example",))


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "pictures.example:8080"},
        {"Host": "127.0.0.1:8188", "X-Forwarded-Host": "pictures.example:8080"},
        {"Host": "127.0.0.1:8188", "X-Forwarded-Host": "pictures.example:8080, inner:1"},
        {"Host": "pictures.example", "X-Forwarded-Host": "pictures.example", "X-Forwarded-Port": "8080"},
        {"Host": "pictures.example", "Sec-Fetch-Site": "same-origin"},
        {"Host": "127.0.0.1:8188", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_its_own_page_is_known_though_a_proxy_changed_the_host(guarded, headers):
    headers = {"Origin": "http://pictures.example:8080", **headers}
    assert ask(guarded, "POST", "/prompt", NAMED, headers=headers, data=b"{}")[0] == 200
    assert socket_status(guarded, NAMED, headers=headers) == 101
    foreign = {**headers, "Origin": "http://evil.example"}
    assert problem(guarded, "POST", "/prompt", NAMED, headers=foreign, data=b"{}") == (403, "foreign_origin")


def test_a_rebound_name_is_refused_though_a_proxy_changed_the_host(guarded):
    """A page of that name says that it is of the same origin, and the proxy that it was called so."""
    page = {"Host": "127.0.0.1:8188", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}
    assert problem(guarded, "POST", "/prompt", NAMED, headers=page, data=b"{}") == (403, "foreign_origin")
    told = {"Host": "127.0.0.1:8188", "X-Forwarded-Host": "evil.example"}
    assert problem(guarded, "GET", "/view", NAMED, headers=told) == (403, "unknown_host")


def test_what_a_proxy_needs_is_said_in_the_answer_and_once_in_the_log(guarded, caplog):
    async def asked():
        async with guarded(ROUTES, NAMED) as client:
            found = []
            for _ in range(2):
                for headers in (
                    {"Host": "other.example:80"},
                    {"Host": "127.0.0.1:8188", "Origin": "http://pictures.example:8080"},
                    {"X-Forwarded-Prefix": "/safelight"},
                ):
                    async with client.get("/safelight/view", headers=headers) as answer:
                        found.append((await answer.json())["error"]["message"])
            return found

    found = asyncio.run(asked())
    warned = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert warned == found[:3] == found[3:]
    assert "--allow-host other.example " in found[0]
    assert "proxy_set_header Host $http_host;" in found[1]
    assert "location /safelight/ { proxy_pass http://127.0.0.1:8188/; }" in found[2]


@pytest.mark.parametrize(
    ("prefix", "location"),
    [
        ("/safelight", "/safelight/a?b=c"),
        ("/safelight/", "/safelight/a?b=c"),
        ("/a/b, /c", "/a/b/a?b=c"),
        ("//evil.example", "/a?b=c"),
        ("evil.example", "/a?b=c"),
        ("/x/../y", "/a?b=c"),
        ("", "/a?b=c"),
    ],
)
def test_redirects_lead_below_the_prefix_that_a_proxy_tells(guarded, prefix, location):
    async def redirect(request):
        raise web.HTTPFound("/a?b=c")

    async def asked():
        routes = [Route(method="GET", path="/go", handler=redirect, summary="", tag="")]
        async with (
            guarded(routes) as client,
            client.get("/go", headers={"X-Forwarded-Prefix": prefix}, allow_redirects=False) as answer,
        ):
            return answer.headers["Location"]

    assert asyncio.run(asked()) == location


def test_a_redirect_to_another_host_or_below_the_prefix_stays_as_it_is(guarded):
    async def asked(location):
        async def redirect(request):
            return web.Response(status=302, headers={"Location": location})

        routes = [Route(method="GET", path="/go", handler=redirect, summary="", tag="")]
        headers = {"X-Forwarded-Prefix": "/safelight"}
        async with guarded(routes) as client, client.get("/go", headers=headers, allow_redirects=False) as answer:
            return answer.headers["Location"]

    for location in ("//pictures.example/a", "https://pictures.example/a", "/safelight/a"):
        assert asyncio.run(asked(location)) == location


def test_the_cookie_of_the_token_is_kept_for_https_where_the_client_speaks_it(guarded):
    headers = {"X-Forwarded-Proto": "https"}
    for more, secure in ((headers, True), ({}, False)):
        _, answer, _ = ask(guarded, "GET", "/", EXPOSED, params={"token": SECRET}, headers=more)
        assert ("Secure" in answer["Set-Cookie"]) is secure
