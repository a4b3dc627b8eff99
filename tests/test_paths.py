from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import Settings, SettingsError, load_settings
from engine.paths import ExtraFolder, PathError, Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "base")


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_nothing_is_made_until_it_is_needed(paths):
    assert paths.folder_files("input") == []
    assert not paths.base.exists()
    assert paths.directory("output") == paths.base / "output"
    assert paths.output.is_dir()


def test_names_are_sorted_with_subfolders_and_only_of_allowed_suffixes(paths):
    for name in ("b.safetensors", "sub/deep/a.CKPT", "A.safetensors", "notes.txt", ".hidden/x.safetensors"):
        touch(paths.base / "models" / "loras" / name)
    assert paths.folder_files("loras") == ["A.safetensors", "b.safetensors", "sub/deep/a.CKPT"]
    assert paths.find("loras", "sub/deep/a.CKPT").is_file()


def test_older_folder_names_and_further_model_folders_are_searched_after_the_own_ones(tmp_path):
    paths = Paths(tmp_path / "base", models=[tmp_path / "shared"])
    touch(tmp_path / "shared" / "clip" / "old.safetensors")
    own = touch(paths.base / "models" / "text_encoders" / "both.safetensors")
    touch(tmp_path / "shared" / "text_encoders" / "both.safetensors")
    assert paths.folder_files("clip") == ["both.safetensors", "old.safetensors"]
    assert paths.find("text_encoders", "both.safetensors") == own.resolve()


def test_the_models_that_come_with_the_program_are_always_found(paths):
    assert paths.model_roots[-1] == Path(__file__).resolve().parent.parent / "models"


def test_a_model_folder_is_listed_by_its_index(paths):
    index = touch(paths.base / "models" / "diffusers" / "tiny" / "model_index.json")
    touch(paths.base / "models" / "diffusers" / "other" / "readme.txt")
    assert paths.folder_files("diffusers") == ["tiny"]
    assert paths.find("diffusers", "tiny") == index.parent.resolve()
    assert paths.locate("diffusers", "tiny") == index.parent.resolve()
    assert paths.locate("diffusers", "other") is None


def test_an_annotation_names_a_file_of_another_folder(paths):
    touch(paths.input / "a.png")
    touch(paths.output / "sub" / "b.png")
    assert paths.find("input", "a.png [input]") == paths.find("input", "a.png")
    assert paths.find("input", "sub/b.png [output]").parent.name == "sub"
    assert paths.locate("input", "sub/b.png") is None
    assert paths.locate("loras", "sub/b.png [output]") is None


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "sub/../../secret.png",
        "/etc/passwd",
        "..\\secret.png",
        "C:\\x.png",
        "~/x",
        "",
        "a\0b",
        "sub/..\\..\\secret.png",
        "sub/../..",
        "./../secret.png",
        "link/../../secret.png",
    ],
)
def test_a_name_never_leads_out(paths, name):
    touch(paths.base / "secret.png")
    touch(paths.input / "sub" / "a.png")
    (paths.input / "link").symlink_to(paths.input / "sub", target_is_directory=True)
    assert paths.locate("input", name) is None
    with pytest.raises(PathError, match="leads out"):
        paths.find("input", name)


def test_a_name_may_go_back_as_long_as_it_stays_inside(paths, tmp_path):
    """It is worked out by name: beyond a link, the file system's own `..` would lead elsewhere."""
    there = touch(paths.input / "b" / "a.png")
    touch(tmp_path / "b" / "a.png")
    (paths.input / "link").symlink_to(touch(tmp_path / "elsewhere" / "x.png").parent, target_is_directory=True)
    for name in ("a/../b/a.png", "link/../b/a.png", "b/./a.png", "b//a.png", "b/c/../../b/a.png"):
        assert paths.locate("input", name) == there
    assert paths.produced({"filename": "a.png", "subfolder": "x/../b", "type": "input"}) == there
    assert paths.produced({"filename": "../a.png", "subfolder": "b", "type": "input"}) is None


def test_links_are_followed_and_listed_wherever_they_lead(paths, tmp_path):
    loras = paths.base / "models" / "loras"
    blob = touch(tmp_path / "blobs" / "0f3a")
    touch(tmp_path / "shared" / "sub" / "b.safetensors")
    loras.mkdir(parents=True)
    (loras / "a.safetensors").symlink_to(blob)
    (loras / "shared").symlink_to(tmp_path / "shared", target_is_directory=True)
    (loras / "again").symlink_to(loras / "shared", target_is_directory=True)
    (loras / "broken.safetensors").symlink_to(tmp_path / "gone")
    assert paths.folder_files("loras") == [
        "a.safetensors",
        "again/sub/b.safetensors",
        "shared/sub/b.safetensors",
    ]
    found = paths.find("loras", "a.safetensors")
    assert found == loras / "a.safetensors", "it keeps its suffix, which the file itself has not"
    assert paths.find("loras", "again/sub/b.safetensors").is_file()
    assert paths.locate("loras", "broken.safetensors") is None
    with pytest.raises(PathError, match="link"):
        paths.find("loras", "broken.safetensors")


