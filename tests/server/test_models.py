from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from engine.paths import ExtraFolder, Paths
from engine.server.routes.models import model_routes


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(
        tmp_path / "base", extra=[ExtraFolder("loras", tmp_path / "more"), ExtraFolder("own", tmp_path / "own")]
    )


def get(guarded, paths: Paths, url: str):
    async def ask():
        async with guarded(model_routes(paths)) as client:
            answer = await client.get(url)
            return answer.status, await answer.read()

    status, body = asyncio.run(ask())
    return status, json.loads(body) if body[:1] in b"[{" else body


def touch(path: Path, data: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_kinds_and_their_files_are_listed(guarded, paths, tmp_path):
    touch(paths.base / "models" / "loras" / "a.safetensors")
    touch(tmp_path / "more" / "b.safetensors")
    touch(tmp_path / "own" / "c.anything")
    assert {"checkpoints", "loras", "own"} <= set(get(guarded, paths, "/models")[1])
    assert get(guarded, paths, "/models/loras") == (200, ["a.safetensors", "b.safetensors"])
    assert get(guarded, paths, "/api/models/own") == (200, ["c.anything"])


def test_an_unknown_kind_is_404(guarded, paths):
    for url in ("/models/none", "/models/input", "/models/..", "/experiment/models/none", "/experiment/models/output"):
        assert get(guarded, paths, url)[0] == 404


def test_embeddings_are_named_as_a_prompt_names_them(guarded, paths):
    touch(paths.base / "models" / "embeddings" / "sub" / "v1.5.pt")
    assert get(guarded, paths, "/embeddings") == (200, ["sub/v1.5"])


def test_files_are_told_with_their_place_and_size(guarded, paths, tmp_path):
    touch(paths.base / "models" / "loras" / "a.safetensors", b"12")
    touch(tmp_path / "more" / "a.safetensors", b"123")
    places = {one["name"]: one["folders"] for one in get(guarded, paths, "/experiment/models")[1]}
    assert "configs" not in places
    files = get(guarded, paths, "/experiment/models/loras")[1]
    assert [(one["name"], one["size"]) for one in files] == [("a.safetensors", 2), ("a.safetensors", 3)]
    assert [places["loras"][one["pathIndex"]] for one in files] == [
        str(paths.base / "models" / "loras"),
        str(tmp_path / "more"),
    ]
    assert files[0]["modified"] == (paths.base / "models" / "loras" / "a.safetensors").stat().st_mtime


def png(size=(2000, 1000)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


def test_the_picture_beside_a_model_is_its_preview(guarded, paths):
    touch(paths.base / "models" / "loras" / "sub" / "a.safetensors")
    touch(paths.base / "models" / "loras" / "sub" / "a.preview.png", png())
    status, body = get(guarded, paths, "/experiment/models/preview/loras/0/sub%2Fa.safetensors")
    assert (status, Image.open(io.BytesIO(body)).format) == (200, "WEBP")
    assert max(Image.open(io.BytesIO(body)).size) == 768


def test_the_picture_inside_a_model_is_its_preview(guarded, paths):
    url = "data:image/png;base64," + base64.b64encode(png((4, 2))).decode()
    header = json.dumps({"__metadata__": {"modelspec.thumbnail": url}}).encode()
    touch(paths.base / "models" / "loras" / "a.safetensors", len(header).to_bytes(8, "little") + header)
    status, body = get(guarded, paths, "/experiment/models/preview/loras/0/a.safetensors")
    assert (status, Image.open(io.BytesIO(body)).size) == (200, (4, 2))


def covered(path: Path, **metadata: object) -> None:
    header = json.dumps({"__metadata__": metadata}).encode()
    touch(path, len(header).to_bytes(8, "little") + header)


@pytest.mark.parametrize("url", ["loras/0/sub%2Fa.safetensors", "loras/0/sub/a.safetensors"])
def test_the_first_cover_picture_that_a_trainer_put_inside_is_shown(guarded, paths, url):
    covers = [base64.b64encode(data).decode() for data in (b"no picture", png((6, 3)), png((9, 9)))]
    path = paths.base / "models" / "loras" / "sub" / "a.safetensors"
    covered(path, ssmd_cover_images=json.dumps([5, "!!", *covers]))
    status, body = get(guarded, paths, f"/experiment/models/preview/{url}")
    assert (status, Image.open(io.BytesIO(body)).size) == (200, (6, 3))
    covered(path, ssmd_cover_images=json.dumps(covers), **{"modelspec.thumbnail": f"data:image/png;base64,{covers[2]}"})
    status, body = get(guarded, paths, f"/experiment/models/preview/{url}")
    assert Image.open(io.BytesIO(body)).size == (9, 9), "the file's own thumbnail comes first"


@pytest.mark.parametrize("covers", ["[", "{}", "5", "null", "[]", [1], "[" * 5000])
def test_covers_that_are_none_are_passed_over(guarded, paths, covers):
    covered(paths.base / "models" / "loras" / "a.safetensors", ssmd_cover_images=covers)
    assert get(guarded, paths, "/experiment/models/preview/loras/0/a.safetensors")[0] == 404


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("loras/0/a.safetensors", 404),
        ("loras/0/none.safetensors", 404),
        ("loras/9/a.safetensors", 404),
        ("loras/-1/a.safetensors", 404),
        ("loras/x/a.safetensors", 404),
        ("loras/%C2%B2/a.safetensors", 404),
        ("none/0/a.safetensors", 404),
        ("loras/0/..%2F..%2Fsecret.png", 404),
        ("loras/0/broken.safetensors", 422),
        ("loras/0/text.safetensors", 404),
    ],
)
def test_a_preview_that_is_not_there_is_refused(guarded, paths, url, status):
    loras = paths.base / "models" / "loras"
    touch(loras / "a.safetensors")
    touch(paths.base / "secret.png", png((4, 2)))
    touch(loras / "broken.safetensors")
    touch(loras / "broken.png", b"no picture")
    header = b'{"__metadata__": {"modelspec.thumbnail": "data:image/png;base64,!!"}}'
    touch(loras / "text.safetensors", len(header).to_bytes(8, "little") + header)
    assert get(guarded, paths, f"/experiment/models/preview/{url}")[0] == status
