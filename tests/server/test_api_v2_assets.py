"""Assets of the Comfy API v2: uploads, hashes, contents, and what is refused."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from tests.harness import until
from tests.server.api_v2 import ask, form, png, refused, sdk, upload
from tests.server.conftest import Whole


def hash_of(data: bytes) -> str:
    return f"blake3:{blake3(data).hexdigest()}"


def inputs(server: Whole) -> set[str]:
    """Every file of the input folder, hidden ones too."""
    folder = server.base / "input"
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def put(whole: Whole) -> Iterator[Any]:
    """`put(data, file_path)`: an uploaded asset, deleted after the test."""
    made: list[str] = []

    def upload_one(data: bytes, file_path: str, **fields: str) -> dict[str, Any]:
        answer = upload(whole, data, file_path=file_path, **fields)
        assert answer.status in (200, 201), answer.body
        made.append(answer.json()["id"])
        return answer.json()

    yield upload_one
    for id in made:
        ask(whole, "DELETE", f"/assets/{id}")


def test_an_upload_lies_in_the_input_folder_and_is_known_by_id_and_hash(whole: Whole, put: Any) -> None:
    picture = png((5, 3))
    asset = put(picture, "faces/one.png", expected_hash=hash_of(picture), content_type="image/png", tags="a")
    assert (whole.base / "input" / "faces" / "one.png").read_bytes() == picture
    assert asset["hash"] == hash_of(picture)
    assert (asset["size_bytes"], asset["content_type"], asset["file_path"]) == (
        len(picture),
        "image/png",
        "faces/one.png",
    )
    assert asset["created_new"] is True
    assert asset["url"] == f"{whole.url}/api/v2/assets/{asset['id']}/content"
    assert ask(whole, "HEAD", f"/assets/by-hash/{asset['hash']}").status == 200
    assert ask(whole, "GET", f"/assets/by-hash/{asset['hash']}").json()["id"] == asset["id"]
    told = ask(whole, "GET", f"/assets/{asset['id']}").json()
    assert told == {key: value for key, value in asset.items() if key != "created_new"}


def test_equal_bytes_are_stored_once_and_other_bytes_of_a_name_get_a_number(whole: Whole, put: Any) -> None:
    first, again = put(b"first", "same.bin"), put(b"first", "same.bin")
    assert again["id"] == first["id"]
    assert again["created_new"] is False
    renamed = put(b"first", "another name.bin")
    assert renamed["id"] != first["id"]
    assert (renamed["file_path"], renamed["created_new"]) == ("another name.bin", False)
    other = put(b"second", "same.bin")
    assert {"same.bin", "same (1).bin"} <= inputs(whole)
    assert "another name.bin" not in inputs(whole)
    assert ask(whole, "GET", f"/assets/{other['id']}/content").body == b"second"
    minted = ask(whole, "POST", "/assets/from-hash", {"hash": hash_of(b"second"), "file_path": "same.bin"})
    assert (minted.status, minted.json()["id"], minted.json()["created_new"]) == (200, other["id"], False)
    assert ask(whole, "DELETE", f"/assets/{first['id']}").status == 204
    assert "same.bin" in inputs(whole), "another asset names it"
    assert ask(whole, "GET", f"/assets/{renamed['id']}/content").body == b"first"
    assert ask(whole, "DELETE", f"/assets/{renamed['id']}").status == 204
    assert "same.bin" not in inputs(whole)
    refused(ask(whole, "GET", f"/assets/{renamed['id']}"), 404, "not_found")
    assert ask(whole, "HEAD", f"/assets/by-hash/{hash_of(b'first')}").status == 404


def test_a_file_that_was_there_before_is_used_and_stays_when_its_asset_is_deleted(whole: Whole) -> None:
    mine = whole.base / "input" / "mine.bin"
    mine.parent.mkdir(exist_ok=True)
    mine.write_bytes(b"by hand")
    asset = upload(whole, b"by hand", file_path="mine.bin").json()
    assert inputs(whole) & {"mine.bin", "mine (1).bin"} == {"mine.bin"}
    assert ask(whole, "DELETE", f"/assets/{asset['id']}").status == 204
    assert mine.read_bytes() == b"by hand"


def test_contents_come_in_ranges(whole: Whole, put: Any) -> None:
    path = f"/assets/{put(bytes(range(200)), 'range.bin')['id']}/content"
    whole_one = ask(whole, "GET", path)
    assert (whole_one.status, whole_one.body) == (200, bytes(range(200)))
    part = ask(whole, "GET", path, Range="bytes=10-19")
    assert (part.status, part.body) == (206, bytes(range(10, 20)))
    assert part.headers["Content-Range"] == "bytes 10-19/200"
    assert ask(whole, "GET", path, Range="bytes=-5").body == bytes(range(195, 200))
    head = ask(whole, "HEAD", path)
    assert (head.headers["Content-Length"], head.body) == ("200", b"")
    for asked in ("bytes=500-600", "bytes=200-", "bytes=9-3", "lines=1-2"):
        beyond = ask(whole, "GET", path, Range=asked)
        refused(beyond, 416, "range_not_satisfiable")
        assert beyond.headers["Content-Range"] == "bytes */200"


def test_an_asset_whose_file_was_changed_or_deleted_is_gone(whole: Whole, put: Any) -> None:
    asset = put(b"as uploaded", "gone.bin")
    file = whole.base / "input" / "gone.bin"
    file.write_bytes(b"by somebody")
    refused(ask(whole, "GET", f"/assets/{asset['id']}/content"), 404, "output_unavailable")
    file.unlink()
    refused(ask(whole, "GET", f"/assets/{asset['id']}/content"), 404, "output_unavailable")
    refused(ask(whole, "POST", "/assets/from-hash", {"hash": asset["hash"]}), 404, "blob_not_found")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"file_path": "a.png", "expected_hash": hash_of(b"other")}, 409, "hash_mismatch"),
        ({"file_path": "a.png", "expected_hash": "md5:1"}, 400, "invalid_request"),
        ({"file_path": "../a.png"}, 400, "invalid_request"),
        ({"file_path": "/etc/passwd"}, 400, "invalid_request"),
        ({"file_path": "input/../../a.png"}, 400, "invalid_request"),
        ({"file_path": "a/" * 20 + "a.png"}, 400, "invalid_request"),
        ({"file_path": "models/checkpoints/a.safetensors"}, 422, "invalid_request"),
    ],
)
def test_a_wrong_hash_or_name_leaves_nothing(whole: Whole, fields: dict[str, str], status: int, code: str) -> None:
    before = inputs(whole)
    refused(upload(whole, b"these bytes", **fields), status, code)
    assert inputs(whole) == before


def test_what_is_no_upload_is_refused(whole: Whole) -> None:
    before = inputs(whole)
    refused(upload(whole, None, file_path="a.png"), 400, "invalid_request")
    refused(ask(whole, "POST", "/assets", b"{}", Content_Type="application/json"), 415, "unsupported_media_type")
    refused(upload(whole, bytes(2_500_000), file_path="large.bin"), 413, "payload_too_large")
    refused(upload(whole, bytes(9_000_000), file_path="larger.bin"), 413, "payload_too_large")
    assert inputs(whole) == before


def test_hashes_and_ids_that_are_none_are_refused(whole: Whole) -> None:
    refused(ask(whole, "GET", "/assets/by-hash/blake3:12"), 400, "invalid_request")
    refused(ask(whole, "POST", "/assets/from-hash", {"hash": 7}), 400, "invalid_request")
    refused(ask(whole, "POST", "/assets/from-hash", b"{"), 400, "invalid_request")
    refused(ask(whole, "POST", "/assets/from-hash", {"hash": hash_of(b"nowhere")}), 404, "blob_not_found")
    refused(ask(whole, "GET", f"/assets/by-hash/{hash_of(b'nowhere')}"), 404, "blob_not_found")
    for method in ("GET", "DELETE"):
        refused(ask(whole, method, "/assets/0-0-0"), 404, "not_found")
    refused(ask(whole, "GET", "/assets/0-0-0/content"), 404, "not_found")
    assert ask(whole, "HEAD", f"/assets/by-hash/{hash_of(b'nowhere')}").status == 404


def test_an_upload_that_breaks_off_leaves_nothing(whole: Whole) -> None:
    before = inputs(whole)
    body, kind = form(bytes(1_000_000), file_path="broken.bin")
    head = f"POST /api/v2/assets HTTP/1.1\r\nHost: 127.0.0.1:{whole.port}\r\nContent-Type: {kind}\r\n"
    with socket.create_connection(("127.0.0.1", whole.port)) as client:
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:500_000])
        until(lambda: inputs(whole) != before, "the upload to begin")
    until(lambda: inputs(whole) == before, "what came to be removed")


def test_uploads_at_once_of_the_same_bytes_are_one_file(whole: Whole) -> None:
    ids: list[str] = []
    data = b"at once" * 50_000
    body, kind = form(data, file_path="once.bin")
    threads = [
        threading.Thread(target=lambda: ids.append(ask(whole, "POST", "/assets", body, Content_Type=kind).json()["id"]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 4
    assert [name for name in inputs(whole) if name.startswith("once")] == ["once.bin"]
    for id in set(ids):
        assert ask(whole, "DELETE", f"/assets/{id}").status == 204
    assert "once.bin" not in inputs(whole)


def test_the_sdk_sends_equal_bytes_once(whole: Whole, tmp_path: Path) -> None:
    from comfy_sdk.exceptions import BlobNotFound, HashMismatch, NotFound, translating

    picture = png((7, 7))
    path = tmp_path / "seven.png"
    path.write_bytes(picture)
    with sdk(whole.url) as client:
        sent: list[tuple[str, str]] = []
        client._low._client.event_hooks["request"].append(lambda one: sent.append((one.method, one.url.path)))
        first = client.assets.from_file(path)
        first.commit()
        assert first.created_new is True
        again = client.assets.from_bytes(picture, filename="seven.png")
        assert again.commit() == first.id
        assert again.created_new is False
        assert [path for method, path in sent if method == "POST"] == ["/api/v2/assets", "/api/v2/assets/from-hash"]
        assert client.assets.get(first.id).hash == hash_of(picture)
        url = first.get_download_url()
        assert (url.url, url.expires_at) == (f"{whole.url}/api/v2/assets/{first.id}/content", None)
        wrong = client.assets.from_bytes(b"bytes", filename="x.bin")
        wrong._hash = hash_of(b"others")
        with pytest.raises(HashMismatch):
            wrong.commit()
        with pytest.raises(BlobNotFound), translating():
            client._low.asset_from_hash(hash_of(b"never seen"))
        first.delete()
        with pytest.raises(NotFound) as raised:
            client.assets.get(again.id)
        assert raised.value.request_id
