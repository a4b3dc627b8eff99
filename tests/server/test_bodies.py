from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from types import SimpleNamespace

import pytest
from aiohttp import web

from engine.server import bodies
from engine.server.bodies import body_chunks, decode_json, read_body, read_json
from engine.server.limits import MIB, Limits
from engine.server.refusals import Refusal, json_response
from engine.server.routing import Route


async def _length(request: web.Request) -> web.Response:
    return json_response({"length": len(await read_body(request))})


async def _echo(request: web.Request) -> web.Response:
    return json_response({"value": await read_json(request)})


async def _streamed(request: web.Request) -> web.Response:
    longest = total = 0
    async for chunk in body_chunks(request, 512 * MIB):
        longest, total = max(longest, len(chunk)), total + len(chunk)
    return json_response({"longest": longest, "total": total})


ROUTES = [
    Route(method="POST", path="/length", handler=_length, summary="", tag=""),
    Route(method="POST", path="/echo", handler=_echo, summary="", tag=""),
    Route(method="POST", path="/streamed", handler=_streamed, summary="", tag=""),
]
SMALL = Limits(max_body=10_000, max_upload_size=20_000)


def post(guarded, path, limits=None, **request):
    """Status and JSON of one POST."""

    async def ask():
        async with guarded(ROUTES, limits=limits) as client, client.post(path, **request) as answer:
            return answer.status, await answer.json()

    return asyncio.run(ask())


async def _slowly(*pieces: bytes, pause: float = 0.0):
    for piece in pieces:
        yield piece
        await asyncio.sleep(pause)


def test_a_body_within_the_limit_is_read_whole(guarded):
    assert post(guarded, "/length", SMALL, data=b"x" * 10_000) == (200, {"length": 10_000})


def test_a_body_one_byte_too_long_is_refused(guarded):
    status, answer = post(guarded, "/length", SMALL, data=b"x" * 10_001)
    assert (status, answer["error"]["type"]) == (413, "too_large")
    assert "10000 bytes" in answer["error"]["message"]


def test_a_body_of_unsaid_length_is_refused_once_it_is_too_long(guarded):
    status, answer = post(guarded, "/length", SMALL, data=_slowly(b"x" * 9_000, b"x" * 9_000))
    assert (status, answer["error"]["type"]) == (413, "too_large")


@pytest.mark.parametrize(("last", "expected"), [(1_000, 200), (1_001, 413)])
def test_a_body_of_unsaid_length_may_be_as_long_as_the_limit_and_no_byte_longer(guarded, last, expected):
    assert post(guarded, "/length", SMALL, data=_slowly(b"x" * 9_000, b"x" * last))[0] == expected


@pytest.mark.parametrize(("size", "expected"), [(10_000, 200), (10_001, 413)])
def test_what_a_compressed_body_holds_counts_and_not_its_own_length(guarded, size, expected):
    packed = gzip.compress(bytes(size))
    assert post(guarded, "/length", SMALL, data=packed, headers={"Content-Encoding": "gzip"})[0] == expected


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "bare deflate"])
def test_a_compressed_body_is_read_as_what_it_holds(guarded, encoding):
    value = {"prompt": ["text"] * 300}
    plain = json.dumps(value).encode()
    bare = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(plain),
        "deflate": zlib.compress(plain),
        "bare deflate": bare.compress(plain) + bare.flush(),
    }[encoding]
    headers = {"Content-Encoding": encoding.removeprefix("bare ")}
    assert post(guarded, "/echo", data=packed, headers=headers) == (200, {"value": value})


def test_a_gzip_bomb_is_refused_and_never_inflated_in_memory(guarded):
    bomb = gzip.compress(bytes(200 * MIB), 9)
    assert len(bomb) < MIB / 4, "the bomb must be small, or its length would stop it"
    tracemalloc.start()
    status, answer = post(guarded, "/length", Limits(max_body=4 * MIB), data=bomb, headers={"Content-Encoding": "gzip"})
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (status, answer["error"]["type"]) == (413, "too_large")
    assert held < 16 * MIB


def test_a_compressed_body_is_inflated_in_small_steps(guarded):
    packed = gzip.compress(bytes(20 * MIB), 1)
    status, answer = post(guarded, "/streamed", data=packed, headers={"Content-Encoding": "gzip"})
    assert status == 200
    assert answer["total"] == 20 * MIB
    assert answer["longest"] <= 256 * 1024


