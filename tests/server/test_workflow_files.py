"""Files that come with a call: how each may be given, what is refused, and how they are kept."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import time
from urllib.parse import quote_from_bytes

import pytest
from PIL import Image

from engine.graph.parameters import Parameter
from engine.graph.schema import Files, InputSpec
from engine.paths import Paths
from engine.server.refusals import Refusal
from engine.server.workflows.files import CallFiles, FileProblemError


def picture(colour="red", size=(5, 4), format="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format)
    return buffer.getvalue()


def parameter(option="image_upload"):
    spec = InputSpec(name="image", type="COMBO", choices=Files("input"), options={option: True})
    return Parameter(name="photo", node="1", input="image", type="COMBO", spec=spec)


@pytest.fixture
def take(tmp_path):
    files = CallFiles(Paths(tmp_path), max_bytes=100_000, max_pixels=10_000, most=400_000)
    return lambda value, option="image_upload": asyncio.run(files.take(parameter(option), value))


PNG = picture()
TEXT = base64.b64encode(PNG).decode()
LONG = picture(size=(99, 99), format="BMP")


@pytest.mark.parametrize(
    "value",
    [
        PNG,
        f"data:image/png;base64,{TEXT}",
        f"data:;base64,{TEXT}",
        f"data:image/png,{quote_from_bytes(PNG)}",
        {"base64": TEXT},
        {"base64": base64.urlsafe_b64encode(PNG).decode().rstrip("=")},
    ],
    ids=["bytes", "data", "data without type", "data in percent", "base64", "base64 of URLs"],
)
def test_one_picture_given_in_any_way_is_one_file(take, tmp_path, value):
    name = take(value)
    assert (tmp_path / "input" / name).read_bytes() == PNG
    assert name.startswith("calls/")
    assert name.endswith(".png")
    assert take(PNG) == name
    assert [path.name for path in (tmp_path / "input" / "calls").iterdir()] == [name.removeprefix("calls/")]


def test_a_text_too_long_for_a_name_is_base64(take, tmp_path):
    name = take(base64.b64encode(LONG).decode())
    assert (tmp_path / "input" / name).read_bytes() == LONG


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("example.png", "example.png"),
        ("made.png [output]", "made.png [output]"),
        ({"filename": "a.png", "subfolder": "x", "type": "output"}, "x/a.png [output]"),
        ({"filename": "a.png", "subfolder": "", "type": "input"}, "a.png"),
        (7, 7),
        ({"other": 1}, {"other": 1}),
    ],
)
def test_what_names_a_file_is_left_to_the_check_of_names(take, value, name):
    assert take(value) == name


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("https://example.org/a.png", "not fetched"),
        ("file:///etc/passwd", "not fetched"),
        ("data:image/png;base64", "data:TYPE"),
        ("data:image/png;base64,!!", "no base64"),
        ({"base64": "=="}, "no base64"),
        (b"no picture", "cannot be read"),
        (b"", "cannot be read"),
        (PNG[:40], "cannot be read"),
        (picture(size=(200, 200)), "pixels"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "kind"),
        (b"\0" * 200_000, "MiB"),
    ],
)
def test_what_is_no_picture_is_refused_by_the_name_of_the_parameter(take, tmp_path, value, says):
    with pytest.raises(FileProblemError) as raised:
        take(value)
    told = raised.value.problem
    assert told.input_name == "photo"
    assert says in f"{told.message} {told.expected}"
    assert not list((tmp_path / "input").rglob("*.*"))


def test_a_picture_is_no_sound(take):
    with pytest.raises(FileProblemError, match="image/png"):
        take(PNG, "audio_upload")
    assert take(b"fLaC" + b"\0" * 60, "audio_upload").endswith(".flac")


def test_old_files_go_when_there_are_too_many_and_new_ones_stay(take, tmp_path):
    first = tmp_path / "input" / take(b"fLaC" + b"a" * 90_000, "audio_upload")
    names = [take(b"fLaC" + bytes([n]) * 99_000, "audio_upload") for n in range(3)]
    week_ago = time.time() - 7 * 24 * 3600
    os.utime(first, (week_ago, week_ago))
    names.append(take(b"fLaC" + b"\x07" * 99_000, "audio_upload"))
    assert not first.exists()
    assert all((tmp_path / "input" / name).exists() for name in names)
    with pytest.raises(Refusal) as raised:
        take(b"fLaC" + b"\x08" * 99_000, "audio_upload")
    assert (raised.value.status, raised.value.type) == (507, "input_full")
    assert take(b"fLaC" + b"\x07" * 99_000, "audio_upload") == names[-1]
