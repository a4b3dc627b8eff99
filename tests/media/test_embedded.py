from __future__ import annotations

import io
import json
import subprocess
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.media.embedded import is_picture, read_embedded
from engine.media.errors import MediaError

GRAPH = {"1": {"class_type": "Ünïcode 漢", "inputs": {}}}


def png(**texts: str) -> bytes:
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    return encoded("PNG", pnginfo=info)


def encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, kind, **options)
    return buffer.getvalue()


def test_compressed_and_international_text_chunks_are_read():
    info = PngInfo()
    info.add_text("prompt", json.dumps(GRAPH), zip=True)
    info.add_itxt("workflow", json.dumps(GRAPH, ensure_ascii=False), zip=True)
    found = read_embedded(encoded("PNG", pnginfo=info))
    assert (found.prompt, found.workflow) == (GRAPH, GRAPH)


def test_a_jpeg_carries_exif_strings():
    exif = Image.new("RGB", (2, 2)).getexif()
    exif[0x010F] = f"workflow:{json.dumps(GRAPH)}"
    found = read_embedded(encoded("JPEG", exif=exif))
    assert (found.prompt, found.workflow) == (None, GRAPH)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_without_a_workflow_is_refused_by_name(kind):
    with pytest.raises(MediaError, match=r"a\.pic carries no workflow"):
        read_embedded(encoded(kind), "a.pic")


def test_settings_of_another_program_are_recognised():
    assert read_embedded(png(parameters="a cat, Steps: 20")).parameters == "a cat, Steps: 20"


def test_broken_json_and_other_json_are_told_apart():
    with pytest.raises(MediaError, match="not whole JSON"):
        read_embedded(png(workflow="{"))
    with pytest.raises(MediaError, match="expected an object"):
        read_embedded(png(workflow="[1]"))


def test_a_truncated_png_gives_what_was_whole():
    data = png(prompt=json.dumps(GRAPH))
    assert read_embedded(data[: data.index(b"IDAT") + 6]).prompt == GRAPH
    with pytest.raises(MediaError, match="carries no workflow"):
        read_embedded(data[: data.index(b"tEXt") + 9])


def test_a_text_chunk_that_inflates_without_end_is_cut_off():
    bomb = zlib.compress(b" " * 200_000_000, 9)
    body = b"prompt\0\0" + bomb
    data = b"\x89PNG\r\n\x1a\n" + len(body).to_bytes(4) + b"zTXt" + body + bytes(4)
    with pytest.raises(MediaError, match="not whole JSON"):
        read_embedded(data)


def test_pictures_are_told_by_their_first_bytes():
    assert all(is_picture(encoded(kind)) for kind in ("PNG", "JPEG", "WEBP"))
    assert not is_picture(b'{"1": {}}')
    assert not is_picture(b"")


def test_reading_a_png_loads_neither_pillow_nor_torch(tmp_path):
    (tmp_path / "a.png").write_bytes(png(prompt=json.dumps(GRAPH)))
    script = (
        "import sys, pathlib; from engine.media.embedded import read_embedded;"
        "read_embedded(pathlib.Path(sys.argv[1]).read_bytes());"
        "assert not {'PIL', 'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.png")], check=True)


PARTS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe1", b"RIFF\x00\x00\x00\x00WEBP", b"tEXt", b"\0\0\0\x0f", b"prompt\0{}"]
    ),
)


@given(st.lists(PARTS, max_size=6).map(b"".join))
def test_whatever_the_bytes_the_only_error_is_ours(data):
    try:
        found = read_embedded(data)
    except MediaError:
        return
    assert found.prompt is not None or found.workflow is not None