@pytest.mark.parametrize(
    "data", [b"no gzip at all", gzip.compress(b"{}" * 50)[:-9], b"\x1f\x8b"], ids=["text", "cut", "header"]
)
def test_a_body_not_compressed_as_announced_is_refused(guarded, data):
    status, answer = post(guarded, "/echo", data=data, headers={"Content-Encoding": "gzip"})
    assert (status, answer["error"]["type"]) == (400, "invalid_encoding")


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "\u20ac"])
def test_an_encoding_that_is_not_known_is_refused(guarded, encoding):
    status, answer = post(guarded, "/echo", data=b"{}", headers={"Content-Encoding": encoding})
    assert (status, answer["error"]["type"]) == (415, "unknown_encoding")


def test_a_body_that_comes_too_slowly_is_refused(guarded):
    hasty = Limits(body_grace=0.2, min_body_rate=1_000_000)
    status, answer = post(guarded, "/length", hasty, data=_slowly(*[b"x"] * 10, pause=0.1))
    assert (status, answer["error"]["type"]) == (408, "body_too_slow")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", "a/b"])
def test_json_is_taken_whatever_its_content_type_says(guarded, content_type):
    answer = post(guarded, "/echo", data=b'{"a": [1]}', headers={"Content-Type": content_type})
    assert answer == (200, {"value": {"a": [1]}})


@pytest.mark.parametrize(
    ("body", "type_", "says"),
    [
        (b"", "invalid_json", "empty"),
        (b"  \n", "invalid_json", "empty"),
        (b'{"a": 1,\n "b": @}', "invalid_json", "line 2, column 7"),
        (b'{"a": NaN}', "invalid_json", "line 1, column 7"),
        (b'{"a": Infinity}', "invalid_json", "not JSON"),
        (b'{"a": 1', "invalid_json", "not JSON"),
        (b'{"a": 1} 2', "invalid_json", "not JSON"),
        (b'"\xff\xfe"', "invalid_json", "not JSON"),
        (b'"\\ud800"', "invalid_json", "not JSON"),
        (b"1e999", "invalid_body", "range"),
        ('{"a": 1}'.encode("utf-16"), "invalid_json", "not JSON"),
        (b"[" * 129 + b"]" * 129, "json_too_deep", "128"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, "json_too_deep", "128"),
        (b"[" * 100_000, "json_too_deep", "128"),
        (b"[" * 1_000_000 + b"]" * 1_000_000, "json_too_deep", "128"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(guarded, body, type_, says):
    status, answer = post(guarded, "/echo", data=body)
    assert (status, answer["error"]["type"]) == (400, type_)
    assert says in answer["error"]["message"]


def test_lists_as_deep_as_allowed_are_taken():
    value = decode_json(b"[" * 128 + b"]" * 128)
    depth = 0
    while value is not None:
        value, depth = (value[0] if value else None), depth + 1
    assert depth == 128


def test_brackets_in_texts_do_not_count_as_depth():
    assert decode_json(json.dumps({"text": "[" * 5000}).encode()) == {"text": "[" * 5000}


def test_a_number_of_thousands_of_digits_is_refused():
    with pytest.raises(Refusal, match="range"):
        decode_json(b"9" * 10_000)


def test_a_value_of_another_type_is_refused_with_its_place():
    with pytest.raises(Refusal) as caught:
        decode_json(b'{"a": ["x"]}', dict[str, list[int]])
    assert caught.value.type == "invalid_body"
    assert "$[...][0]" in caught.value.message


def test_a_byte_order_mark_is_passed_over():
    assert decode_json(b"\xef\xbb\xbf[1]") == [1]


def test_others_have_their_turn_while_a_body_comes_in_very_small_pieces(monkeypatch) -> None:
    """What has arrived is read without waiting, so that nothing else would run until all of it is there."""
    monkeypatch.setattr(bodies, "_SHARE_SECONDS", -1.0)
    pieces = iter([b"x"] * 500 + [b""])
    ticks = 0

    async def readany() -> bytes:
        return next(pieces)

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async def story() -> bytes:
        other = asyncio.create_task(tick())
        content = SimpleNamespace(readany=readany)
        request = SimpleNamespace(app={}, content_length=None, headers={}, content=content)
        body = await bodies.read_body(request)
        other.cancel()
        return body

    assert asyncio.run(story()) == b"x" * 500
    assert ticks >= 500
