from __future__ import annotations

import asyncio
import io
import json
import shutil
from pathlib import Path

import pytest
from aiohttp import FormData
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.paths import Paths
from engine.server.routes.uploads import upload_routes
from engine.server.saving import Incoming, place_new, refusal_of, safe_name
from tests.harness import PATIENCE


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "base")


def form(data: bytes = b"data", name: str | None = "a.png", **fields: str) -> FormData:
    made = FormData(quote_fields=False)
    made.add_field("image", data, filename=name, content_type="image/png")
    for key, value in fields.items():
        made.add_field(key, value)
    return made


def post(guarded, paths: Paths, *forms, url: str = "/upload/image", headers=None, **options) -> list[tuple[int, dict]]:
    async def ask():
        async with guarded(upload_routes(paths, **options)) as client:
            answers = []
            for one in forms:
                answer = await client.post(url, data=one, headers=headers or {})
                answers.append((answer.status, await answer.json()))
            return answers

    return asyncio.run(ask())


def files(paths: Paths) -> dict[str, bytes]:
    return {
        path.relative_to(paths.base).as_posix(): path.read_bytes() for path in paths.base.rglob("*") if path.is_file()
    }


def test_a_file_is_saved_in_the_input_folder(guarded, paths):
    assert post(guarded, paths, form()) == [(200, {"name": "a.png", "subfolder": "", "type": "input"})]
    assert files(paths) == {"input/a.png": b"data"}


def test_fields_after_the_file_count(guarded, paths):
    ((_, answer),) = post(guarded, paths, form(type="temp", subfolder="x/y/"))
    assert answer == {"name": "a.png", "subfolder": "x/y", "type": "temp"}
    assert files(paths) == {"temp/x/y/a.png": b"data"}


def test_a_taken_name_gets_a_number_unless_the_file_is_equal_or_may_be_replaced(guarded, paths):
    forms = [
        form(b"one"),
        form(b"one"),
        form(b"two"),
        form(b"two"),
        form(b"three", overwrite="true"),
        form(b"4", overwrite="1"),
    ]
    names = [answer["name"] for _, answer in post(guarded, paths, *forms)]
    assert names == ["a.png", "a.png", "a (1).png", "a (1).png", "a.png", "a.png"]
    assert files(paths) == {"input/a.png": b"4", "input/a (1).png": b"two"}


def test_many_uploads_of_one_name_at_once_lose_nothing(guarded, paths):
    async def ask():
        async with guarded(upload_routes(paths)) as client:
            answers = await asyncio.gather(*(client.post("/upload/image", data=form(b"%d" % n)) for n in range(12)))
            return {(await answer.json())["name"] for answer in answers}

    assert len(asyncio.run(ask())) == 12
    assert sorted(files(paths).values()) == sorted(b"%d" % n for n in range(12))


def test_a_large_file_arrives_whole(guarded, paths):
    data = bytes(range(256)) * 12_000
    assert post(guarded, paths, form(data))[0][0] == 200
    assert files(paths) == {"input/a.png": data}


def test_a_file_that_is_too_large_leaves_nothing_behind(guarded, paths):
    ((status, answer),) = post(guarded, paths, form(b"x" * 700_000), max_bytes=600_000)
    assert (status, answer["error"]["type"]) == (413, "too_large")
    assert files(paths) == {}


def test_a_broken_off_upload_leaves_nothing_behind(guarded, paths):
    async def ask():
        async with guarded(upload_routes(paths)) as client:
            _, writer = await asyncio.open_connection("127.0.0.1", client.port)
            head = f"POST /upload/image HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nContent-Length: 100000\r\n"
            head += "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            part = '--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\nbegin'
            writer.write((head + part).encode())
            await writer.drain()
            while not list(paths.input.glob(".*.part")):
                await asyncio.sleep(0.01)
            writer.close()
            while files(paths):
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(ask(), PATIENCE))
    assert files(paths) == {}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"type": "user"}, 400),
        ({"subfolder": "../.."}, 400),
        ({"subfolder": "/etc"}, 400),
        ({"subfolder": "a/../../b"}, 400),
        ({"subfolder": "a\0b"}, 400),
        ({"subfolder": "\\\\host\\share"}, 400),
        ({"subfolder": "C:\\x"}, 400),
        ({"subfolder": "a" * 300}, 400),
        ({"name": ""}, 400),
        ({"name": ".."}, 400),
        ({"name": "/"}, 400),
        ({"type": "x" * 70_000}, 413),
    ],
)
def test_a_wrong_form_is_refused(guarded, paths, fields, status):
    ((got, answer),) = post(guarded, paths, form(**fields))
    assert (got, files(paths)) == (status, {})
    assert answer["error"]["message"]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=b", b"", 400),
        ("multipart/form-data; boundary=b", b"nonsense", 400),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\n\r\n--b--\r\n", 400),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\nx', 400),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n",
            400,
        ),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"A: " + b"x" * 100_000 + b"\r\n\r\n", 400),
        ("multipart/form-data; boundary=" + "b" * 71, b"", 400),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="k"\r\n\r\nv\r\n' * 80, 413),
    ],
)
def test_what_is_no_form_is_refused(guarded, paths, kind, body, status):
    async def ask():
        async with guarded(upload_routes(paths)) as client:
            answer = await client.post("/upload/image", data=body, headers={"Content-Type": kind})
            return answer.status, await answer.json()

    got, answer = asyncio.run(ask())
    assert (got, files(paths)) == (status, {}), answer


