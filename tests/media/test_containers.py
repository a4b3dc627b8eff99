"""Graphs in MP4, MOV, WebM, MKV, FLAC, OGG and MP3 files, as FFmpeg writes them, and in files made to mislead."""

from __future__ import annotations

import io
import json
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.media.containers import exif, iso, matroska, png
from engine.media.embedded import is_media, is_picture, read_embedded
from engine.media.errors import MediaError

av = pytest.importorskip("av")

PROMPT = {"1": {"class_type": "Ünïcode 漢", "inputs": {"text": 'a "quoted" line\n'}}}
WORKFLOW = {"nodes": [], "links": [], "extra": {"ours": [1, 2]}}
VIDEO = {"mp4": "mpeg4", "mov": "mpeg4", "webm": "libvpx", "matroska": "mpeg4"}
SOUND = {"flac": "flac", "mp3": "libmp3lame", "ogg": "libopus"}


def recorded(kind: str, **texts: str) -> bytes:
    """A file of a few frames with `texts` as metadata."""
    buffer = io.BytesIO()
    options = {"movflags": "use_metadata_tags"} if kind in ("mp4", "mov") else {}
    with av.open(buffer, "w", format=kind, options=options) as container:
        container.metadata.update(texts)
        if kind in VIDEO:
            stream = container.add_stream(VIDEO[kind], rate=8)
            stream.width = stream.height = 32
            frames = [av.VideoFrame(32, 32, "yuv420p") for _ in range(3)]
        else:
            stream = container.add_stream(SOUND[kind], rate=48_000)
            stream.layout = "mono"
            frames = [silence(stream, number) for number in range(3)]
        for frame in frames:
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def silence(stream, number):
    frame = av.AudioFrame(format=stream.format.name, layout="mono", samples=960)
    frame.sample_rate, frame.pts = 48_000, number * 960
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    return frame


@pytest.fixture(scope="module")
def files():
    texts = {"prompt": json.dumps(PROMPT), "workflow": json.dumps(WORKFLOW, ensure_ascii=False)}
    return {kind: recorded(kind, **texts) for kind in (*VIDEO, *SOUND)}


@pytest.mark.parametrize("kind", [*VIDEO, *SOUND])
def test_both_forms_are_read_from_a_file_that_ffmpeg_wrote(files, kind):
    assert is_media(files[kind])
    assert not is_picture(files[kind])
    found = read_embedded(files[kind])
    assert (found.prompt, found.workflow) == (PROMPT, WORKFLOW)


@pytest.mark.parametrize("kind", [*VIDEO, *SOUND])
def test_a_file_without_a_graph_is_refused_by_name(kind):
    with pytest.raises(MediaError, match=r"clip\.x carries no workflow"):
        read_embedded(recorded(kind, title="holidays"), "clip.x")


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_a_comment_that_is_json_may_hold_both(kind):
    comment = json.dumps({"prompt": json.dumps(PROMPT), "workflow": WORKFLOW})
    found = read_embedded(recorded(kind, comment=comment))
    assert (found.prompt, found.workflow) == (PROMPT, WORKFLOW)


@pytest.mark.parametrize("kind", [*VIDEO, *SOUND])
def test_a_file_cut_off_anywhere_gives_all_or_nothing(files, kind):
    data = files[kind]
    for length in range(0, len(data), max(1, len(data) // 60)):
        try:
            found = read_embedded(data[:length])
        except MediaError:
            continue
        assert found.prompt in (PROMPT, None)
        assert found.workflow in (WORKFLOW, None)


@pytest.mark.parametrize("kind", [*VIDEO, *SOUND])
def test_damaged_bytes_raise_nothing_but_our_error(files, kind):
    chance = random.Random(kind)
    for _ in range(60):
        data = bytearray(files[kind])
        for _ in range(chance.randrange(1, 20)):
            data[chance.randrange(min(len(data), 3000))] = chance.randrange(256)
        try:
            read_embedded(bytes(data))
        except MediaError:
            continue


SIGNATURES = [
    b"\x1a\x45\xdf\xa3",
    b"fLaC",
    b"OggS",
    b"ID3\4\0\0",
    b"\0\0\0\x10ftyp",
    b"RIFF\0\0\0\0WEBP",
    b"\xff\xd8\xff\xe1\0\x40Exif\0\0",
]
PARTS = st.sampled_from(
    [
        b"moov",
        b"meta",
        b"ilst",
        b"keys",
        b"udta",
        b"data",
        b"\0\0\0\x20",
        b"\0\0\0\1",
        b"\0\0\0\0",
        b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff",
        b"\x12\x54\xc3\x67\x90",
        b"\x73\x73\x88",
        b"\x67\xc8\x84",
        b"II*\0\x08\0\0\0",
        b"MM\0*\0\0\0\x08",
        b"\xff\xff\xff\xff",
        b"EXIF",
        b"TXXX",
        b"\x84\0\0\x10",
        b"prompt={}",
        b"prompt:{}",
    ]
)


@given(st.sampled_from(SIGNATURES), st.lists(PARTS | st.binary(max_size=12), max_size=12).map(b"".join))
def test_whatever_follows_a_signature_the_only_error_is_ours(signature, rest):
    try:
        found = read_embedded(signature + rest)
    except MediaError:
        return
    assert found.prompt is not None or found.workflow is not None


def boxes_read(reader, data):
    return list(reader(data))


def test_a_million_empty_boxes_are_not_all_walked():
    data = b"\0\0\0\x10ftyp" + bytes(8) + struct.pack(">I4s", 8, b"free") * 1_000_000
    movie = struct.pack(">I4s", 8 + 16, b"moov") + bytes(16)
    assert boxes_read(iso.texts, data + movie) == []
    assert boxes_read(matroska.texts, b"\x1a\x45\xdf\xa3\x80" + b"\xec\x80" * 1_000_000) == []
    with pytest.raises(MediaError):
        read_embedded(b"\xff\xd8\xff" + b"\xff\xe2\0\2" * 1_000_000)


def test_entries_that_all_mean_the_same_bytes_are_not_all_copied():
    entries = b"".join(struct.pack("<HHII", 0x0110, 2, 8_000_000, 20_000) for _ in range(1000))
    directory = struct.pack("<4sIH", b"II*\0", 8, 1000) + entries
    data = directory.ljust(20_000, b"\0") + b"prompt:" + b" " * 8_000_000
    assert sum(len(text) for _, text in exif.texts(data)) <= len(data)


def test_compressed_texts_share_one_bound():
    import zlib

    bomb = zlib.compress(b" " * 50_000_000, 9)
    body = b"prompt\0\0" + bomb
    chunk = len(body).to_bytes(4) + b"zTXt" + body + bytes(4)
    texts = [text for _, text in png.texts(png.SIGNATURE + chunk * 40)]
    assert sum(map(len, texts)) == png.MAX_TEXT


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_huge_picture_is_read_without_being_opened(kind, monkeypatch):
    exif = Image.new("RGB", (2, 2)).getexif()
    exif[0x010F] = f"workflow:{json.dumps(WORKFLOW)}"
    exif.get_ifd(0x8769)[0x9286] = b"prompt:" + json.dumps(PROMPT).encode()
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, kind, exif=exif)
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("the picture was opened"))
    found = read_embedded(buffer.getvalue())
    assert (found.prompt, found.workflow) == (PROMPT, WORKFLOW)


def test_one_broken_form_does_not_hide_the_other():
    found = read_embedded(recorded("flac", prompt="{", workflow=json.dumps(WORKFLOW)))
    assert (found.prompt, found.workflow) == (None, WORKFLOW)
