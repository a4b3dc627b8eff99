"""Damaged and odd forms on every route that takes one: each is taken or refused, and no half file stays."""

from __future__ import annotations

import random
import socket
import struct
import zlib

import pytest

from tests.harness import PATIENCE, until

# What aiohttp makes of a damaged header may hold lone surrogates, which the processes of a run cannot tell each other.
pytestmark = pytest.mark.filterwarnings(
    "ignore::aiohttp.BadContentDispositionHeader", "ignore::aiohttp.BadContentDispositionParam"
)

PATHS = ("/upload/image", "/upload/mask", "/api/v1/convert")
EDGE = b"edge"
TYPE = {"Content-Type": "multipart/form-data; boundary=edge"}


def part(name=b"image", filename=b'"a.png"', data=b"data", headers=b"", disposition=b"form-data"):
    """One part of a form, as odd as wished."""
    file = b"; filename=" + filename if filename is not None else b""
    field = b'; name="' + name + b'"' if name is not None else b""
    head = b"--edge\r\nContent-Disposition: " + disposition + field + file + b"\r\n" + headers + b"\r\n"
    return head + data + b"\r\n"


def form(*parts):
    return b"".join(parts) + b"--edge--\r\n"


NESTED = b"Content-Type: multipart/mixed; boundary=inner\r\n"
FORMS = {
    "nothing": b"",
    "only an end": b"--edge--\r\n",
    "no end": part(),
    "half a header": b"--edge\r\nContent-Dispo",
    "half a file": part(data=b"x" * 1000)[:500],
    "another boundary": form(part()).replace(b"edge", b"other"),
    "no headers": b"--edge\r\n\r\ndata\r\n--edge--\r\n",
    "no disposition": b"--edge\r\nX: y\r\n\r\ndata\r\n--edge--\r\n",
    "no name": form(part(name=None)),
    "no file": form(part(b"type", None, b"input")),
    "no file name": form(part(filename=None)),
    "empty file name": form(part(filename=b'""')),
    "two files": form(part(), part(filename=b'"b.png"')),
    "file in another field": form(part(name=b"picture")),
    "unknown disposition": form(part(disposition=b"attachment")),
    "disposition of nonsense": form(part(disposition=b';;;="')),
    "name with quotes": form(part(filename=b'"a\\"b.png"')),
    "name without quotes": form(part(filename=b"a b c.png")),
    "name of raw bytes": form(part(filename=b'"\xff\xfe\x00.png"')),
    "name of controls": form(part(filename=b'"\x01\x02\x1b[31m.png"')),
    "name with a line break": form(part(filename=b'"a\r\nX-Evil: 1.png"')),
    "encoded name": form(part(filename=b"\"x\"; filename*=UTF-8''%e2%82%ac%ff.png")),
    "encoded in nothing known": form(part(filename=b"\"x\"; filename*=klingon''%e2.png")),
    "name of the right to left": form(part(filename="\u202egnp.exe".encode())),
    "very long name": form(part(filename=b'"' + b"n" * 8000 + b'.png"')),
    "huge header": form(part(headers=b"X: " + b"y" * 100_000 + b"\r\n")),
    "many headers": form(part(headers=b"X: y\r\n" * 5000)),
    "header without colon": form(part(headers=b"nonsense\r\n")),
    "thousands of parts": form(part(), *[part(b"f%d" % number, None) for number in range(5000)]),
    "a huge field": form(part(b"subfolder", None, b"x" * 500_000), part()),
    "a wrong length": form(part(headers=b"Content-Length: 99999\r\n")),
    "a length that is none": form(part(headers=b"Content-Length: -5\r\n")),
    "base64 that is none": form(part(headers=b"Content-Transfer-Encoding: base64\r\n", data=b"!!!!")),
    "an unknown transfer": form(part(headers=b"Content-Transfer-Encoding: klingon\r\n")),
    "a compressed part": form(part(headers=b"Content-Encoding: gzip\r\n", data=zlib.compress(bytes(10**6)))),
    "a form in a form": form(part(name=None, filename=None, headers=NESTED, data=b"--inner\r\n\r\nx\r\n--inner--\r\n")),
    "forms without end": (b"--edge\r\n" + NESTED.replace(b"inner", b"edge") + b"\r\n") * 200,
    "the form's own charset": form(part(b"_charset_", None, b"klingon"), part()),
    "broken JSON in a field": form(part(), part(b"original_ref", None, b"{")),
    "deep JSON in a field": form(part(), part(b"original_ref", None, b"[" * 20_000)),
    "JSON of another type": form(part(), part(b"original_ref", None, b"[1]")),
    "an original of numbers": form(part(), part(b"original_ref", None, b'{"filename": 5}')),
    "an original that is not there": form(part(), part(b"original_ref", None, b'{"filename": "none.png"}')),
    "an unknown type": form(part(b"type", None, b"klingon"), part()),
    "text before the form": b"hello\r\n" * 1000 + form(part()),
    "text after the form": form(part()) + b"hello" * 1000,
    "bare line feeds": form(part()).replace(b"\r\n", b"\n"),
}

