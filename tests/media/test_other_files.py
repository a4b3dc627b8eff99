"""Workflows in files of which most hold no picture: EXIF user comments, AVIF, GLB, SVG, latents and other tensors."""

from __future__ import annotations

import io
import json
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.media.containers import avif, safetensors, svg
from engine.media.containers.kinds import kind_of
from engine.media.embedded import is_picture, read_embedded
from engine.media.errors import MediaError

PROMPT = {"1": {"class_type": "Nameß", "inputs": {"text": "漢 ]]> &amp; <b>"}}}
WORKFLOW = {"nodes": [], "links": [], "version": 0.4}
BOTH = json.dumps({"prompt": PROMPT, "workflow": json.dumps(WORKFLOW)}, ensure_ascii=False)


def box(kind, body):
    return struct.pack(">I4s", 8 + len(body), kind) + body


def tiff(entries, order=">"):
    """EXIF data whose Exif directory has these (tag, bytes)."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order]
    bodies = b""
    listed = b""
    start = 8 + 18 + 2 + 12 * len(entries) + 4
    for tag, body in entries:
        listed += struct.pack(f"{order}HHII", tag, 7, len(body), start + len(bodies))
        bodies += body
    first = struct.pack(f"{order}IHHHIII", 8, 1, 0x8769, 4, 1, 26, 0)
    return head + first + struct.pack(f"{order}H", len(entries)) + listed + bytes(4) + bodies


def comment(text, order=">", code="UNICODE\0", encoding="utf-16-be"):
    return tiff([(0x9286, code.encode() + text.encode(encoding))], order)


def jpeg(exif):
    body = b"Exif\0\0" + exif
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(body) + 2) + body + b"\xff\xda\0\2"


def webp(exif):
    chunk = b"EXIF" + struct.pack("<I", len(exif)) + exif
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def png(exif):
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", len(exif), b"eXIf") + exif + bytes(4)


def avif_file(exif, in_box=False, version=1, wide=False):
    """An AVIF file without its picture: the second item is the EXIF data, in the file or in the box `idat`."""
    item = struct.pack(">I", 6) + b"Exif\0\0" + exif

    def entry(number, kind):
        return box(
            b"infe", (b"\3" if wide else b"\2") + bytes(3) + struct.pack(">IH" if wide else ">HH", number, 0) + kind
        )

    infos = box(b"iinf", bytes(4) + struct.pack(">H", 2) + entry(1, b"av01\0") + entry(2, b"Exif\0"))

    def meta(place):
        number = ">H" if version < 2 else ">I"
        method = struct.pack(">H", 1 if in_box else 0) if version else b""
        parts = b""
        for item_id, at, length in ((1, 0, 0), (2, place, len(item))):
            half = length // 2  # in two parts
            extents = struct.pack(">HIIII", 2, at, half, at + half, length - half)
            parts += struct.pack(number, item_id) + method + bytes(2) + extents
        head = bytes([version, 0, 0, 0, 0x44, 0x00])
        places = box(b"iloc", head + struct.pack(number, 2) + parts)
        inside = box(b"idat", item) if in_box else b""
        return box(b"meta", bytes(4) + box(b"hdlr", bytes(8) + b"pict" + bytes(13)) + infos + places + inside)

    first = box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")
    place = 0 if in_box else len(first) + len(meta(0)) + 8
    return first + meta(place) + box(b"mdat", item)


def glb(extras):
    scene = json.dumps({"asset": {"version": "2.0", "extras": extras}}).encode()
    scene += b" " * (-len(scene) % 4)
    chunk = struct.pack("<I4s", len(scene), b"JSON") + scene
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunk)) + chunk + struct.pack("<I4s", 4, b"BIN\0") + bytes(4)


def svg_file(text, head=""):
    return f'{head}<svg xmlns="http://www.w3.org/2000/svg"><metadata id="m">{text}</metadata></svg>'.encode()


def tensors(metadata):
    header = json.dumps({"__metadata__": metadata, "latent_tensor": {"dtype": "F32", "shape": [0]}}).encode()
    return struct.pack("<Q", len(header)) + header


def cdata(text):
    return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>"


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;").replace(">", "&gt;")


EXIF = comment(BOTH)
TEXTS = {"prompt": json.dumps(PROMPT), "workflow": json.dumps(WORKFLOW)}
FILES = {
    "jpeg, UTF-16": jpeg(EXIF),
    "jpeg, UTF-16 in the other order": jpeg(comment(BOTH, encoding="utf-16-le")),
    "jpeg, UTF-16 with a mark": jpeg(comment(BOTH, encoding="utf-16")),
    "jpeg, little-endian": jpeg(comment(BOTH, "<", encoding="utf-16-le")),
    "jpeg, ASCII": jpeg(comment(BOTH, code="ASCII\0\0\0", encoding="utf-8")),
    "jpeg, no code": jpeg(comment(BOTH, code="\0" * 8, encoding="utf-8")),
    "jpeg, bare": jpeg(comment(BOTH, code="", encoding="utf-8")),
    "webp": webp(EXIF),
    "png": png(EXIF),
    "avif": avif_file(EXIF),
    "avif, in a box": avif_file(EXIF, in_box=True),
    "avif, first version": avif_file(EXIF, version=0),
    "avif, wide numbers": avif_file(EXIF, version=2, wide=True),
    "glb": glb({"prompt": PROMPT, "workflow": WORKFLOW}),
    "glb, as text": glb(TEXTS),
    "svg": svg_file(cdata(BOTH)),
    "svg, after a prologue": svg_file(cdata(BOTH), '<?xml version="1.0"?>\n<!-- <metadata> -->\n<!DOCTYPE svg>\n'),
    "svg, after other metadata": svg_file(f"{cdata(BOTH)}</metadata><metadata><rdf:RDF/>"),
    "svg, escaped": svg_file(f"\n {escaped(BOTH)} "),
    "latent": tensors(TEXTS),
}


@pytest.mark.parametrize("name", FILES)
def test_both_forms_are_read(name):
    found = read_embedded(FILES[name])
    assert (found.prompt, found.workflow) == (PROMPT, WORKFLOW)


def test_a_user_comment_may_hold_one_form_by_its_key():
    found = read_embedded(jpeg(comment(f"prompt:{json.dumps(PROMPT)}")))
    assert (found.prompt, found.workflow) == (PROMPT, None)


@pytest.mark.parametrize("code", ["JIS\0\0\0\0\0", "UNICODE\0"])
def test_a_user_comment_that_is_neither_is_settings_of_another_program(code):
    encoding = "iso2022_jp" if code.startswith("JIS") else "utf-16-be"
    assert read_embedded(jpeg(comment("猫\nSteps: 20", code=code, encoding=encoding))).parameters == "猫\nSteps: 20"


def test_an_avif_counts_as_a_picture_and_a_video_does_not():
    assert is_picture(FILES["avif"])
    assert kind_of(box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41")) == "MP4"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (avif_file(tiff([])), "AVIF"),
        (glb({}), "GLB"),
        (glb([1]), "GLB"),
        (svg_file("<rdf/>"), "SVG"),
        (tensors({"format": "pt"}), "safetensors"),
        (jpeg(tiff([])), "JPEG"),
    ],
)
def test_a_file_without_its_workflow_says_so(data, kind):
    assert kind_of(data) == kind
    with pytest.raises(MediaError, match=r"cat\.x carries no workflow"):
        read_embedded(data, "cat.x")


def test_a_file_that_pillow_saves_as_avif_without_metadata_says_so():
    buffer = io.BytesIO()
    try:
        Image.new("RGB", (16, 16)).save(buffer, "AVIF")
    except (KeyError, OSError):
        pytest.skip("this Pillow writes no AVIF")
    with pytest.raises(MediaError, match=r"cat\.avif carries no workflow"):
        read_embedded(buffer.getvalue(), "cat.avif")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tensors(TEXTS)[:40], "header is cut off: 32 of"),
        (struct.pack("<Q", 20) + b"{" * 20, "header is not whole JSON"),
        (struct.pack("<Q", 3) + b"[1]", None),
        (glb(TEXTS)[:60], "JSON chunk is cut off"),
        (b"glTF" + struct.pack("<III", 2, 99, 2**31) + b"JSON{}", "more than the 64 MiB"),
        (b"glTF" + struct.pack("<III", 2, 99, 2) + b"JSON[]", "is a JSON list"),
    ],
)
def test_a_file_that_is_not_whole_says_what_is_missing(data, words):
    with pytest.raises(MediaError, match=words or "is no PNG"):
        read_embedded(data, "cat.x")


def test_tensors_behind_the_header_are_not_needed():
    data = tensors(TEXTS)
    assert safetensors.head_length(data[:16]) == len(data)
    assert read_embedded(data).prompt == PROMPT


def test_other_bytes_are_not_taken_for_tensors():
    for data in (b"", b'{"1": {}}', b'        {"1": {}}', struct.pack("<Q", 200_000_000) + b"{"):
        assert kind_of(data) is None


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_off_anywhere_gives_all_or_nothing(name):
    data = FILES[name]
    for length in range(0, len(data), 7):
        try:
            found = read_embedded(data[:length])
        except MediaError:
            continue
        assert found.prompt in (PROMPT, None)
        assert found.workflow in (WORKFLOW, None)


@pytest.mark.parametrize("name", FILES)
def test_damaged_bytes_raise_nothing_but_our_error(name):
    chance = random.Random(name)
    for _ in range(150):
        data = bytearray(FILES[name])
        for _ in range(chance.randrange(1, 12)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            read_embedded(bytes(data))
        except MediaError:
            continue


HEADS = st.sampled_from(
    [
        b"glTF\2\0\0\0\x20\0\0\0\x10\0\0\0JSON",
        box(b"ftyp", b"avif\0\0\0\0") + b"\0\0\1\0meta\0\0\0\0",
        b"<svg><metadata>",
        struct.pack("<Q", 30) + b"{",
        b"\xff\xd8\xff\xe1\1\0Exif\0\0MM\0*\0\0\0\x08\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x1a\0\0\0\0\0\1\x92\x86\0\7",
    ]
)
PIECES = st.sampled_from(
    [
        *(
            b"\0\0\0\x40iloc\1\0\0\0\x44\0\0\2",
            b"\0\0\0\x40iinf\0\0\0\0\0\2",
            b"\0\0\0\x15infe\2\0\0\0\0\2\0\0Exif",
            b"\0\0\0\2",
        ),
        *(b"<![CDATA[", b"]]>", b"</metadata>", b'{"prompt":{}}', b'"__metadata__":{"prompt":"{}"}', b"}"),
        *(b'{"asset":{"extras":{"workflow":', b"UNICODE\0", b"ASCII\0\0\0", b"JIS\0\0\0\0\0", b"\xff\xff"),
    ]
)


@given(HEADS, st.lists(PIECES | st.binary(max_size=9), max_size=14).map(b"".join))
def test_whatever_follows_the_beginning_the_only_error_is_ours(head, rest):
    try:
        found = read_embedded(head + rest)
    except MediaError:
        return
    assert found.prompt is not None or found.workflow is not None or found.parameters


def test_parts_without_bytes_are_not_counted_for_ever():
    places = struct.pack(">HHH", 2, 0, 65_535) * 60_000  # each says that its item has 65,535 parts of no bytes
    body = bytes([0, 0, 0, 0, 0x00, 0x00]) + struct.pack(">H", 60_000) + places
    meta = box(b"meta", bytes(4) + box(b"iloc", body) + box(b"iinf", bytes(4) + b"\0\0"))
    assert list(avif.texts(box(b"ftyp", b"avif\0\0\0\0") + meta)) == []


def test_items_that_all_mean_the_same_bytes_are_not_all_copied():
    exif = tiff([(0x9286, b"prompt:" + b" " * 200_000)])
    whole = avif_file(exif)
    assert len(list(avif.texts(whole))) == 1
    info = box(b"infe", b"\2\0\0\0" + struct.pack(">HH", 2, 0) + b"Exif\0") * 2000
    place = whole.index(b"mdat") + 4
    entry = struct.pack(">HHHII", 2, 0, 1, place, len(whole) - place)
    iloc = bytes([0, 0, 0, 0, 0x44, 0x00]) + struct.pack(">H", 2000) + entry * 2000
    meta = box(b"meta", bytes(4) + box(b"iinf", bytes(4) + b"\7\xd0" + info) + box(b"iloc", iloc))
    shift = len(meta) - len(whole) + len(box(b"mdat", whole[place:])) + len(box(b"ftyp", b"avif\0\0\0\0avifmif1miaf"))
    assert shift >= 0
    data = box(b"ftyp", b"avif\0\0\0\0") + meta + whole
    assert sum(len(text) for _, text in avif.texts(data)) <= len(data)


def test_sections_of_an_svg_without_an_end_are_looked_at_once():
    data = b"<svg><metadata>" + b"<![CDATA[]]>" * 200_000
    assert list(svg.texts(data)) == []
    assert list(svg.texts(b"<svg>" + b"<metadata>" * 200_000)) == []
