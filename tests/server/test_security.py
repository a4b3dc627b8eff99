"""Attacks on a whole server, each with the refusal that it meets."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import socket
import struct
import zlib
from urllib.parse import quote

import pytest
from PIL import Image

from engine.server.guards import Policy
from tests.harness import PATIENCE

MIB = 1024**2
CANARY = "canary-7f3a91"
SECRET = "correct-horse-battery"

ESCAPES = [
    "../{secret}",
    "..%2f{secret}",
    "..%252f{secret}",
    "%2e%2e/{secret}",
    "%2e%2e%2f%2e%2e%2f{secret}",
    "../../../../../../../..{absolute}",
    "..\\{secret}",
    "..%5c{secret}",
    "....//{secret}",
    "{absolute}",
    "%2f{absolute}",
    "//{absolute}",
    "file://{absolute}",
    "x/../../{secret}",
    "./.././{secret}",
    "linked/../{secret}",
    "linked/../../{secret}",
    "linked%2f..%2f..%2f{secret}",
    "..%00/{secret}",
    "a.png%00{absolute}",
    "..%c0%af{secret}",
    "%uff0e%uff0e/{secret}",
    "\uff0e\uff0e/{secret}",
    "{secret} [../input]",
    "../{secret} [output]",
    "C:\\{secret}",
    "~/{secret}",
    "%ff%fe",
    "a" * 5000,
    "",
    ".",
    "..",
    "con",
]

READS = [
    "/view?filename={name}",
    "/view?filename={name}&type=input",
    "/view?filename={name}&type=temp&preview=webp;90",
    "/view?filename={file}&subfolder={dir}",
    "/view?filename=secret.txt&type={name}",
    "/viewvideo?filename={name}",
    "/view_metadata/checkpoints?filename={name}",
    "/view_metadata/{name}?filename=secret.txt",
    "/userdata/{name}",
    "/userdata?dir={name}&recurse=true&full_info=true",
    "/v2/userdata?path={name}",
    "/models/{name}",
    "/experiment/models/{name}",
    "/experiment/models/preview/checkpoints/0/{name}",
    "/experiment/models/preview/{name}/0/secret.png",
    "/templates/{name}",
    "/templates/{name}.json",
    "/internal/files/{name}",
    "/extensions/{name}",
    "/assets/{name}",
    "/scripts/{name}",
    "/{name}",
    "/history/{name}",
    "/jobs/{name}",
    "/settings/{name}",
    "/object_info/{name}",
]


@pytest.fixture
def planted(whole):
    """Files that nobody may read: beside the folders of the base directory.

    `linked` is a folder of the owner's elsewhere, from which the file system's own `..` would lead to them.
    """
    secret, elsewhere = whole.base / "secret.txt", whole.base / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "open.txt").write_text("open")
    outside = whole.base.parent / "secret.txt"
    for path in (secret, outside, secret.with_suffix(".png"), secret.with_suffix(".safetensors")):
        path.write_text(CANARY)
    for folder in (whole.base / "output", whole.base / "input", whole.base / "temp", whole.base / "user" / "default"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "linked").unlink(missing_ok=True)
        (folder / "linked").symlink_to(elsewhere)
    return secret


def _target(template, escape, secret):
    """The template with the escape put in; as it is when it is an address already, else percent-encoded."""
    name = escape.format(secret=secret.name, absolute=secret)
    if "%" not in name:
        name = quote(name, safe="/:\\")
        name = name.replace("\\", "%5C")
    folder, _, file = name.rpartition("/")
    return template.format(name=name, dir=folder, file=file)


@pytest.mark.parametrize("template", READS)
def test_no_name_leads_out_of_the_folders_that_are_served(whole, planted, template):
    for escape in ESCAPES:
        for prefix in ("", "/api"):
            target = prefix + _target(template, escape, planted)
            answer = whole.ask("GET", target)
            assert CANARY.encode() not in answer.body, target[:120]
            assert answer.status < 500, target[:120]
    assert whole.is_well()


def test_a_name_within_the_folders_is_served(whole, planted):
    """Without this, the tests above could pass on a server that serves nothing."""
    (whole.base / "output" / "sub").mkdir(exist_ok=True)
    (whole.base / "output" / "sub" / "open.txt").write_text("open")
    (whole.base / "user" / "default" / "open.txt").write_text("open")
    assert whole.ask("GET", "/view?filename=open.txt&subfolder=sub").body == b"open"
    assert whole.ask("GET", "/api/userdata/open.txt").body == b"open"
    assert whole.ask("GET", "/view?filename=open.txt&subfolder=sub/../linked").body == b"open"
    assert whole.ask("GET", "/userdata/linked%2Fopen.txt").body == b"open"


def _outside(whole):
    """Name and content of every file around the base directory and beside its folders."""
    around = [
        *whole.base.parent.iterdir(),
        *(path for path in whole.base.iterdir() if not path.name.startswith("jobs.db")),
    ]
    return {path: path.read_bytes() for path in around if path.is_file()}


@pytest.mark.parametrize("escape", ESCAPES)
def test_no_upload_is_written_outside_of_its_folder(whole, planted, escape):
    before = _outside(whole)
    name = escape.format(secret=planted.name, absolute=planted)
    for fields in (
        {"filename": name},
        {"filename": "x.png", "subfolder": name},
        {"filename": "x.png", "subfolder": "linked/.."},
        {"filename": "x.png", "type": name},
        {"filename": "x.png", "original_ref": json.dumps({"filename": name, "subfolder": name})},
    ):
        for path in ("/upload/image", "/upload/mask"):
            answer = whole.ask("POST", path, *_form(b"attack", **fields))
            assert answer.status < 500, (path, list(fields))
    assert _outside(whole) == before


@pytest.mark.parametrize("escape", ESCAPES)
def test_no_user_file_is_written_moved_or_deleted_outside_of_its_folder(whole, planted, escape):
    before = _outside(whole)
    name = _target("{name}", escape, planted).replace("/", "%2F")
    whole.ask("POST", "/userdata/mine.txt", b"mine")
    for method, target in (
        ("POST", f"/userdata/{name}?overwrite=true"),
        ("POST", f"/userdata/{name}/move/taken.txt"),
        ("POST", f"/userdata/mine.txt/move/{name}?overwrite=true"),
        ("DELETE", f"/userdata/{name}"),
    ):
        answer = whole.ask(method, target, b"attack" if method == "POST" else None)
        assert answer.status < 500, (method, target[:120])
    assert _outside(whole) == before


# -- pages of others


def _operations(whole):
    for path, methods in whole.description["paths"].items():
        for method in methods:
            yield method.upper(), path.replace("{", "").replace("}", "")


def _word(path, error):
    """Why something was refused: each of the APIs has the word in another place."""
    if path.startswith("/api/v2/"):
        return error["details"]["reason"]
    return error["code"] if path.startswith("/v1/") else error["type"]


@pytest.mark.parametrize(
    ("headers", "type_"),
    [
        ({"Origin": "http://evil.example"}, "foreign_origin"),
        ({"Origin": "null"}, "foreign_origin"),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, "foreign_origin"),
        ({"Host": "evil.example"}, "unknown_host"),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, "unknown_host"),
    ],
)
def test_a_foreign_page_or_a_rebound_name_is_refused_on_every_route(whole, headers, type_):
    asked = 0
    for method, path in _operations(whole):
        answer = whole.ask(method, path, b"{}" if method in ("POST", "PATCH") else None, headers)
        assert answer.status == 403, (method, path)
        if method != "HEAD":
            assert _word(path, answer.json()["error"]) == type_, (method, path)
        asked += 1
    assert asked > 40


def test_a_foreign_page_cannot_open_the_websocket(whole):
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "eA==",
    }
    key = {**upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    assert whole.ask("GET", "/ws", headers={**key, "Origin": "http://evil.example"}).status == 403
    assert whole.ask("GET", "/ws", headers={**key, "Host": "evil.example"}).status == 403


# -- too much


@pytest.mark.parametrize(
    "path", ["/prompt", "/queue", "/settings", "/settings/a", "/userdata/a.txt", "/api/v1/convert", "/history"]
)
def test_an_oversize_body_is_refused_on_every_route_that_takes_one(whole, path):
    answer = whole.ask("POST", path, b'"' + b"x" * (4 * MIB) + b'"')
    assert (answer.status, answer.json()["error"]["type"]) == (413, "too_large")


@pytest.mark.parametrize(
    "path", ["/prompt", "/queue", "/settings", "/settings/a", "/userdata/a.txt", "/api/v1/convert"]
)
def test_a_gzip_bomb_is_refused_on_every_route_that_takes_a_body(whole, path):
    bomb = gzip.compress(b" " * (64 * MIB), 9)
    answer = whole.ask("POST", path, bomb, {"Content-Encoding": "gzip"})
    assert (answer.status, answer.json()["error"]["type"]) == (413, "too_large")


def test_an_oversize_upload_is_refused_and_leaves_nothing_behind(whole):
    answer = whole.ask("POST", "/upload/image", *_form(b"x" * (3 * MIB), filename="big.png"))
    assert answer.status == 413
    left = [path for path in (whole.base / "input").iterdir() if "big" in path.name or path.name.endswith(".part")]
    assert left == []


def _png_of(width, height):
    """A PNG whose header promises a size that its data do not have."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def test_an_image_bomb_is_not_decoded(whole):
    (whole.base / "input").mkdir(exist_ok=True)
    (whole.base / "input" / "bomb.png").write_bytes(_png_of(60_000, 60_000))
    for wish in ("preview=webp;90", "channel=rgb", "channel=a"):
        assert whole.ask("GET", f"/view?filename=bomb.png&type=input&{wish}").status == 413
    mask = {"original_ref": json.dumps({"filename": "bomb.png", "type": "input"})}
    assert whole.ask("POST", "/upload/mask", *_form(_picture(), filename="mask.png", **mask)).status == 413


