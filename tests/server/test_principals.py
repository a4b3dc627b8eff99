"""Named tokens: who they let in, to what, and what becomes of those that have ended."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from engine.server.guards import Policy
from engine.server.principals import asking, principal_of
from engine.server.refusals import json_response
from engine.server.routing import Route
from engine.server.token_file import FILE_NAME, TokenError, create_token, read_tokens, revoke_token
from engine.server.tokens import COOKIE, Tokens
from tests.server.guarded import SECRET, problem


async def who(request):
    found = principal_of(request)
    assert asking() is found
    assert await asyncio.to_thread(asking) is found
    return json_response({"name": found.name, "scopes": sorted(found.scopes), "rate": found.rate, "queue": found.queue})


def route(method, path, scope=None):
    return Route(method=method, path=path, handler=who, summary="", tag="", scope=scope)


ROUTES = [
    route("GET", "/health"),
    route("GET", "/look"),
    route("POST", "/make"),
    route("POST", "/look_up", "read"),
    route("GET", "/logs", "admin"),
    route("GET", "/ws", "admin"),
]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "user" / FILE_NAME


def shown(guarded, policy, method, path, token=None, **request):
    """Status, and the name of who asked or the type of the refusal."""
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}

    async def asked():
        async with (
            guarded(ROUTES, policy) as client,
            client.request(method, path, headers=headers, **request) as answer,
        ):
            value = await answer.json()
            return answer.status, value["error"]["type"] if "error" in value else value["name"]

    return asyncio.run(asked())


def test_without_any_token_everybody_is_the_admin(guarded, file):
    assert shown(guarded, Policy(tokens_file=file), "GET", "/logs") == (200, "local")


def test_the_token_of_the_server_is_the_admins(guarded, file):
    create_token(file, "alice", frozenset({"run"}))
    for policy in (Policy(token=SECRET), Policy(token=SECRET, tokens_file=file)):
        assert shown(guarded, policy, "GET", "/logs", SECRET) == (200, "admin")


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        ({"read"}, {"/look", "/look_up"}),
        ({"run"}, {"/make"}),
        ({"run", "read"}, {"/look", "/look_up", "/make"}),
        ({"admin"}, {"/look", "/look_up", "/make", "/logs", "/ws"}),
    ],
)
def test_a_token_gets_what_its_scopes_say_and_is_told_what_it_lacks(guarded, file, scopes, allowed):
    token = create_token(file, "alice", frozenset(scopes))
    needs = {"/look": "read", "/look_up": "read", "/make": "run", "/logs": "admin", "/ws": "admin"}
    for prefix in ("", "/api"):
        for path, scope in needs.items():
            method = "POST" if path in ("/make", "/look_up") else "GET"
            headers = {"Authorization": f"Bearer {token}"}
            policy = Policy(tokens_file=file)
            status, _, value = ask_routes(guarded, method, prefix + path, policy, headers)
            if path in allowed:
                assert (status, value["name"]) == (200, "alice"), path
            else:
                assert (status, value["error"]["type"]) == (403, "scope_needed"), path
                assert value["error"]["extra_info"] == {"scope": scope}
                assert repr(scope) in value["error"]["message"]


def ask_routes(guarded, method, path, policy, headers):
    async def asked():
        async with guarded(ROUTES, policy) as client, client.request(method, path, headers=headers) as answer:
            return answer.status, answer.headers, await answer.json()

    return asyncio.run(asked())


def test_what_is_no_route_needs_a_scope_too(guarded, file):
    token = create_token(file, "alice", frozenset({"run"}))
    headers = {"Authorization": f"Bearer {token}"}
    assert problem(guarded, "GET", "/nowhere", Policy(tokens_file=file), headers=headers) == (403, "scope_needed")
    assert problem(guarded, "POST", "/nowhere", Policy(tokens_file=file), headers=headers) == (404, "not_found")


def test_once_there_is_a_named_token_nobody_comes_in_without_one(guarded, file):
    policy = Policy(tokens_file=file)

    async def asked():
        async with guarded(ROUTES, policy) as client:

            async def status(token=None, path="/look"):
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                async with client.get(path, headers=headers) as answer:
                    return answer.status

            assert await status() == 200
            alice = create_token(file, "alice", frozenset({"read"}))
            assert await status() == 401
            assert await status("safelight_" + "x" * 43) == 401
            assert await status(alice) == 200
            assert await status(path="/health") == 200
            bob = create_token(file, "bob", frozenset({"read"}))
            revoke_token(file, "alice")
            assert (await status(alice), await status(bob)) == (401, 200)
            revoke_token(file, "bob")
            assert (await status(bob), await status()) == (401, 401), "revoking the last token opens nothing"

    asyncio.run(asked())


def test_two_changes_at_once_are_both_seen(file):
    """Of one size, one time and, where the disk gives a number again that is free, one inode."""
    tokens = Tokens(None, file)
    alice = create_token(file, "alice", frozenset({"read"}))
    just_now = time.time() + 60  # however slow this machine is
    os.utime(file, (just_now, just_now))
    assert tokens.of(alice).name == "alice"
    file.write_bytes(file.read_bytes().replace(b"alice", b"carol"))
    os.utime(file, (just_now, just_now))
    assert tokens.of(alice).name == "carol"


def test_an_expired_token_is_told_so(guarded, file):
    token = create_token(file, "alice", frozenset({"read"}), expires=time.time() - 1)
    assert shown(guarded, Policy(tokens_file=file), "GET", "/look", token) == (401, "token_expired")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"tokens": [{"name": "alice"}]}', b'{"tokens": [], "version": 9}']
)
def test_a_broken_file_lets_nobody_in_by_a_name_and_the_admin_still(guarded, file, content):
    token = create_token(file, "alice", frozenset({"admin"}))
    file.write_bytes(content)
    for policy in (Policy(tokens_file=file), Policy(token=SECRET, tokens_file=file)):
        assert shown(guarded, policy, "GET", "/look", token) == (503, "tokens_unreadable")
        assert shown(guarded, policy, "GET", "/look") == (401, "token_needed")
    assert shown(guarded, policy, "GET", "/look", SECRET) == (200, "admin")
    with pytest.raises(TokenError, match=r"cannot be read|version 9"):
        create_token(file, "bob", frozenset({"read"}))
    assert file.read_bytes() == content


def test_a_page_opened_with_a_named_token_gets_a_cookie_that_stands_for_it(guarded, file):
    token = create_token(file, "alice", frozenset({"read"}))

    async def asked():
        async with guarded(ROUTES, Policy(tokens_file=file)) as client:
            async with client.get("/look", params={"token": token}, allow_redirects=False) as first:
                assert (first.status, first.headers["Location"]) == (303, "./look")
                assert "; Path=/;" in first.headers["Set-Cookie"]
                name, value = first.headers["Set-Cookie"].split(";")[0].split("=", 1)
            behind = {"X-Forwarded-Prefix": "/safelight"}
            bob = create_token(file, "bob", frozenset({"read"}))
            async with client.get("/look", params={"token": bob}, headers=behind, allow_redirects=False) as again:
                assert "; Path=/safelight/;" in again.headers["Set-Cookie"], "another token, in spite of the cookie"
                assert value not in again.headers["Set-Cookie"]
            assert name == COOKIE
            assert token not in value
            client.session.cookie_jar.clear()
            async with client.get("/look", headers={"Authorization": f"Bearer {value}"}) as bearer:
                assert bearer.status == 401, "the cookie is no token"
            async with client.get("/look", cookies={name: value}) as second:
                assert (second.status, (await second.json())["name"]) == (200, "alice")
            for wrong in (token, value[:-1]):
                async with client.get("/look", cookies={name: wrong}) as third:
                    assert third.status == 401
            revoke_token(file, "alice")
            async with client.get("/look", cookies={name: value}) as last:
                assert last.status == 401

    asyncio.run(asked())


def test_the_file_holds_no_token_and_is_its_owners(file):
    token = create_token(file, "alice", frozenset({"run"}), rate=30, queue=4)
    assert token.encode() not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    (kept,) = read_tokens(file)
    assert (kept.name, kept.scopes, kept.rate, kept.queue) == ("alice", {"run"}, 30, 4)


@pytest.mark.parametrize("name", ["", "Alice", "a b", "../x", "admin", "local", "nobody", "x" * 65, "-a"])
def test_a_name_that_is_none_is_refused(file, name):
    with pytest.raises(TokenError, match="name"):
        create_token(file, name, frozenset({"run"}))
    assert not file.exists()


def test_a_name_is_given_once(file):
    create_token(file, "alice", frozenset({"run"}))
    with pytest.raises(TokenError, match="already"):
        create_token(file, "alice", frozenset({"run"}))
    with pytest.raises(TokenError, match="there are: alice"):
        revoke_token(file, "bob")


def test_the_principal_has_the_limits_of_its_token(guarded, file):
    token = create_token(file, "alice", frozenset({"read"}), rate=30, queue=4)
    status, _, value = ask_routes(
        guarded, "GET", "/look", Policy(tokens_file=file), {"Authorization": f"Bearer {token}"}
    )
    assert (status, value) == (200, {"name": "alice", "scopes": ["read"], "rate": 30, "queue": 4})