def test_links_in_circles_come_to_an_end(paths):
    for name in ("a/x.png", "b/y.png"):
        touch(paths.input / name)
    for link, target in (("loop", "."), ("a/up", ".."), ("a/b", "b"), ("b/a", "a"), ("self", "self")):
        (paths.input / link).symlink_to(paths.input / target)
    listed = paths.folder_files("input")
    assert {"a/x.png", "b/y.png", "a/b/y.png", "b/a/x.png"} <= set(listed)
    assert len(listed) == len(set(listed)) < 10
    for name in listed:
        assert paths.find("input", name).is_file()


def test_many_folders_that_all_lead_to_each_other_are_listed_soon(paths):
    folders = [touch(paths.input / str(number) / "x.png").parent for number in range(12)]
    for folder in folders:
        for other in folders:
            (folder / f"to{other.name}").symlink_to(other, target_is_directory=True)
    assert {f"{number}/x.png" for number in range(12)} <= set(paths.folder_files("input"))
    assert len(paths.folder_files("input")) <= 12 * 9


def test_a_link_that_begins_or_ceases_to_lead_somewhere_changes_the_list(paths, tmp_path):
    target = tmp_path / "disk" / "a.png"
    paths.directory("input")
    (paths.input / "a.png").symlink_to(target)
    settle(paths.input)
    assert paths.listing("input") == ()
    touch(target)
    os.utime(target, (1_000_000, 1_000_000))
    assert paths.listing("input") == ("a.png",)
    target.unlink()
    assert paths.listing("input") == ()


def test_a_folder_that_is_itself_a_link_is_followed(paths, tmp_path):
    touch(tmp_path / "disk" / "a.png")
    paths.base.mkdir()
    paths.input.symlink_to(tmp_path / "disk", target_is_directory=True)
    assert paths.folder_files("input") == ["a.png"]
    assert paths.find("input", "a.png").is_file()


def test_a_missing_file_is_told_with_the_nearest_names(paths):
    touch(paths.base / "models" / "checkpoints" / "painting.safetensors")
    with pytest.raises(PathError, match=r"Nearest names: painting\.safetensors"):
        paths.find("checkpoints", "paintings.safetensors")
    with pytest.raises(PathError, match="put the file there"):
        paths.find("loras", "a.safetensors")


def test_an_unknown_folder_is_told_with_the_known_ones(paths):
    with pytest.raises(PathError, match="checkpoints"):
        paths.folders("checkpoint")
    assert paths.locate("checkpoint", "a") is None


def test_what_a_node_says_it_wrote_is_found_only_in_our_folders(paths):
    entry = {"filename": "a.png", "subfolder": "sub", "type": "output"}
    assert paths.produced(entry) == paths.output / "sub" / "a.png"
    assert paths.produced({"filename": "a.png"}) == paths.output / "a.png"
    assert paths.produced({**entry, "subfolder": "../.."}) is None
    assert paths.produced({**entry, "type": "elsewhere"}) is None
    assert paths.produced({"subfolder": ""}) is None


