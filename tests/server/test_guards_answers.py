"""Bodies that are refused, and what every answer and log line has and has not."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import pytest

from tests.server.guarded import EXPOSED, ROUTES, SECRET, ask, problem, raw

# -- bodies


def test_a_body_longer_than_any_route_takes_is_refused_before_it_is_sent(guarded):
    head = b"POST /view HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000000\r\nConnection: close\r\n\r\n"
    assert b" 413 " in raw(guarded, head).split(b"\r\n")[0]


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


def test_a_client_that_has_gone_is_no_error_in_the_log(guarded, caplog):
    caplog.set_level(logging.DEBUG)

    async def asked():
        async with guarded(ROUTES) as client:
            with pytest.raises(aiohttp.ClientError):
                await client.get("/left")

    asyncio.run(asked())
    assert any("has gone" in record.getMessage() for record in caplog.records)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


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
