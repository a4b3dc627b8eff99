from __future__ import annotations

import asyncio
import io
import json
import os
import zlib
from pathlib import Path

import pytest
from PIL import Image

from engine.paths import Paths
from engine.server.routes.view import view_routes
from engine.server.routes.view_renditions import Kept, Rendition


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "base")
    for kind in ("output", "input", "temp"):
        made.directory(kind)
    return made


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (8, 6), color=(200, 10, 10), **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **options)
    return path


def get(guarded, paths: Paths, url: str, headers=None, **options):
    async def ask():
        async with guarded(view_routes(paths, **options)) as client:
            answer = await client.get(url, headers=headers or {})
            return answer, await answer.read()

    return asyncio.run(ask())


def opened(body: bytes) -> Image.Image:
    return Image.open(io.BytesIO(body))


def test_a_picture_is_served_as_it_is_and_cannot_run(guarded, paths):
    path = picture(paths.output / "sub" / "a.png")
    answer, body = get(guarded, paths, "/view?filename=a.png&subfolder=sub&type=output&rand=0.5")
    assert (answer.status, answer.content_type, body) == (200, "image/png", path.read_bytes())
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert get(guarded, paths, "/api/view?filename=a.png&subfolder=sub")[1] == body


def test_an_annotation_in_the_name_chooses_the_folder(guarded, paths):
    picture(paths.input / "a.png")
    assert get(guarded, paths, "/view?filename=a.png%20[input]&type=output")[0].status == 200
    assert get(guarded, paths, "/view?filename=a.png")[0].status == 404


def test_a_part_of_a_file_can_be_asked_for(guarded, paths):
    path = picture(paths.output / "a.png")
    answer, body = get(guarded, paths, "/view?filename=a.png", {"Range": "bytes=4-9"})
    assert (answer.status, body) == (206, path.read_bytes()[4:10])
    assert answer.headers["Content-Range"] == f"bytes 4-9/{path.stat().st_size}"
    assert get(guarded, paths, "/view?filename=a.png", {"Range": "bytes=999999-"})[0].status == 416


def test_a_client_that_has_the_file_is_not_sent_it_again(guarded, paths):
    picture(paths.output / "a.png")
    for url in ("/view?filename=a.png", "/view?filename=a.png&preview=webp"):
        tag = get(guarded, paths, url)[0].headers["ETag"]
        answer, body = get(guarded, paths, url, {"If-None-Match": tag})
        assert (answer.status, body) == (304, b"")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.svg", b"<svg onload='alert(1)'/>"),
        ("a.html", b"<script>alert(1)</script>"),
        ("a.js", b"alert(1)"),
        ("a.png", b"<html><script>alert(1)</script>"),
        ("a.unknown", b"\x89PNG\r\n\x1a\n"),
        ("a", b""),
    ],
)
def test_what_could_run_in_a_browser_is_only_for_saving(guarded, paths, name, data):
    (paths.output / name).write_bytes(data)
    answer, body = get(guarded, paths, f"/view?filename={name}")
    assert (answer.status, answer.content_type, body) == (200, "application/octet-stream", data)
    assert answer.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.mp4", b"\0\0\0\x18ftypisom", "video/mp4"),
        ("a.m4a", b"\0\0\0\x18ftypM4A ", "audio/mp4"),
        ("a.webm", b"\x1a\x45\xdf\xa3", "video/webm"),
        ("a.flac", b"fLaC", "audio/flac"),
        ("a.mp3", b"\xff\xfb\x90", "audio/mpeg"),
        ("a.wav", b"RIFF\0\0\0\0WAVE", "audio/wav"),
        ("a.png", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("a.json", b"{}", "application/json"),
    ],
)
def test_media_have_the_type_that_their_first_bytes_tell(guarded, paths, name, head, kind):
    (paths.output / name).write_bytes(head)
    assert get(guarded, paths, f"/view?filename={name}")[0].content_type == kind


def test_another_file_with_gz_behind_its_name_is_not_served_in_its_stead(guarded, paths):
    (paths.output / "a.json").write_bytes(b'{"mine": 1}')
    (paths.output / "a.json.gz").write_bytes(b"another file")
    assert get(guarded, paths, "/view?filename=a.json", {"Accept-Encoding": "gzip"})[1] == b'{"mine": 1}'


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("filename=", 400),
        ("filename=none.png", 404),
        ("filename=sub", 404),
        ("filename=../secret.png", 400),
        ("filename=a.png&subfolder=../..", 400),
        ("filename=a.png&subfolder=/etc", 400),
        ("filename=/etc/passwd", 400),
        ("filename=%2e%2e%2fsecret.png", 400),
        ("filename=..%5Csecret.png", 400),
        ("filename=a%00.png", 400),
        ("filename=" + "a" * 5000, 404),
        ("filename=gone.png", 404),
        ("filename=a.png&subfolder=x/../..", 400),
        ("filename=a.png&type=user", 400),
        ("filename=a.png&channel=cmyk", 400),
        ("filename=a.png&preview=exe", 400),
        ("filename=a.png&preview=webp;900", 400),
        ("filename=a.png&preview=webp;0", 400),
        ("filename=a.png&preview=webp;%D9%A3", 400),
        ("filename=broken.png&preview=webp", 422),
    ],
)
def test_a_wrong_request_is_refused_with_a_reason(guarded, paths, query, status):
    picture(paths.output / "a.png")
    picture(paths.base / "secret.png")
    (paths.output / "sub").mkdir()
    (paths.output / "gone.png").symlink_to(paths.base / "gone.png")
    (paths.output / "broken.png").write_bytes((paths.output / "a.png").read_bytes()[:50])
    answer, body = get(guarded, paths, f"/view?{query}")
    assert answer.status == status
    assert json.loads(body)["error"]["message"]


