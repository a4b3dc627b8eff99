"""Which names and pages are this server: hosts, origins, and pages that were allowed."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from engine.server.guards import Policy, make_guards
from engine.server.limits import Limits
from engine.server.refusals import Refusal
from tests.server.guarded import EXPOSED, SECRET, ask, ok, problem, raw, socket_status

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
    assert raw(guarded, b"GET /view HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 400")


def test_a_request_with_two_hosts_is_refused(guarded):
    two = b"GET /view HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert b" 400 " in raw(guarded, two).split(b"\r\n")[0]


def test_two_hosts_are_refused_by_the_guards_too():
    """The HTTP parser refuses them first, today."""
    two = CIMultiDict([("Host", "localhost"), ("Host", "localhost")])
    asked = make_guards(Policy(), Limits())[1]
    with pytest.raises(Refusal, match="this one has 2") as refused:
        asyncio.run(asked(make_mocked_request("GET", "/view", headers=two), ok))
    assert (refused.value.status, refused.value.type) == (400, "bad_host")


def test_an_address_in_the_request_line_does_not_replace_the_host(guarded):
    absolute = b"GET http://localhost/view HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert b" 403 " in raw(guarded, absolute).split(b"\r\n")[0]


def test_a_rebound_name_cannot_open_the_websocket(guarded):
    assert socket_status(guarded, headers={"Host": "evil.example"}) == 403


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
    assert socket_status(guarded, headers=headers) == 403


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
    assert socket_status(guarded, headers=headers) == 101


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
