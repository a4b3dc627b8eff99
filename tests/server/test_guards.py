from __future__ import annotations

import asyncio
import logging
import re

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from engine.server.bodies import read_body
from engine.server.guards import Policy, make_guards
from engine.server.limits import Limits
from engine.server.refusals import Refusal, json_response
from engine.server.routing import Route
from engine.server.tokens import COOKIE, ensure_token

SECRET = "correct-horse-battery"
EXPOSED = Policy(listen=("0.0.0.0",), token=SECRET)


async def _ok(request: web.Request) -> web.Response:
    return json_response({"ok": True})


async def _read(request: web.Request) -> web.Response:
    return json_response({"length": len(await read_body(request))})


async def _broken(request: web.Request) -> web.Response:
    raise KeyError("an error of our own, with /secret/paths in it")


async def _refuses(request: web.Request) -> web.Response:
    raise Refusal(409, "exists", f"{request.query.get('name', '')} is there already")


async def _slow(request: web.Request) -> web.Response:
    raise TimeoutError


async def _framed(request: web.Request) -> web.Response:
    return web.Response(text="x", headers={"Content-Security-Policy": "sandbox"})


async def _socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str("hello")
    await socket.close()
    return socket


async def _half(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"begun")
    raise ValueError("in the middle")


def route(path, handler, method="GET"):
    return Route(method=method, path=path, handler=handler, summary="", tag="")


ROUTES = [
    route("/", _ok),
    route("/view", _ok),
    route("/health", _ok),
    route("/prompt", _read, "POST"),
    route("/ws", _socket),
    route("/broken", _broken),
    route("/refuses", _refuses),
    route("/slow", _slow),
    route("/framed", _framed),
    route("/half", _half),
]


def ask(guarded, method, path, policy=None, limits=None, **request):
    """Status, headers and JSON (or None) of one request."""

    async def asked():
        async with (
            guarded(ROUTES, policy, limits) as client,
            client.request(method, path, allow_redirects=False, **request) as answer,
        ):
            value = await answer.json() if answer.content_type == "application/json" else None
            return answer.status, answer.headers, value

    return asyncio.run(asked())


def problem(guarded, method, path, policy=None, **request):
    """Status and type of the refusal of one request."""
    status, _, value = ask(guarded, method, path, policy, **request)
    return status, value["error"]["type"] if "error" in value else None


# -- Host


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8188", "localhost", "LOCALHOST:9000", "[::1]:8188", "127.9.8.7", "localhost."]
)
def test_names_of_loopback_are_this_server(guarded, host):
    assert ask(guarded, "GET", "/view", headers={"Host": host})[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8188", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.1.5", "0x7f.1"],
)
@pytest.mark.parametrize("path", ["/", "/view", "/prompt", "/nowhere", "/health"])
def test_a_name_rebound_to_this_machine_is_refused(guarded, host, path):
    method = "POST" if path == "/prompt" else "GET"
    assert problem(guarded, method, path, headers={"Host": host}) == (403, "unknown_host")


@pytest.mark.parametrize(
    "host", ["", "a b", "user@localhost", "localhost:port", "localhost:99999", "[::1", "[1:2]", "-x", "\u20ac"]
)
def test_what_is_no_host_is_refused(guarded, host):
    assert problem(guarded, "GET", "/", headers={"Host": host}) == (400, "bad_host")


def test_a_request_without_a_host_is_refused(guarded):
    assert _raw(guarded, b"GET /view HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 400")


def test_a_request_with_two_hosts_is_refused(guarded):
    two = b"GET /view HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert b" 400 " in _raw(guarded, two).split(b"\r\n")[0]


def test_two_hosts_are_refused_by_the_guards_too():
    """The HTTP parser refuses them first, today."""
    two = CIMultiDict([("Host", "localhost"), ("Host", "localhost")])
    asked = make_guards(Policy(), Limits())[1]
    with pytest.raises(Refusal, match="this one has 2") as refused:
        asyncio.run(asked(make_mocked_request("GET", "/view", headers=two), _ok))
    assert (refused.value.status, refused.value.type) == (400, "bad_host")


