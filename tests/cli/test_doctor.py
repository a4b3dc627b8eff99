from __future__ import annotations

import os
import socket
import sys
from types import SimpleNamespace

import pytest

from engine.cli import doctor_engine, doctor_machine
from engine.cli.doctor_engine import examine_folders, examine_links
from engine.cli.doctor_machine import examine_devices, examine_port, examine_versions
from engine.paths import Paths


def test_the_doctor_looks_at_everything_and_all_is_well(base):
    found = base.json("doctor", "--port", "0")
    assert {one["area"] for one in found["findings"]} == {
        "python", "packages", "devices", "base", "disk", "models", "packs", "cache", "sqlite", "port",
    } | {one["area"] for one in found["findings"] if one["area"] == "driver"}  # fmt: skip
    assert [one for one in found["findings"] if one["state"] == "fail"] == []
    assert any("torch 2" in one["text"] for one in found["findings"])
    assert any("cpu" in one["text"] for one in found["findings"] if one["area"] == "devices")


def test_a_broken_pack_is_a_warning_with_its_name(base):
    base.write("custom_nodes/broken.py", "1 / 0\n")
    lines = base.run("doctor", "--port", "0").out.splitlines()
    (line,) = [line for line in lines if " broken: " in line]
    assert line.startswith("warn  packs")
    assert "ZeroDivisionError" in line
    assert "→ Repair or remove it" in lines[lines.index(line) + 1]
    assert "\x1b" not in "".join(lines)


def test_a_torch_that_cannot_be_imported_is_a_failure_with_the_reason(monkeypatch):
    monkeypatch.setattr(doctor_machine, "PROBE", "raise ImportError('libcudart.so.13: cannot open shared object file')")
    (finding,) = [one for one in examine_devices() if one.area == "devices"]
    assert finding.state == "fail"
    assert "libcudart.so.13" in finding.text
    assert "Install torch again" in finding.advice


def test_a_torch_that_ends_its_process_is_a_failure_too(monkeypatch):
    monkeypatch.setattr(doctor_machine, "PROBE", "import os; os.abort()")
    (finding,) = [one for one in examine_devices() if one.area == "devices"]
    assert finding.state == "fail"
    assert "signal" in finding.text or "exit code" in finding.text


def test_a_torch_that_hangs_is_a_failure(monkeypatch):
    monkeypatch.setattr(doctor_machine, "PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(doctor_machine, "PROBE_SECONDS", 0.2)
    (finding,) = [one for one in examine_devices() if one.area == "devices"]
    assert finding.state == "fail"


def test_a_missing_package_is_named_with_how_to_install_it(monkeypatch):
    monkeypatch.setattr(doctor_machine, "PACKAGES", ("rich", "no-such-package"))
    (finding,) = [one for one in examine_versions() if one.state == "fail"]
    assert finding.text == "not installed: no-such-package"
    assert finding.advice == "pip install no-such-package"


def test_a_port_in_use_is_a_warning_that_says_how_to_choose_another():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (finding,) = examine_port(port)
    assert finding.state == "warn"
    assert str(port) in finding.text
    assert f"--port {port + 1}" in finding.advice


@pytest.mark.skipif(sys.platform == "win32", reason="folders have other rights there")
def test_a_folder_that_cannot_be_written_is_a_failure(tmp_path, monkeypatch):
    denied = tmp_path / "output"
    denied.mkdir()
    access = os.access
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(denied) and access(path, mode))
    (finding,) = [one for one in examine_folders(Paths(tmp_path)) if one.state == "fail"]
    assert finding.text == f"output: {denied} cannot be written"
    assert "--output-directory" in finding.advice


@pytest.mark.parametrize(("free", "state"), [(10**7, "fail"), (10**9, "warn"), (10**11, "ok")])
def test_little_room_on_the_disk_is_told(tmp_path, monkeypatch, free, state):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=free, total=10**12))
    (finding,) = [one for one in examine_folders(Paths(tmp_path)) if one.area == "disk"]
    assert finding.state == state


def test_links_that_lead_nowhere_are_told_each_once_and_sound_ones_are_not(tmp_path, monkeypatch):
    paths = Paths(tmp_path / "base")
    loras, gone = paths.base / "models" / "loras", tmp_path / "gone.safetensors"
    for folder in (loras / "set", paths.input):
        folder.mkdir(parents=True)
    (tmp_path / "there.safetensors").touch()
    (loras / "sound.safetensors").symlink_to(tmp_path / "there.safetensors")
    (loras / "up").symlink_to(loras, target_is_directory=True)
    assert list(examine_links(paths)) == []
    (loras / "set" / "a.safetensors").symlink_to(gone)
    (paths.input / "circle.png").symlink_to(paths.input / "circle.png")
    paths.output.symlink_to(tmp_path / "disk", target_is_directory=True)
    found = list(examine_links(paths))
    assert {one.state for one in found} == {"warn"}
    named = sorted(one.text.partition(" is a link")[0] for one in found)
    assert named == sorted(map(str, (loras / "set" / "a.safetensors", paths.input / "circle.png", paths.output)))
    assert any(str(gone) in one.text for one in found)
    monkeypatch.setattr(doctor_engine, "MOST_LINKS", 1)
    assert [one.text for one in examine_links(paths)][1:] == ["2 more links lead nowhere"]
