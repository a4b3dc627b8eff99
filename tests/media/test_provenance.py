"""What files tell of their making: content credentials and the IPTC source type, put in where files are written."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from engine.config import ProvenanceSettings
from engine.graph.prompt import Prompt, prompt_from_json
from engine.media.errors import MediaError
from engine.media.png import save_pictures
from engine.media.provenance import xmp
from engine.media.provenance.certificates import FOLDER, ROOT, KeyFiles, check, own_files
from engine.media.provenance.origin import Origin, Source, origin_of
from engine.media.provenance.sealing import Provenance
from engine.media.provenance.signing import actions_of
from engine.media.provenance.sources import ALGORITHMIC, COMPOSITE, GENERATED, PUT_TOGETHER
from engine.paths import Paths

c2pa = pytest.importorskip("c2pa")
pytest.importorskip("cryptography")

MADE = Origin(GENERATED, True)


def provenance(base: Path, **settings: Any) -> Provenance:
    paths = Paths(base)
    return Provenance(ProvenanceSettings(**settings), base, base / "user", paths.locate)


def picture(kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((10, 7), 60).convert(mode).save(file, kind, **options)
    return file.getvalue()


def manifest(path: Path, root: bytes = b"") -> dict[str, Any]:
    settings: dict[str, Any] = {"verify": {"remote_manifest_fetch": False}}
    if root:
        settings["trust"] = {"user_anchors": root.decode()}
    reader = c2pa.Reader(str(path), context=c2pa.Context(c2pa.Settings.from_dict(settings)))
    found: dict[str, Any] = json.loads(reader.json())
    return found


def active(found: dict[str, Any]) -> dict[str, Any]:
    one: dict[str, Any] = found["manifests"][found["active_manifest"]]
    return one


def actions(found: dict[str, Any]) -> list[dict[str, Any]]:
    (one,) = [a for a in active(found)["assertions"] if a["label"].startswith("c2pa.actions")]
    listed: list[dict[str, Any]] = one["data"]["actions"]
    return listed


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif"])
def test_a_sealed_picture_is_signed_and_shows_the_same_pixels(tmp_path, suffix):
    warned: list[str] = []
    path = tmp_path / f"a{suffix}"
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.effect_noise((33, 17), 60).convert("RGB").save(path, **options)
    before = Image.open(path).convert("RGB").tobytes()
    by = provenance(tmp_path, credentials="always")
    seal = by.seal(MADE, False, warned.append)
    assert seal is not None
    seal(path, suffix)
    assert warned == []
    assert Image.open(path).convert("RGB").tobytes() == before
    found = manifest(path, (tmp_path / "user" / FOLDER / ROOT).read_bytes())
    assert found["validation_state"] == "Trusted"
    assert manifest(path)["validation_state"] == "Valid", "nobody else trusts a self-signed certificate"
    (action,) = actions(found)
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"] == GENERATED
    assert action["softwareAgent"]["name"] == "Safelight"
    assert xmp.source_type(path.read_bytes()) == ("" if suffix == ".avif" else GENERATED)
    assert sorted(one.name for one in tmp_path.iterdir()) == [f"a{suffix}", "user"], "nothing half-written is left"


def test_a_pixel_that_is_changed_afterwards_is_noticed(tmp_path):
    by = provenance(tmp_path, credentials="always")
    (path,) = save_pictures(torch.rand(1, 8, 8, 3), tmp_path, "a", seal=by.seal(MADE, False, print))
    data = bytearray(path.read_bytes())
    data[data.rindex(b"IDAT") + 20] ^= 1
    path.write_bytes(bytes(data))
    found = manifest(path)
    assert found["validation_state"] == "Invalid"
    assert [one["code"] for one in found["validation_status"] if "Hash" in one["code"]] == [
        "assertion.dataHash.mismatch"
    ]


def test_a_video_is_signed_and_plays(tmp_path):
    import av

    from engine.media.video import VideoValue
    from engine.media.video_writing import Wish, write_video

    path = tmp_path / "a.mp4"
    write_video(VideoValue(images=torch.rand(3, 16, 16, 3), rate=(8, 1)), path, Wish("mp4"), {})
    seal = provenance(tmp_path, credentials="always").seal(MADE, False, print)
    assert seal is not None
    seal(path, ".mp4")
    assert manifest(path)["validation_state"] == "Valid"
    assert xmp.source_type(path.read_bytes()) == GENERATED
    with av.open(str(path)) as file:
        assert len(list(file.decode(video=0))) == 3


def test_kinds_without_a_place_for_credentials_are_saved_with_a_warning(tmp_path):
    warned: list[str] = []
    path = tmp_path / "a.webm"
    path.write_bytes(b"\x1a\x45\xdf\xa3")
    seal = provenance(tmp_path, credentials="always").seal(MADE, False, warned.append)
    assert seal is not None
    seal(path, ".webm")
    assert path.read_bytes() == b"\x1a\x45\xdf\xa3"
    assert [one.split(",")[0] for one in warned] == ["webm files cannot carry content credentials"]


def test_only_those_who_ask_get_credentials_where_they_are_on(tmp_path):
    by = provenance(tmp_path, credentials="on")
    assert by.seal(MADE, False, print) is None
    for seal in (by.seal(MADE, True, print), by.seal(Origin(GENERATED, True, wish={}), False, print)):
        assert seal is not None
        assert seal.signs
        assert not seal.always
    off = provenance(tmp_path, source_type=True).seal(MADE, True, print)
    assert off is not None
    assert not off.signs


def test_results_depend_on_what_is_put_into_files(tmp_path):
    on = provenance(tmp_path, credentials="on")
    told = [on.facts(MADE, False), on.facts(MADE, True), provenance(tmp_path, embed_workflow=False).facts(MADE, False)]
    told += [on.facts(Origin(GENERATED, True, wish={"title": title}), False) for title in "ab"]
    assert len(set(told)) == 5


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "RGBA", {}),
        ("JPEG", "RGB", {}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("WEBP", "RGB", {"quality": 80}),
        ("WEBP", "RGB", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}),
    ],
)
def test_the_source_type_goes_into_files_that_stay_the_same_pictures(kind, mode, options):
    data = picture(kind, mode, **options)
    written = xmp.with_xmp(data, xmp.packet(GENERATED, "Safelight 1"))
    assert xmp.source_type(data) == ""
    assert xmp.source_type(written) == GENERATED
    was, now = Image.open(io.BytesIO(data)), Image.open(io.BytesIO(written))
    assert (now.mode, now.size, now.tobytes()) == (was.mode, was.size, was.tobytes())
    assert b"trainedAlgorithmicMedia" in now.info["xmp"], "another reader finds it"


def test_source_types_of_others_are_read_as_elements_and_resources():
    for inner in ("<a:DigitalSourceType> {} </a:DigitalSourceType>", '<a:DigitalSourceType rdf:resource="{}"/>'):
        assert xmp.source_type(xmp.with_xmp(picture(), inner.format(COMPOSITE).encode())) == COMPOSITE


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffiTXt", b"RIFF\0\0\0\0WEBP", b"\xff\xd8\xff\xe1"]
)
def test_broken_files_have_no_source_type(data):
    assert xmp.source_type(data) == ""


def test_a_key_is_made_once_for_its_owner_alone(tmp_path):
    files = own_files(tmp_path / "user")
    before = files.read()
    assert own_files(tmp_path / "user").read() == before
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert files.key.parent.stat().st_mode & 0o777 == 0o700
    assert [one.name for one in (tmp_path / "user").iterdir()] == ["provenance"]
    check(files)


def test_certificates_that_have_run_out_and_keys_of_others_are_told(tmp_path):
    ours, others = own_files(tmp_path / "a"), own_files(tmp_path / "b")
    with pytest.raises(MediaError, match=r"is valid from .* which is not now"):
        check(ours, datetime.now(UTC) + timedelta(days=4000))
    with pytest.raises(MediaError, match="is not the key of"):
        check(KeyFiles(ours.certificate, others.key))
    with pytest.raises(MediaError, match="holds no private key") as error:
        check(KeyFiles(ours.certificate, ours.certificate))
    assert "BEGIN" not in str(error.value)
    with pytest.raises(MediaError, match="holds no certificate"):
        check(KeyFiles(ours.key, ours.key))
    with pytest.raises(MediaError, match="cannot be read"):
        check(KeyFiles(ours.certificate, tmp_path / "gone.pem"))


@pytest.mark.parametrize("mode", ["on", "always"])
def test_a_file_that_cannot_be_signed_is_kept_with_a_warning_unless_all_must_be(tmp_path, mode):
    ours, others = own_files(tmp_path / "a"), own_files(tmp_path / "b")
    by = provenance(tmp_path, credentials=mode, certificate=str(ours.certificate), key=str(others.key))
    warned: list[str] = []
    seal = by.seal(MADE, True, warned.append)
    images = torch.rand(1, 8, 8, 3)
    if mode == "always":
        with pytest.raises(MediaError, match="Nothing was saved"):
            save_pictures(images, tmp_path / "out", "a", seal=seal)
        assert list((tmp_path / "out").iterdir()) == []
    else:
        (path,) = save_pictures(images, tmp_path / "out", "a", seal=seal)
        assert Image.open(path).size == (8, 8)
        assert [one.split(".")[0] for one in warned] == ["The file was saved without content credentials"]


def test_a_key_of_another_algorithm_is_told(tmp_path):
    by = provenance(tmp_path, credentials="on")
    files = by.key_files()
    by = provenance(
        tmp_path, credentials="on", certificate=str(files.certificate), key=str(files.key), algorithm="ed25519"
    )
    warned: list[str] = []
    (_,) = save_pictures(torch.rand(1, 8, 8, 3), tmp_path / "out", "a", seal=by.seal(MADE, True, warned.append))
    assert len(warned) == 1
    assert "could not be written" in warned[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"certificate": "a.pem"}, "needs both `certificate` and `key`"),
        ({"certificate": "a.pem", "key": "b.pem"}, "certificate: there is no file"),
        ({"trust": ("c.pem",)}, "trust: there is no file"),
    ],
)
def test_settings_that_cannot_be_are_told_at_the_start(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        provenance(tmp_path, **settings)


def test_the_loaded_picture_is_the_parent_and_brings_its_own_credentials(tmp_path):
    by = provenance(tmp_path, credentials="always")
    (first,) = save_pictures(torch.rand(1, 8, 8, 3), tmp_path / "input", "first", seal=by.seal(MADE, False, print))
    (tmp_path / "input" / "broken.png").write_bytes(b"no picture")
    sources = (
        Source("input", first.name, True),
        Source("input", "broken.png", False),
        Source("input", "gone.png", False),
    )
    origin = Origin(COMPOSITE, True, sources, {"title": "Mine", "author": "Me", "rights": "All"})
    (path,) = save_pictures(torch.rand(1, 8, 8, 3), tmp_path / "output", "b", seal=by.seal(origin, False, print))
    found = manifest(path)
    assert found["validation_state"] == "Valid"
    opened, edited = actions(found)
    assert (opened["action"], edited["action"]) == ("c2pa.opened", "c2pa.edited")
    assert edited["digitalSourceType"] == COMPOSITE
    ingredients = [(one["title"], one["relationship"]) for one in active(found)["ingredients"]]
    assert ingredients == [(first.name, "parentOf"), ("broken.png", "inputTo"), ("gone.png", "inputTo")]
    assert len(found["manifests"]) == 2, "the history of the parent is kept"
    (told,) = [one["data"] for one in active(found)["assertions"] if one["label"] == "cawg.metadata"]
    assert (told["dc:title"], told["dc:creator"], told["dc:rights"]) == ("Mine", ["Me"], "All")


def test_several_pictures_are_placed_into_what_was_created():
    two = (Source("input", "a.png", True), Source("input", "b.png", True))
    assert [one["action"] for one in actions_of(Origin(PUT_TOGETHER, False, two), two)] == [
        "c2pa.created", "c2pa.placed", "c2pa.placed",
    ]  # fmt: skip


LOADED = {"class_type": "LoadImage", "inputs": {"image": "a.png"}}
MODEL = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "m"}}
SAMPLED = {"class_type": "KSampler", "inputs": {"model": ["m", 0], "latent_image": ["e", 0], "positive": ["p", 0]}}
DECODED = {"class_type": "VAEDecode", "inputs": {"samples": ["k", 0], "vae": ["m", 2]}}
EMPTY = {"class_type": "EmptyLatentImage", "inputs": {}}
TEXT = {"class_type": "CLIPTextEncode", "inputs": {"clip": ["m", 1], "text": "a"}}
STEERED = {
    "class_type": "ControlNetApply",
    "inputs": {"conditioning": ["t", 0], "control_net": ["c", 0], "image": ["l", 0]},
}


def saved(**nodes: dict[str, Any]) -> Prompt:
    first = next(iter(nodes))
    return prompt_from_json({**nodes, "s": {"class_type": "SaveImage", "inputs": {"images": [first, 0]}}})


A, STEERS = Source("input", "a.png", True), Source("input", "a.png", False)


@pytest.mark.parametrize(
    ("graph", "kind", "sources"),
    [
        (saved(d=DECODED, k=SAMPLED, m=MODEL, e=EMPTY, p=TEXT), GENERATED, ()),
        (
            saved(d=DECODED, k=SAMPLED, m=MODEL, p=TEXT, l=LOADED,
                  e={"class_type": "VAEEncode", "inputs": {"pixels": ["l", 0], "vae": ["m", 2]}}),
            COMPOSITE, (A,),
        ),
        (saved(d=DECODED, k=SAMPLED, m=MODEL, e=EMPTY, t=TEXT, p=STEERED, l=LOADED), GENERATED, (STEERS,)),
        (saved(i={"class_type": "ImageInvert", "inputs": {"image": ["l", 0]}}, l=LOADED), "", (A,)),
        (
            saved(b={"class_type": "ImageBatch", "inputs": {"image1": ["l", 0], "image2": ["o", 0]}}, l=LOADED,
                  o={"class_type": "LoadImage", "inputs": {"image": "b.png"}}),
            PUT_TOGETHER, (A, Source("input", "b.png", True)),
        ),
        (
            saved(u={"class_type": "ImageUpscaleWithModel", "inputs": {"upscale_model": ["x", 0], "image": ["l", 0]}}, l=LOADED),
            COMPOSITE, (A,),
        ),
        (saved(e={"class_type": "EmptyImage", "inputs": {}}), ALGORITHMIC, ()),
        (saved(f={"class_type": "NodeOfSomePack", "inputs": {}}), GENERATED, ()),
    ],
)  # fmt: skip
def test_what_a_graph_tells_of_where_its_picture_comes_from(builtin_catalogue, graph, kind, sources):
    found = origin_of(graph, "s", builtin_catalogue.spec)
    assert (found.kind, found.sources, found.wish) == (kind, sources, None)


def test_a_node_above_the_saving_one_asks_for_credentials(builtin_catalogue):
    asks = {"class_type": "ContentCredentials", "inputs": {"images": ["e", 0], "title": "T", "author": ""}}
    graph = saved(c=asks, e={"class_type": "EmptyImage", "inputs": {}})
    assert origin_of(graph, "s", builtin_catalogue.spec).wish == {"title": "T"}
    assert origin_of(graph, "e", builtin_catalogue.spec).wish is None