def test_an_address_in_the_request_line_does_not_replace_the_host(guarded):
    absolute = b"GET http://localhost/view HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert b" 403 " in _raw(guarded, absolute).split(b"\r\n")[0]


def test_a_rebound_name_cannot_open_the_websocket(guarded):
    assert _socket_status(guarded, headers={"Host": "evil.example"}) == 403


def test_a_name_that_was_allowed_is_this_server(guarded):
    policy = Policy(allow_hosts=("Pictures.Example",))
    assert ask(guarded, "GET", "/view", policy, headers={"Host": "pictures.example:8188"})[0] == 200


def test_beyond_loopback_any_address_is_this_server_but_no_foreign_name(guarded):
    bearer = {"Authorization": f"Bearer {SECRET}"}
    assert ask(guarded, "GET", "/view", EXPOSED, headers={"Host": "192.168.1.5:8188", **bearer})[0] == 200
    assert problem(guarded, "GET", "/view", EXPOSED, headers={"Host": "evil.example", **bearer}) == (
        403,
        "unknown_host",
    )


# -- Origin


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "http://localhost:3000",
        "http://localhost:8188.evil.example",
        "https://localhost:8188/x",
        "file://",
        "",
    ],
)
def test_a_foreign_page_can_neither_post_nor_read_nor_open_the_socket(guarded, origin):
    headers = {"Host": "localhost:8188", "Origin": origin}
    assert problem(guarded, "POST", "/prompt", headers=headers, data=b"{}") == (403, "foreign_origin")
    assert problem(guarded, "GET", "/view", headers=headers) == (403, "foreign_origin")
    assert _socket_status(guarded, headers=headers) == 403


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8188", "http://localhost:8188"),
        ("LocalHost:8188", "http://localhost:8188"),
        ("[::1]:8188", "http://[::1]:8188"),
        ("localhost", "http://localhost"),
        ("localhost", "https://localhost"),
        ("localhost:80", "http://localhost"),
    ],
)
def test_its_own_page_may_post_and_open_the_socket(guarded, host, origin):
    headers = {"Host": host, "Origin": origin}
    assert ask(guarded, "POST", "/prompt", headers=headers, data=b"{}")[0] == 200
    assert _socket_status(guarded, headers=headers) == 101


def test_the_same_name_with_another_port_is_another_origin(guarded):
    headers = {"Host": "localhost:8188", "Origin": "http://localhost"}
    assert problem(guarded, "POST", "/prompt", headers=headers) == (403, "foreign_origin")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_or_a_picture_of_a_foreign_page_is_refused_without_an_origin(guarded, site):
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Content-Type": "text/plain"}
    assert problem(guarded, "POST", "/prompt", headers=headers, data=b"{}") == (403, "foreign_origin")
    assert problem(guarded, "GET", "/view", headers=headers) == (403, "foreign_origin")


def test_a_foreign_page_cannot_frame_the_server_nor_navigate_to_a_post(guarded):
    frame = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    form = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert problem(guarded, "GET", "/", headers=frame) == (403, "foreign_origin")
    assert problem(guarded, "POST", "/prompt", headers=form) == (403, "foreign_origin")


def test_a_link_on_another_page_opens_the_server(guarded):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert ask(guarded, "GET", "/", headers=headers)[0] == 200


def test_a_program_that_is_no_browser_needs_no_origin(guarded):
    assert ask(guarded, "POST", "/prompt", data=b"{}")[0] == 200