TYPES = {
    "no boundary": "multipart/form-data",
    "an empty boundary": "multipart/form-data; boundary=",
    "a long boundary": "multipart/form-data; boundary=" + "e" * 5000,
    "an odd boundary": 'multipart/form-data; boundary="\u00e9 \\""',
    "two boundaries": "multipart/form-data; boundary=edge; boundary=other",
    "another kind": "multipart/mixed; boundary=edge",
    "no type": "",
    "nonsense": ";;;=",
    "a form of the old kind": "application/x-www-form-urlencoded",
}
LENIENT = ("two boundaries", "another kind")


def _parts_left(whole):
    return [path for path in whole.base.rglob("*.part") if "user" not in path.parts]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", FORMS)
def test_an_odd_form_is_taken_or_refused(whole, path, name):
    answer = whole.ask("POST", path, FORMS[name], TYPE)
    assert answer.status < 500, answer.body[:300]
    if answer.status >= 400:
        assert answer.json()["error"]["message"]
    assert _parts_left(whole) == []


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", TYPES)
def test_a_form_of_an_odd_type_is_refused_unless_it_can_be_read(whole, path, name):
    answer = whole.ask("POST", path, form(part()), {"Content-Type": TYPES[name].encode("latin-1")})
    assert answer.status < 500, answer.body[:300]
    assert name in LENIENT or answer.status >= 400


@pytest.mark.parametrize("seed", range(4))
def test_a_form_damaged_at_random_is_taken_or_refused(whole, seed):
    draw = random.Random(seed)
    sound = form(part(data=_png()), part(b"type", None, b"temp"), part(b"subfolder", None, b"a/b"))
    for _ in range(60):
        data = bytearray(sound)
        for _ in range(draw.randint(1, 6)):
            place = draw.randrange(len(data))
            how = draw.randrange(4)
            if how == 0:
                data[place] = draw.randrange(256)
            elif how == 1:
                del data[place : place + draw.randint(1, 40)]
            elif how == 2:
                data[place:place] = draw.randbytes(draw.randint(1, 40))
            else:
                data += data[place : place + 100]
            data = data or bytearray(b"-")
        answer = whole.ask("POST", draw.choice(PATHS), bytes(data), TYPE)
        assert answer.status < 500, answer.body[:300]
    assert _parts_left(whole) == []
    assert whole.is_well()


def test_an_upload_that_breaks_off_leaves_no_file(whole):
    for _ in range(5):
        client = socket.create_connection(("127.0.0.1", whole.port), timeout=PATIENCE)
        head = "POST /upload/image HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900000\r\n"
        client.sendall(head.encode() + b"Content-Type: multipart/form-data; boundary=edge\r\n\r\n")
        client.sendall(part(filename=b'"broken-off.png"', data=b"x" * 300_000))
        client.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )  # a reset, as of a killed client
        client.close()
    assert whole.is_well()
    until(lambda: not _parts_left(whole), "what was begun to be removed")
    assert not (whole.base / "input" / "broken-off.png").exists()


RAW = {
    "nothing": b"",
    "nonsense": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no version": b"GET /\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a long line": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    "raw bytes in the path": b"GET /\xff\xfe\x80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "a path of stars": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "a path that is none": b"GET http:// HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "a port that is none": b"GET http://localhost:x/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "brackets in the path": b"GET //[::1/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "an unknown method": b"BREW /pot HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "two lengths": b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length and chunks": b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Length: -2\r\n\r\n{}",
    "chunks of nonsense": b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
    "a huge chunk": b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
    "an expectation": b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nExpect: miracles\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    "an odd range": b"GET /view?filename=a HTTP/1.1\r\nHost: localhost\r\nRange: bytes=9-1,-,x\r\nConnection: close\r\n\r\n",
    "an odd date": b"GET / HTTP/1.1\r\nHost: localhost\r\nIf-Modified-Since: yesterday\r\nConnection: close\r\n\r\n",
    "odd cookies": b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: =;;;\xff=\x01\r\nConnection: close\r\n\r\n",
    "an odd upgrade": b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n",
    "a websocket of no version": b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "line breaks in a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\nConnection: close\r\n\r\n",
    "an odd query": b"GET /view?%=%zz&&&=&filename=%ff&filename=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
def test_a_request_that_is_hardly_one_is_answered_or_ended(whole, name):
    client = socket.create_connection(("127.0.0.1", whole.port), timeout=PATIENCE)
    client.sendall(RAW[name])
    client.shutdown(socket.SHUT_WR)
    answer = b""
    try:
        while data := client.recv(65536):
            answer += data
    except ConnectionError:
        pass
    client.close()
    assert not answer.startswith(b"HTTP/1.1 5"), answer[:300]
    assert b"Traceback" not in answer
    assert whole.is_well()


def _png():
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    return file.getvalue()