def test_a_preview_is_a_small_file_of_the_format_asked_for(guarded, paths):
    picture(paths.output / "a.png", size=(64, 48))
    answer, body = get(guarded, paths, "/view?filename=a.png&preview=webp;50")
    assert (answer.content_type, opened(body).format, opened(body).size) == ("image/webp", "WEBP", (64, 48))
    answer, body = get(guarded, paths, "/view?filename=a.png&preview=jpeg;80")
    assert (answer.content_type, opened(body).format) == ("image/jpeg", "JPEG")


def test_a_preview_is_made_anew_when_the_file_has_changed(guarded, paths):
    path = picture(paths.output / "a.png")

    async def ask():
        async with guarded(view_routes(paths)) as client:
            seen = []
            for size in ((8, 6), (10, 10)):
                picture(path, size=size)
                os.utime(path, ns=(0, size[0] * 10**9))
                seen.append(opened(await (await client.get("/view?filename=a.png&preview=webp")).read()).size)
            return seen

    assert asyncio.run(ask()) == [(8, 6), (10, 10)]


def test_channels_are_taken_apart(guarded, paths):
    picture(paths.output / "a.png", "RGBA", color=(200, 10, 10, 77))
    colors = opened(get(guarded, paths, "/view?filename=a.png&channel=rgb")[1])
    assert (colors.mode, colors.getpixel((0, 0))) == ("RGB", (200, 10, 10))
    alpha = opened(get(guarded, paths, "/view?filename=a.png&channel=a")[1])
    assert (alpha.mode, alpha.getpixel((0, 0))) == ("RGBA", (0, 0, 0, 77))
    picture(paths.output / "b.jpg")
    assert opened(get(guarded, paths, "/view?filename=b.jpg&channel=a")[1]).getpixel((0, 0)) == (0, 0, 0, 255)


def test_a_preview_stands_upright_and_16_bits_become_8(guarded, paths):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(paths.output / "turned.jpg", size=(8, 6), exif=exif)
    assert opened(get(guarded, paths, "/view?filename=turned.jpg&preview=webp")[1]).size == (6, 8)
    for deep, shallow in ((32768, 128), (50000, 195), (65535, 255)):
        picture(paths.output / f"{deep}.png", "I;16", color=deep)
        pixel = opened(get(guarded, paths, f"/view?filename={deep}.png&channel=rgb")[1]).getpixel((0, 0))
        assert pixel == (shallow, shallow, shallow)


def test_of_renditions_kept_those_go_that_were_not_asked_for_the_longest():
    kept = Kept(10)
    for key in ("a", "b"):
        kept.put(key, Rendition(b"12345", "image/png", key))
    kept.get("a")
    kept.put("c", Rendition(b"12345", "image/png", "c"))
    assert [kept.get(key) is not None for key in ("a", "b", "c")] == [True, False, True]


def test_an_animation_and_a_video_are_sent_whole_instead_of_a_preview(guarded, paths):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(paths.output / "a.webp", save_all=True, append_images=frames[1:])
    (paths.output / "a.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    for name in ("a.webp", "a.mp4"):
        assert get(guarded, paths, f"/view?filename={name}&preview=webp")[1] == (paths.output / name).read_bytes()


def test_a_picture_bomb_is_refused_by_its_header(guarded, paths):
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    bomb = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    (paths.output / "bomb.png").write_bytes(bomb + b"\0\0\0\0IDAT")
    assert get(guarded, paths, "/view?filename=bomb.png&preview=webp")[0].status == 413
    picture(paths.output / "a.png", size=(40, 40))
    assert get(guarded, paths, "/view?filename=a.png&channel=rgb", max_pixels=1000)[0].status == 413
    assert get(guarded, paths, "/view?filename=a.png", max_pixels=1000)[0].status == 200


def safetensors(path: Path, header: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header)


def test_the_metadata_of_a_model_file_is_told(guarded, paths):
    loras = paths.base / "models" / "loras"
    safetensors(loras / "sub" / "a.safetensors", b'{"__metadata__": {"k": "v"}, "w": {"dtype": "F32", "shape": [9]}}')
    answer, body = get(guarded, paths, "/view_metadata/loras?filename=sub/a.safetensors")
    assert (answer.status, json.loads(body)) == (200, {"k": "v"})


@pytest.mark.parametrize("header", [b"{}", b"{", b"[]", b'{"__metadata__": 3}', b"\xff" * 20])
def test_a_model_file_without_sound_metadata_has_none(guarded, paths, header):
    loras = paths.base / "models" / "loras"
    safetensors(loras / "a.safetensors", header)
    (loras / "huge.safetensors").write_bytes(b"\xff" * 8)
    for url in (
        "loras?filename=a.safetensors",
        "loras?filename=huge.safetensors",
        "loras",
        "input?filename=a",
        "x?filename=y",
    ):
        assert get(guarded, paths, f"/view_metadata/{url}")[0].status == 404