def test_links_that_the_owner_put_there_are_written_through(guarded, paths, tmp_path):
    paths.directory("input")
    outside = tmp_path / "outside"
    outside.mkdir()
    (paths.input / "out").symlink_to(outside, target_is_directory=True)
    assert post(guarded, paths, form(subfolder="out"))[0][0] == 200
    (saved,) = outside.iterdir()
    (paths.input / saved.name).symlink_to(saved)
    before = saved.read_bytes()
    assert post(guarded, paths, form(b"other", overwrite="true"))[0][0] == 200
    assert (paths.input / saved.name).is_symlink()
    assert saved.read_bytes() != before


def test_a_subfolder_may_go_back_as_long_as_it_stays_inside(guarded, paths):
    assert post(guarded, paths, form(subfolder="a/../b"))[0][0] == 200
    assert [path.name for path in paths.input.iterdir()] == ["b"]
    assert post(guarded, paths, form(subfolder="a/../../b"))[0][0] == 400


@pytest.mark.parametrize(
    ("given", "saved"),
    [
        ("a.png", "a.png"),
        ("C:\\Users\\me\\a b.png", "a b.png"),
        ("../../etc/passwd", "passwd"),
        ("..hidden.png", "hidden.png"),
        ("~home.png", "home.png"),
        ("nul.png", "_nul.png"),
        ("a\r\nb\0.png", "a__b_.png"),
        ("Bäume 🌲.png", "Bäume 🌲.png"),
        ("a.png [output]", "a.png (output)"),
        ("gpj\u202egnp.exe", "gpj_gnp.exe"),
        ("é" * 300 + ".png", "é" * 98 + ".png"),
    ],
)
def test_names_are_made_safe(given, saved):
    assert safe_name(given) == saved
    assert len(safe_name(given).encode()) <= 200


def test_a_full_disk_is_told_and_leaves_nothing_behind(guarded, paths, monkeypatch):
    async def fail(self: Incoming, chunk: bytes) -> None:
        raise refusal_of(OSError(28, "No space left on device"))

    monkeypatch.setattr(Incoming, "write", fail)
    ((status, answer),) = post(guarded, paths, form())
    assert (status, answer["error"]["type"], files(paths)) == (507, "disk_full", {})


def test_a_file_on_another_disk_is_copied_before_it_takes_its_name(tmp_path, monkeypatch):
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk")
    part = tmp_path / ".x.part"
    part.write_bytes(b"data")
    folder = other / f"safelight-{tmp_path.name}"
    try:
        assert place_new(part, folder, "a.png").read_bytes() == b"data"
        assert [path.name for path in folder.iterdir()] == ["a.png"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def png(size=(8, 6), color=(1, 2, 3, 255), text: str | None = None) -> bytes:
    info = PngInfo()
    if text is not None:
        info.add_text("prompt", text)
    buffer = io.BytesIO()
    Image.new("RGBA", size, color).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def test_a_mask_becomes_the_alpha_of_its_picture_whose_texts_stay(guarded, paths):
    (paths.directory("output") / "o.png").write_bytes(png(text='{"1": {}}'))
    reference = json.dumps({"filename": "o.png", "type": "output"})
    mask = form(png(color=(9, 9, 9, 40)), "m.webp", original_ref=reference, subfolder="clipspace", type="input")
    assert post(guarded, paths, mask, url="/upload/mask") == [
        (200, {"name": "m.png", "subfolder": "clipspace", "type": "input"})
    ]
    with Image.open(paths.input / "clipspace" / "m.png") as made:
        assert made.getpixel((0, 0)) == (1, 2, 3, 40)
        assert made.text == {"prompt": '{"1": {}}'}
    assert [path.name for path in paths.input.rglob("*.part")] == []


@pytest.mark.parametrize(
    ("reference", "data", "status"),
    [
        ('{"filename": "none.png"}', png(), 404),
        ('{"filename": "../o.png"}', png(), 400),
        ("{", png(), 400),
        ("[]", png(), 400),
        ('{"filename": "o.png"}', png(size=(5, 5)), 400),
        ('{"filename": "o.png"}', b"no picture", 422),
        ('{"filename": "text.txt"}', png(), 422),
    ],
)
def test_a_wrong_mask_is_refused(guarded, paths, reference, data, status):
    (paths.directory("output") / "o.png").write_bytes(png())
    (paths.output / "text.txt").write_text("text")
    before = files(paths)
    ((got, _),) = post(guarded, paths, form(data, original_ref=reference), url="/upload/mask")
    assert (got, files(paths)) == (status, before)