def test_a_page_that_was_allowed_may_ask_and_read_the_answer(guarded):
    policy = Policy(cors_origins=("https://Editor.example/",))
    headers = {"Origin": "https://editor.example"}
    status, answer, _ = ask(guarded, "POST", "/prompt", policy, headers=headers, data=b"{}")
    assert status == 200
    assert answer["Access-Control-Allow-Origin"] == "https://editor.example"
    status, answer, _ = ask(
        guarded, "OPTIONS", "/prompt", policy, headers={**headers, "Access-Control-Request-Method": "POST"}
    )
    assert status == 204
    assert "POST" in answer["Access-Control-Allow-Methods"]
    assert problem(guarded, "POST", "/prompt", policy, headers={"Origin": "https://evil.example"}) == (
        403,
        "foreign_origin",
    )


def test_a_foreign_page_that_asks_first_is_refused(guarded):
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    status, answer, _ = ask(guarded, "OPTIONS", "/prompt", headers=headers)
    assert status == 403
    assert "Access-Control-Allow-Origin" not in answer


def test_even_with_all_pages_allowed_a_page_without_origin_of_its_own_is_refused(guarded):
    policy = Policy(cors_origins=("*",))
    assert ask(guarded, "GET", "/view", policy, headers={"Origin": "https://any.example"})[0] == 200
    assert problem(guarded, "GET", "/view", policy, headers={"Origin": "null"}) == (403, "foreign_origin")


def test_pages_may_send_cookies_along_only_where_they_were_allowed_by_name(guarded):
    headers = {"Origin": "https://editor.example"}
    for allowed, told in (
        (("https://editor.example",), "true"),
        (("*",), None),
        (("*", "https://editor.example"), None),
    ):
        status, answer, _ = ask(guarded, "GET", "/view", Policy(cors_origins=allowed), headers=headers)
        assert (status, answer.get("Access-Control-Allow-Credentials")) == (200, told)


def test_an_origin_that_is_none_is_refused_when_the_server_starts():
    with pytest.raises(ValueError, match="no origin"):
        make_guards(Policy(cors_origins=("editor.example",)), Limits())


# -- behind a proxy

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
    assert _socket_status(guarded, NAMED, headers=headers) == 101
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


# -- token


