"""The token: who must show it, how, and what it does not do."""

from __future__ import annotations

import asyncio
import re

import pytest

from engine.server.guards import Policy, make_guards
from engine.server.limits import Limits
from engine.server.tokens import COOKIE, ensure_token
from tests.server.guarded import EXPOSED, ROUTES, SECRET, ask, problem, raw, socket_status


def test_without_the_token_nothing_is_answered_but_health(guarded):
    for method, path in [
        ("GET", "/"),
        ("GET", "/view"),
        ("POST", "/prompt"),
        ("GET", "/nowhere"),
        ("GET", "/api/view"),
    ]:
        assert problem(guarded, method, path, EXPOSED) == (401, "token_needed")
    assert socket_status(guarded, EXPOSED) == 401
    assert ask(guarded, "GET", "/health", EXPOSED)[0] == 200
    for path in ("/healthy", "/health/view", "/health.png", "/api/health/view", "/view/health", "/HEALTH"):
        assert problem(guarded, "GET", path, EXPOSED) == (401, "token_needed")


@pytest.mark.parametrize("shown", ["wrong", SECRET[:-1], SECRET + "x", "", "\u20ac"])
def test_a_wrong_token_is_refused(guarded, shown):
    assert ask(guarded, "GET", "/view", EXPOSED, headers={"Authorization": f"Bearer {shown}"})[0] == 401
    assert ask(guarded, "GET", "/view", EXPOSED, params={"token": shown})[0] == 401
    assert ask(guarded, "GET", "/view", EXPOSED, headers={"Cookie": f"{COOKIE}={shown or SECRET}"})[0] == 401


def test_a_refusal_says_what_to_do_and_not_what_the_token_is(guarded):
    status, headers, value = ask(guarded, "GET", "/view", EXPOSED)
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "Authorization: Bearer TOKEN" in value["error"]["message"]
    assert SECRET not in str(value)


def test_a_person_who_opens_a_page_without_the_token_is_asked_for_it(guarded):
    navigates = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}
    status, headers, value = ask(guarded, "GET", "/", EXPOSED, headers=navigates)
    assert (status, value) == (401, None)
    assert headers["Content-Type"].startswith("text/html")


def test_the_token_is_taken_as_a_header(guarded):
    headers = {"Authorization": f"bearer {SECRET}"}
    assert ask(guarded, "POST", "/prompt", EXPOSED, headers=headers, data=b"{}")[0] == 200
    assert socket_status(guarded, EXPOSED, headers=headers) == 101


def test_a_page_opened_with_the_token_gets_a_cookie_and_an_address_without_it(guarded):
    async def asked():
        async with guarded(ROUTES, EXPOSED) as client:
            async with client.get("/", params={"token": SECRET, "open": "a b"}, allow_redirects=False) as first:
                assert first.status == 303
                assert first.headers["Location"] == "./?open=a+b"
                cookie = first.headers["Set-Cookie"]
            # An address is a number here, and aiohttp's client keeps no cookies for those.
            name, value = cookie.split(";")[0].split("=", 1)
            async with client.get("/", cookies={name: value}) as second:
                return cookie, second.status

    cookie, status = asyncio.run(asked())
    assert status == 200
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert SECRET not in cookie


def test_a_page_opened_with_the_token_is_never_sent_to_another_host(guarded):
    target = f"//evil.example/?token={SECRET}".encode()
    answer = raw(guarded, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", EXPOSED)
    location = re.search(rb"Location: (\S*)", answer)
    assert location is None or location[1].startswith(b"./")


def test_a_websocket_may_show_the_token_in_its_address(guarded):
    assert socket_status(guarded, EXPOSED, path=f"/ws?token={SECRET}") == 101


def test_the_token_does_not_let_a_foreign_page_in(guarded):
    headers = {"Authorization": f"Bearer {SECRET}", "Origin": "http://evil.example"}
    assert problem(guarded, "POST", "/prompt", EXPOSED, headers=headers) == (403, "foreign_origin")


def test_a_token_is_made_for_addresses_beyond_loopback_only():
    assert ensure_token(["127.0.0.1", "::1", "localhost"], None) is None
    made = ensure_token(["127.0.0.1", "0.0.0.0"], None)
    assert len(made) >= 32
    assert ensure_token(["0.0.0.0"], None) != made
    assert ensure_token(["localhost.example"], None) is not None
    assert ensure_token(["127.0.0.1"], SECRET) == SECRET


@pytest.mark.parametrize("token", ["", "short", "with spaces in it", "line\nbreak-in-it", "schlüssel-wort"])
def test_a_token_that_is_no_secret_is_refused(token):
    with pytest.raises(ValueError, match="token"):
        ensure_token(["0.0.0.0"], token)


def test_a_server_beyond_loopback_without_a_token_is_not_made():
    with pytest.raises(ValueError, match="needs a token"):
        make_guards(Policy(listen=("127.0.0.1", "192.168.1.5")), Limits())