# -- active content


ACTIVE = {
    "a.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "a.html": b"<script>alert(1)</script>",
    "a.xhtml": b"<html xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></html>",
    "a.js": b"alert(1)",
    "a.xml": b"<?xml version='1.0'?><x/>",
    "a.png": b"<script>alert(1)</script>",
    "a.pdf": b"%PDF-1.4",
    "a.css": b"body{}",
    "a": b"<script>alert(1)</script>",
}


@pytest.mark.parametrize("name", ACTIVE)
def test_an_uploaded_file_that_could_run_in_a_browser_is_only_for_saving(whole, name):
    stored = whole.ask("POST", "/upload/image", *_form(ACTIVE[name], filename=f"active-{name}", overwrite="true"))
    assert stored.status == 200
    answer = whole.ask("GET", f"/view?filename={stored.json()['name']}&type=input")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_a_user_file_that_could_run_in_a_browser_is_only_for_saving(whole):
    for name in ("page.html", "workflows%2Fpage.svg"):
        assert whole.ask("POST", f"/userdata/{name}", b"<script>alert(1)</script>").status == 200
        answer = whole.ask("GET", f"/userdata/{name}")
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert "sandbox" in answer.headers["Content-Security-Policy"]


# -- secrets


def test_the_token_is_in_no_log_and_in_no_answer(whole_servers, caplog):
    caplog.set_level(logging.DEBUG)
    policy = Policy(listen=("0.0.0.0",), token=SECRET)
    bearer = {"Authorization": f"Bearer {SECRET}"}
    with whole_servers(policy) as server:
        server.ask("GET", f"/?token={SECRET}")
        server.ask("POST", f"/prompt?token={SECRET}", b"nonsense")
        server.ask("GET", f"/view?filename=x&token={SECRET}", headers=bearer)
        for line in (f"GET /?token={SECRET} HTTP/9.9", f"GET /?token={SECRET} x HTTP/1.1"):
            with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
                client.sendall(f"{line}\r\nHost: localhost\r\nAuthorization: Bearer {SECRET}\r\n\r\n".encode())
                assert b" 400 " in client.recv(4096)
        answers = [
            server.ask("GET", path, headers=bearer)
            for path in (
                "/internal/logs",
                "/internal/logs/raw",
                "/system_stats",
                "/metrics",
                "/features",
                "/openapi.json",
            )
        ]
    assert [answer.status for answer in answers] == [200] * 6
    assert not [answer for answer in answers if SECRET.encode() in answer.body]
    assert b"/prompt" in answers[1].body, "the log must have something to hide"
    assert SECRET not in "".join(
        f"{record.getMessage()} {record.__dict__} {record.exc_text}" for record in caplog.records
    )


def test_credentials_that_an_editor_sends_along_are_not_kept(whole):
    prompt = {"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}}
    extra = {"api_key_comfy_org": CANARY, "auth_token_comfy_org": CANARY}
    posted = whole.ask("POST", "/prompt", json.dumps({"prompt": prompt, "extra_data": extra}).encode())
    assert posted.status == 200
    assert CANARY.encode() not in whole.ask("GET", "/queue").body
    assert CANARY.encode() not in whole.ask("GET", f"/jobs/{posted.json()['prompt_id']}").body


def _picture():
    file = io.BytesIO()
    Image.new("RGBA", (8, 8)).save(file, "PNG")
    return file.getvalue()


def _form(data, filename, **fields):
    """Body and headers of a form with a file, whatever its name."""
    edge = os.urandom(8).hex()
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = f'--{edge}\r\nContent-Disposition: form-data; name="image"; filename="{filename}"\r\n\r\n'
    body = "".join(parts).encode() + head.encode() + data + f"\r\n--{edge}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={edge}"}