def test_without_the_token_nothing_is_answered_but_health(guarded):
    for method, path in [
        ("GET", "/"),
        ("GET", "/view"),
        ("POST", "/prompt"),
        ("GET", "/nowhere"),
        ("GET", "/api/view"),
    ]:
        assert problem(guarded, method, path, EXPOSED) == (401, "token_needed")
    assert _socket_status(guarded, EXPOSED) == 401
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
    assert _socket_status(guarded, EXPOSED, headers=headers) == 101


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
    answer = _raw(guarded, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", EXPOSED)
    location = re.search(rb"Location: (\S*)", answer)
    assert location is None or location[1].startswith(b"./")


def test_a_websocket_may_show_the_token_in_its_address(guarded):
    assert _socket_status(guarded, EXPOSED, path=f"/ws?token={SECRET}") == 101


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


# -- bodies


def test_a_body_longer_than_any_route_takes_is_refused_before_it_is_sent(guarded):
    head = b"POST /view HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000000\r\nConnection: close\r\n\r\n"
    assert b" 413 " in _raw(guarded, head).split(b"\r\n")[0]


def test_a_compressed_form_is_refused(guarded):
    headers = {"Content-Encoding": "gzip", "Content-Type": "multipart/form-data; boundary=x"}
    assert problem(guarded, "POST", "/prompt", headers=headers, data=b"--x--") == (415, "unknown_encoding")


# -- answers


def test_a_path_that_is_not_there_is_named(guarded):
    status, _, value = ask(guarded, "GET", "/nowhere?token=abc")
    assert status == 404
    assert value["error"]["message"] == "There is nothing at /nowhere."
    assert value["node_errors"] == {}


def test_a_method_that_is_not_taken_is_told_which_are(guarded):
    status, headers, value = ask(guarded, "DELETE", "/prompt")
    assert (status, headers["Allow"]) == (405, "POST")
    assert "use POST" in value["error"]["message"]


def test_an_error_of_the_server_is_a_number_to_the_client_and_a_traceback_in_the_log(guarded, caplog):
    status, _, value = ask(guarded, "GET", "/broken")
    assert (status, value["error"]["type"]) == (500, "server_error")
    assert "secret" not in str(value)
    number = value["error"]["extra_info"]["error_id"]
    record = next(record for record in caplog.records if number in record.getMessage())
    assert record.exc_info is not None


def test_a_refusal_that_quotes_odd_text_is_still_json(guarded):
    assert problem(guarded, "GET", "/refuses?name=%ff%00%ed%a0%80") == (409, "exists")


def test_a_timeout_within_the_server_says_to_try_again(guarded):
    assert problem(guarded, "GET", "/slow") == (503, "timeout")


def test_an_answer_that_breaks_off_is_seen_by_the_client(guarded):
    async def asked():
        async with guarded(ROUTES) as client, client.get("/half") as answer:
            with pytest.raises(aiohttp.ClientError):
                await answer.read()

    asyncio.run(asked())


@pytest.mark.parametrize("path", ["/view", "/nowhere", "/broken", "/framed"])
def test_every_answer_has_the_headers_that_keep_browsers_from_guessing(guarded, path):
    _, headers, _ = ask(guarded, "GET", path)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Server"] == "Safelight"


def test_a_route_may_set_a_stricter_header_itself(guarded):
    assert ask(guarded, "GET", "/framed")[1]["Content-Security-Policy"] == "sandbox"


def test_no_log_has_a_token_or_a_query_in_it(guarded, caplog):
    caplog.set_level(logging.DEBUG)
    ask(guarded, "GET", "/view", EXPOSED, params={"token": SECRET})
    ask(guarded, "POST", "/prompt", EXPOSED, params={"token": SECRET}, data=b"{}")
    ask(guarded, "GET", "/broken", EXPOSED, headers={"Authorization": f"Bearer {SECRET}"}, params={"key": "hunter2"})
    lines = [f"{record.getMessage()} {record.__dict__} {record.exc_text}" for record in caplog.records]
    assert any("/view" in line for line in lines)
    assert not [line for line in lines if SECRET in line or "hunter2" in line]


def test_the_access_log_has_method_path_status_and_time(guarded, caplog):
    caplog.set_level(logging.DEBUG)
    ask(guarded, "POST", "/prompt", data=b"{}")
    [record] = [record for record in caplog.records if record.name == "safelight.access"]
    assert (record.method, record.path, record.status) == ("POST", "/prompt", 200)
    assert record.ms >= 0


def test_unless_details_are_wished_only_refusals_are_logged(guarded, caplog):
    caplog.set_level(logging.INFO)
    ask(guarded, "GET", "/view")
    ask(guarded, "GET", "/refuses")
    assert [record.path for record in caplog.records if record.name == "safelight.access"] == ["/refuses"]


def test_a_path_cannot_write_a_line_of_its_own_into_the_log(guarded, caplog):
    caplog.set_level(logging.INFO)
    ask(guarded, "GET", "/a%0d%0aINFO all is well")
    [record] = [record for record in caplog.records if record.name == "safelight.access"]
    assert "\n" not in record.getMessage()


def _raw(guarded, request: bytes, policy=None) -> bytes:
    """All that the server answers to these bytes."""

    async def sent():
        async with guarded(ROUTES, policy) as client:
            reader, writer = await asyncio.open_connection(client.host, client.port)
            writer.write(request)
            answer = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            return answer

    return asyncio.run(sent())


def _socket_status(guarded, policy=None, path="/ws", headers=None) -> int:
    async def opened():
        async with guarded(ROUTES, policy) as client:
            try:
                async with client.ws_connect(path, headers=headers) as socket:
                    assert await socket.receive_str() == "hello"
                    return 101
            except aiohttp.WSServerHandshakeError as error:
                return error.status

    return asyncio.run(opened())
