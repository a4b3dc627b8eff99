"""Reading what files tell of their making, and the command that shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.__main__ import main, make_app
from engine.config import ProvenanceSettings, SettingsError
from engine.media.errors import MediaError
from engine.media.png import save_pictures
from engine.media.provenance import certificates, reading, xmp
from engine.media.provenance.origin import Origin, Source
from engine.media.provenance.reading import read_provenance
from engine.media.provenance.sealing import Provenance
from engine.media.provenance.sources import COMPOSITE, GENERATED
from engine.media.watermark import embed
from engine.paths import Paths

pytest.importorskip("c2pa")
pytest.importorskip("cryptography")

MADE = Origin(GENERATED, True, wish={"title": "Sea\x1b[2J", "author": "Me"})
PROMPT = {"1": {"class_type": "EmptyImage", "inputs": {}}}


def signed(base: Path, origin: Origin = MADE, folder: str = "output") -> Path:
    by = Provenance(ProvenanceSettings(credentials="always"), base, base / "user", Paths(base).locate)
    images = torch.rand(1, 9, 8, 3, generator=torch.Generator().manual_seed(0))
    seal = by.seal(origin, False, print)
    (path,) = save_pictures(images, base / folder, "a", prompt=PROMPT, workflow={"nodes": []}, seal=seal)
    return path


def change_a_pixel(path: Path) -> Path:
    data = bytearray(path.read_bytes())
    data[data.rindex(b"IDAT") + 20] ^= 1
    path.write_bytes(bytes(data))
    return path


def test_everything_of_a_signed_picture_is_read(tmp_path):
    path = signed(tmp_path)
    found = read_provenance(path, own=tmp_path / "user" / certificates.FOLDER / certificates.ROOT)
    assert found.credentials is not None
    assert (found.credentials.state, found.credentials.own, found.credentials.problems) == ("trusted", True, [])
    assert found.credentials.signer.startswith("Safelight self-signed")
    (action,) = found.credentials.actions
    assert (action.action, action.source_type, action.agent.split()[0]) == ("c2pa.created", GENERATED, "Safelight")
    assert (found.source_type, found.prompt, found.workflow, found.notes) == (GENERATED, True, True, [])
    assert not found.is_broken
    stranger = read_provenance(path).credentials
    assert stranger is not None
    assert (stranger.state, stranger.own) == ("valid", False)
    assert stranger.problems[0].startswith("signingCredential.untrusted")


def test_trust_is_by_the_certificates_that_the_settings_name(tmp_path):
    path = signed(tmp_path / "theirs")
    root = tmp_path / "theirs" / "user" / certificates.FOLDER / certificates.ROOT
    found = read_provenance(path, trust=[root]).credentials
    assert found is not None
    assert (found.state, found.own) == ("trusted", False)


def test_a_changed_picture_is_told_also_where_it_went_into_another(tmp_path):
    path = change_a_pixel(signed(tmp_path, folder="input"))
    found = read_provenance(path)
    assert found.is_broken
    assert found.credentials is not None
    assert any(one.startswith("assertion.dataHash.mismatch") for one in found.credentials.problems)
    after = read_provenance(signed(tmp_path, Origin(COMPOSITE, True, (Source("input", path.name, True),)))).credentials
    assert after is not None
    assert after.state == "valid"
    assert [(one.title, one.relationship, one.state) for one in after.ingredients] == [
        (path.name, "parentOf", "invalid")
    ]


def test_a_certificate_that_has_run_out_signs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(certificates, "_YEARS", 0)
    warned: list[str] = []
    by = Provenance(ProvenanceSettings(credentials="on"), tmp_path, tmp_path / "user", Paths(tmp_path).locate)
    (path,) = save_pictures(torch.rand(1, 9, 8, 3), tmp_path / "output", "a", seal=by.seal(MADE, True, warned.append))
    assert "which is not now" in warned[0]
    assert read_provenance(path).credentials is None


def test_files_of_others_are_read(tmp_path):
    path, info = tmp_path / "a.png", PngInfo()
    info.add_text("parameters", "a cat\nSteps: 20, Seed: 7")
    Image.new("RGB", (5, 4)).save(path, pnginfo=info)
    path.write_bytes(xmp.with_xmp(path.read_bytes(), xmp.packet(COMPOSITE, "Other")))
    found = read_provenance(path)
    assert (found.parameters, found.source_type, found.credentials) == ("a cat\nSteps: 20, Seed: 7", COMPOSITE, None)


def test_a_watermark_is_read_from_a_file(tmp_path):
    path = tmp_path / "a.jpg"
    pixels = embed(torch.full((1, 300, 280, 3), 0.5), "id 7", key=3)[0]
    Image.fromarray((pixels.numpy() * 255).astype("uint8")).save(path, quality=80)
    assert read_provenance(path, watermark=(3, 60.0)).watermark == "id 7"
    assert read_provenance(path).watermark == ""
    assert read_provenance(path, watermark=None).watermark == ""


@pytest.mark.parametrize("length", [60, 400, -30])
def test_a_cut_picture_is_told_of_and_not_sound(tmp_path, length):
    path = signed(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    found = read_provenance(path)
    assert found.credentials is None or found.is_broken
    assert length == 60 or found.is_broken


def test_other_files_tell_nothing(tmp_path):
    for name, data in (
        ("a.txt", b"hello"),
        ("b.png", b"\x89PNG\r\n\x1a\n"),
        ("c.mp4", b"\0\0\0\x08ftyp"),
        ("d.bin", bytes(99)),
    ):
        (tmp_path / name).write_bytes(data)
        found = read_provenance(tmp_path / name)
        assert (found.credentials, found.source_type, found.workflow, found.watermark) == (None, "", False, "")
    (tmp_path / "e").write_bytes(b"")
    for path in (tmp_path / "e", tmp_path / "gone", tmp_path):
        with pytest.raises(MediaError):
            read_provenance(path)


def test_what_is_read_of_huge_files_is_bounded(tmp_path, monkeypatch):
    path = signed(tmp_path)
    monkeypatch.setattr(reading, "MOST_TEXT", 1000)
    monkeypatch.setattr(reading, "MOST_PIXELS", 10)
    found = read_provenance(path)
    assert found.credentials is not None
    assert (found.credentials.state, found.prompt, found.source_type, len(found.notes)) == ("valid", False, "", 2)
    monkeypatch.setattr(reading, "MOST", 1000)
    assert read_provenance(path).credentials is None


def run(base: Path, *arguments: str) -> int:
    return main(["provenance", "--base-directory", str(base), *arguments])


def test_the_command_tells_by_its_exit_code_what_is_not_sound(tmp_path, capsys):
    path = signed(tmp_path)
    assert run(tmp_path, str(path)) == 0
    told = capsys.readouterr().out
    assert "sound, and signed here" in told
    assert "\x1b" not in told, "what strangers write must not steer a terminal"
    assert "Sea�[2J" in told
    assert run(tmp_path, "--json", str(path)) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert (report["credentials"]["state"], report["source_type"]) == ("trusted", GENERATED)
    change_a_pixel(path)
    assert run(tmp_path, str(path)) == 1
    assert "changed after signing" in capsys.readouterr().out
    assert run(tmp_path, str(tmp_path / "gone"), str(path)) == 4
    assert run(tmp_path) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('certificate = "a.pem"', "needs both"),
        ('certificate = "a.pem"\nkey = "b.pem"', "there is no file"),
        ('credentials = "sometimes"', "credentials"),
        ('timestamps = "ftp://x"', "timestamps"),
    ],
)
def test_settings_that_cannot_be_end_a_command(tmp_path, text, message):
    (tmp_path / "safelight.toml").write_text(f"[provenance]\n{text}\n")
    with pytest.raises(SettingsError, match=message):
        make_app(tmp_path)


def run_saving(
    base: Path, builtin: Any, settings: ProvenanceSettings | None, credentials: bool = False, **more: Any
) -> Any:
    """Run a small graph that saves a picture, twice over one cache; what was saved at the second time, and the warnings."""
    from engine.authoring.decorator import definition_of
    from engine.cache.facade import Cache
    from engine.execute import events
    from engine.execute.executor import Executor
    from engine.execute.services import Services
    from engine.graph.prompt import prompt_from_json
    from engine.media.saver import PictureSaver
    from nodes.content_credentials import content_credentials
    from nodes.image import empty_image
    from nodes.image_io import save_image

    functions = {"EmptyImage": empty_image, "SaveImage": save_image, "ContentCredentials": content_credentials}
    definitions = {name: definition_of(one) for name, one in functions.items()}
    paths = Paths(base)
    by = Provenance(settings, base, base / "user", paths.locate) if settings is not None else None
    services = Services(paths=paths, ui_file=paths.produced, save_images=PictureSaver(paths.directory), provenance=by)
    graph: dict[str, Any] = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    } | more
    seen: list[Any] = []
    executor = Executor(definitions.__getitem__, builtin, Cache(base / "cache"), services=services)  # type: ignore[arg-type]
    try:
        result = executor.run_sync(
            prompt_from_json(graph), ["2"], sink=seen.append, prompt_json=graph, credentials=lambda: credentials
        )
    finally:
        executor.close()
        executor.cache.close()
    assert result.failures == []
    warned = [one.message for one in seen if isinstance(one, events.Warned)]
    return paths.output / result.ui["2"]["images"][0]["filename"], warned


def test_a_run_signs_what_is_asked_for_and_saves_anew_when_that_changes(tmp_path, builtin_catalogue):
    plain, warned = run_saving(tmp_path, builtin_catalogue, None)
    assert warned == []
    assert read_provenance(plain).credentials is None
    assert read_provenance(plain).prompt
    assert run_saving(tmp_path, builtin_catalogue, None)[0] == plain, "reused"
    on = ProvenanceSettings(credentials="on")
    unasked, _ = run_saving(tmp_path, builtin_catalogue, on)
    asked, warned = run_saving(tmp_path, builtin_catalogue, on, credentials=True)
    assert warned == []
    assert read_provenance(unasked).credentials is None
    assert unasked.read_bytes() == plain.read_bytes(), "byte for byte"
    assert read_provenance(asked).credentials is not None
    assert run_saving(tmp_path, builtin_catalogue, on, credentials=True)[0] == asked, "reused"
    bare, _ = run_saving(tmp_path, builtin_catalogue, ProvenanceSettings(embed_workflow=False))
    assert bare != plain
    assert not read_provenance(bare).prompt


def test_a_node_asks_and_is_told_when_it_is_switched_off(tmp_path, builtin_catalogue):
    inputs = {"images": ["1", 0], "title": "Sea", "author": "", "rights": ""}
    more = {
        "3": {"class_type": "ContentCredentials", "inputs": inputs},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
    }
    path, warned = run_saving(tmp_path, builtin_catalogue, None, **more)
    assert [one.split(",")[0] for one in warned] == ["Content credentials are switched off here"]
    path, warned = run_saving(tmp_path / "b", builtin_catalogue, ProvenanceSettings(credentials="on"), **more)
    assert warned == []
    found = read_provenance(path).credentials
    assert found is not None
    assert found.title == "Sea"
    path, warned = run_saving(tmp_path / "c", builtin_catalogue, None, credentials=True)
    assert [one.split(",")[0] for one in warned] == ["Content credentials are asked for"]


def test_off_imports_nothing_of_it(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys, torch\nfrom pathlib import Path\nfrom engine.__main__ import make_app\nfrom engine.media.png import save_pictures\n"
        f"app = make_app(Path({str(tmp_path)!r}))\nsave_pictures(torch.rand(1, 4, 4, 3), Path({str(tmp_path)!r}), 'a', seal=None)\n"
        "print([name for name in sys.modules if name.startswith(('c2pa', 'cryptography', 'engine.media.provenance'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_node_reads_a_file(tmp_path, bench):
    from nodes.provenance import provenance_read

    path = signed(tmp_path, folder="input")
    bench.paths = Paths(tmp_path)
    told = provenance_read(bench, path.name)
    assert (told.credentials, told.source_type, told.watermark) == ("valid", GENERATED, "")
    assert json.loads(told.report)["file"] == path.name
    change_a_pixel(path)
    assert provenance_read(bench, path.name).credentials == "invalid"
    Image.new("L", (5, 5)).save(tmp_path / "input" / "plain.png")
    assert provenance_read(bench, "plain.png").credentials == "none"
