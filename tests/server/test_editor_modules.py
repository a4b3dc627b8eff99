"""Which module of a pack our editor imports, and which files it leaves to other front ends."""

from __future__ import annotations

import os
from pathlib import Path

from engine.server.packs import editor_module
from engine.server.routes.packs import _scripts


def test_a_pack_without_the_file_or_without_a_web_folder_has_no_module(tmp_path: Path) -> None:
    (tmp_path / "other.js").write_text("")
    assert editor_module("pack", tmp_path) is None
    assert editor_module("pack", tmp_path / "gone") is None
    assert editor_module("pack", None) is None


def test_the_address_of_a_module_changes_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "safelight.js"
    file.write_text("")
    os.utime(file, ns=(0, 255))
    assert editor_module("a pack", tmp_path) == "/extensions/a%20pack/safelight.js?v=ff"
    os.utime(file, ns=(0, 256))
    assert editor_module("a pack", tmp_path) == "/extensions/a%20pack/safelight.js?v=100"


def test_other_front_ends_are_told_of_all_scripts_but_our_module(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for name in ("safelight.js", "tool.js", "parts.mjs", "more/safelight.js"):
        (tmp_path / name).write_text("")
    assert _scripts({"pack": tmp_path}) == ["/extensions/pack/more/safelight.js", "/extensions/pack/tool.js"]