def test_settings_have_defaults_and_are_read_from_the_base(tmp_path):
    assert load_settings(tmp_path) == Settings()
    (tmp_path / "safelight.toml").write_text(
        'models = ["/data/models"]\n[cache]\nram_gib = 0.5\n[expansion]\ndepth = 9\n'
    )
    settings = load_settings(tmp_path)
    assert (settings.expansion.depth, settings.expansion.nodes, settings.expansion.mib) == (9, 100_000, 1024)
    assert (settings.models, settings.cache.ram_gib, settings.cache.disk_gib) == (("/data/models",), 0.5, 8.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[cache]\nram_gb = 1", "unknown field `ram_gb`"),
        ("[cache]\nram_gib = -1", r"`float` >= 0\.0"),
        ("[expansion]\ndepth = 0", "`int` >= 1"),
        ("device = 'toaster'", "device"),
        ("models = [", "safelight.toml"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, text, said):
    (tmp_path / "safelight.toml").write_text(text)
    with pytest.raises(SettingsError, match=said):
        load_settings(tmp_path)


@given(st.text(alphabet="ab./\\~: []\0otupi", max_size=20))
def test_whatever_the_name_what_is_found_is_inside(name):
    with tempfile.TemporaryDirectory() as folder:
        paths = Paths(Path(folder) / "base")
        touch(paths.base / "a")
        touch(paths.input / "a")
        touch(paths.input / "b" / "a")
        found = paths.locate("input", name)
        assert found is None or found.is_relative_to(paths.input.resolve())
        made = paths.produced({"filename": name, "type": "output"})
        assert made is None or made.is_relative_to(paths.output.resolve())


def test_single_folders_can_be_elsewhere(tmp_path):
    paths = Paths(
        tmp_path / "base",
        models_directory=tmp_path / "m",
        output=tmp_path / "o",
        input=tmp_path / "i",
        temp=tmp_path / "t",
        user=tmp_path / "u",
        custom_nodes=tmp_path / "c",
    )
    touch(tmp_path / "m" / "loras" / "a.safetensors")
    touch(paths.base / "models" / "loras" / "not_seen.safetensors")
    assert paths.folder_files("loras") == ["a.safetensors"]
    assert [paths.directory(kind).name for kind in ("output", "input", "temp", "user", "custom_nodes")] == list("oituc")
    assert not paths.base.joinpath("output").exists()


def test_extra_folders_are_searched_before_or_after_the_own_ones(tmp_path):
    extra = [ExtraFolder("clip", tmp_path / "after"), ExtraFolder("text_encoders", tmp_path / "first", first=True)]
    paths = Paths(tmp_path / "base", extra=extra)
    own = touch(paths.base / "models" / "text_encoders" / "a.safetensors")
    after = touch(tmp_path / "after" / "a.safetensors")
    assert paths.find("text_encoders", "a.safetensors") == own.resolve()
    first = touch(tmp_path / "first" / "a.safetensors")
    assert paths.find("text_encoders", "a.safetensors") == first.resolve()
    listed = {root: names for root, names in paths.listings("text_encoders") if names}
    assert listed == dict.fromkeys((first.parent, own.parent, after.parent), ("a.safetensors",))


def test_an_extra_folder_of_an_unknown_kind_takes_files_of_any_suffix(tmp_path):
    paths = Paths(
        tmp_path / "base", extra=[ExtraFolder("own", tmp_path / "own"), ExtraFolder("custom_nodes", tmp_path / "n")]
    )
    touch(tmp_path / "own" / "a.xyz")
    touch(tmp_path / "own" / ".hidden")
    assert paths.folder_files("own") == ["a.xyz"]
    assert "own" in paths.model_folders()
    assert paths.custom_node_folders == (paths.custom_nodes, tmp_path / "n")


def settle(*folders: Path) -> None:
    for folder in folders:
        os.utime(folder, (1_000_000, 1_000_000))


def test_a_folder_that_has_not_changed_is_not_read_again(paths, monkeypatch):
    loras = paths.base / "models" / "loras"
    touch(loras / "a.safetensors")
    touch(loras / "sub" / "b.safetensors")
    settle(loras, loras / "sub")
    first = paths.listing("loras")
    monkeypatch.setattr(os, "scandir", lambda folder: pytest.fail(f"{folder} was read"))
    assert paths.listing("loras") is first


def test_a_listing_shows_every_change_at_once(paths):
    loras = paths.base / "models" / "loras"
    assert paths.listing("loras") == ()
    touch(loras / "sub" / "a.safetensors")
    assert paths.listing("loras") == ("sub/a.safetensors",)
    touch(loras / "sub" / "b.safetensors")
    assert paths.listing("loras") == ("sub/a.safetensors", "sub/b.safetensors")
    settle(loras, loras / "sub")
    assert paths.listing("loras") == ("sub/a.safetensors", "sub/b.safetensors")
    (loras / "sub" / "a.safetensors").unlink()
    assert paths.listing("loras") == ("sub/b.safetensors",)
    (loras / "sub").rename(loras / "other")
    assert paths.listing("loras") == ("other/b.safetensors",)


def test_a_model_folder_whose_index_comes_later_is_listed(paths):
    folder = paths.base / "models" / "diffusers" / "tiny"
    touch(folder / "readme.txt")
    settle(folder, folder.parent)
    assert paths.listing("diffusers") == ()
    touch(folder / "model_index.json")
    assert paths.listing("diffusers") == ("tiny",)


@pytest.mark.parametrize("name", ["\ud800.png", "x" * 300 + ".png", "a/" * 3000 + "b"])
def test_a_name_that_no_file_can_have_is_not_found(paths, name):
    paths.directory("input")
    assert paths.locate("input", name) is None


def test_a_name_that_cannot_be_written_means_no_file_of_ours(paths):
    assert paths.produced({"filename": "\ud800.png"}) is None
    assert paths.produced({"filename": "/a.png", "subfolder": "sub"}) is None


def test_folders_that_packs_register_or_change_are_searched_as_they_say(paths, tmp_path):
    touch(tmp_path / "mine" / "a.weights")
    touch(tmp_path / "mine" / "b.txt")
    own = touch(paths.base / "models" / "loras" / "own.safetensors")
    more = touch(tmp_path / "more" / "theirs.safetensors")
    mine, loras = str(tmp_path / "mine"), [str(own.parent), str(more.parent)]
    paths.add_folders({"mine": ([mine], [".weights"]), "any": ([mine], []), "loras": (loras, [".safetensors"])})
    assert paths.folder_files("mine") == ["a.weights"]
    assert paths.folder_files("any") == ["a.weights", "b.txt"]
    assert paths.folder_files("loras") == ["own.safetensors", "theirs.safetensors"]
    assert {"mine", "any", "loras", "vae"} <= set(paths.model_folders())
    assert paths.find("loras", "theirs.safetensors") == more
