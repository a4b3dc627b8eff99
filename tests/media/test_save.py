from __future__ import annotations

import errno
import json
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
import torch
from PIL import Image

from engine.media import atomic
from engine.media.atomic import write_numbered
from engine.media.embedded import read_embedded
from engine.media.errors import MediaError
from engine.media.load import load_picture
from engine.media.names import expand_pattern, format_date
from engine.media.png import save_pictures
from engine.media.saver import PictureSaver

PROMPT = {"3": {"class_type": "KSampler", "inputs": {"seed": 7, "model": ["1", 0]}, "_meta": {"title": "Sample it"}}}
WORKFLOW = {"nodes": [], "note": "Grüße, 漢字, \u2028"}
NOON = datetime(2026, 3, 4, 12, 5, 6)


def images(batch: int = 1, channels: int = 3, height: int = 4, width: int = 6) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(0))


def test_an_empty_batch_is_no_file(tmp_path):
    assert save_pictures(images(batch=0), tmp_path, "a") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_a_saved_picture_loads_back_with_its_prompt_and_workflow(tmp_path, kind):
    original = images()
    [path] = save_pictures(original, tmp_path, "a", prompt=PROMPT, workflow=WORKFLOW, format=kind)
    assert path == tmp_path / f"a_00001_.{kind}"
    found = read_embedded(path.read_bytes())
    assert (found.prompt, found.workflow) == (PROMPT, WORKFLOW)
    assert torch.equal(load_picture(path).image, (original * 255).floor() / 255)


def test_the_text_chunks_are_the_ones_that_other_programs_read(tmp_path):
    [path] = save_pictures(images(), tmp_path, "a", prompt=PROMPT, workflow=WORKFLOW)
    with Image.open(path) as picture:
        assert json.loads(picture.text["prompt"]) == PROMPT
        assert json.loads(picture.text["workflow"]) == WORKFLOW


def test_values_are_cut_to_the_range_and_truncated_to_bytes(tmp_path):
    picture = torch.tensor([[[[-1.0, 0.5, 2.0, 0.1], [float("nan"), 1.0, 0.999, 1.0]]]])
    [path] = save_pictures(picture, tmp_path, "a")
    with Image.open(path) as saved:
        assert saved.mode == "RGBA"
        assert saved.tobytes() == bytes([0, 127, 255, 25, 0, 255, 254, 255])


def test_every_byte_comes_back_as_it_was_saved(tmp_path):
    grey = torch.arange(256).view(1, 16, 16, 1).expand(1, 16, 16, 3) / 255
    [path] = save_pictures(grey, tmp_path, "a")
    assert torch.equal(load_picture(path).image, grey)


def test_numbers_go_on_from_the_highest_there_is(tmp_path):
    (tmp_path / "a_00041_.png").touch()
    (tmp_path / "ab_00099_.png").touch()
    paths = save_pictures(images(2), tmp_path, "a")
    assert [path.name for path in paths] == ["a_00042_.png", "a_00043_.png"]


def test_the_number_goes_on_within_a_batch_whose_names_differ_and_replaces_nothing(tmp_path):
    def names() -> list[str]:
        return [path.name for path in save_pictures(images(2), tmp_path, "x_%batch_num%")]

    assert names() == ["x_0_00001_.png", "x_1_00002_.png"]
    assert names() == ["x_0_00002_.png", "x_1_00003_.png"]


def test_a_prefix_may_name_folders_and_patterns(tmp_path):
    [path] = save_pictures(images(), tmp_path, "x/y/%width%x%height%_%KSampler.seed%_%Sample it.seed%", prompt=PROMPT)
    assert path.relative_to(tmp_path).as_posix() == "x/y/6x4_7_7_00001_.png"


@pytest.mark.parametrize("prefix", ["../a", "a/../../b", "/tmp/a", "C:/a", "..", "a/\0b/c", "\\\\server\\a"])
def test_a_prefix_that_leads_out_is_refused(tmp_path, prefix):
    folder = tmp_path / "output"
    folder.mkdir()
    with pytest.raises(MediaError, match="leads out"):
        save_pictures(images(), folder, prefix)
    assert [path.name for path in tmp_path.rglob("*")] == ["output"]


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("a/../b", "b_00001_.png"),
        ("a/b/../../c/d", "c/d_00001_.png"),
        ("./a", "a_00001_.png"),
        ("a/", "a_00001_.png"),
        ("a//b", "a/b_00001_.png"),
        ("a\\b", "a/b_00001_.png"),
        ("a..b/c..", "a..b/c.._00001_.png"),
    ],
)
def test_a_prefix_leads_to_the_place_that_it_names(tmp_path, prefix, name):
    [path] = save_pictures(images(), tmp_path, prefix)
    assert path.relative_to(tmp_path).as_posix() == name
    assert [one.name for one in tmp_path.iterdir()] == [name.split("/")[0]]


def test_a_folder_in_the_output_may_be_a_link_to_another(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "disk", target_is_directory=True)
    saver = PictureSaver(lambda kind: tmp_path / "out")
    assert saver(images(), "link/a") == [{"filename": "a_00001_.png", "subfolder": "link", "type": "output"}]
    assert [one.name for one in (tmp_path / "disk").iterdir()] == ["a_00001_.png"]


def test_patterns_are_filled_in():
    def filled(prefix: str) -> str:
        return expand_pattern(prefix, width=512, height=768, prompt=PROMPT, now=NOON, batch_index=2)

    assert filled("%date:yyyy-MM-dd%/%date:yy.M.d hh-mm-ss%") == "2026-03-04/26.3.4 12-05-06"
    assert filled("%year%%month%%day%-%hour%%minute%%second%") == "20260304-120506"
    assert filled("%width%x%height%-%batch_num%") == "512x768-2"
    assert expand_pattern("%batch_num%", width=1, height=1, now=NOON) == "%batch_num%"
    assert filled("%3.seed%") == "7"
    assert filled("%KSampler.model% 100% %Nobody.seed% %KSampler.nothing%") == (
        "%KSampler.model% 100% %Nobody.seed% %KSampler.nothing%"
    )


def test_what_a_pattern_fills_in_adds_no_folders():
    prompt = {"1": {"class_type": "TextEncode", "inputs": {"text": "../../etc/passwd"}}}
    assert "/" not in expand_pattern("%TextEncode.text%", width=1, height=1, prompt=prompt, now=NOON)


def test_a_date_pattern_pads_doubled_letters():
    assert format_date("d/dd M/MM yy/yyyy h:mm:ss", NOON) == "4/04 3/03 26/2026 12:05:06"


def test_grey_images_without_channels_are_saved_as_packs_give_them(tmp_path):
    paths = save_pictures(torch.ones(2, 6, 8), tmp_path, "grey")
    assert [Image.open(path).mode for path in paths] == ["L", "L"]
    assert Image.open(paths[0]).size == (8, 6)


def test_a_list_is_refused_by_name(tmp_path):
    with pytest.raises(MediaError, match="got list"):
        save_pictures([torch.zeros(1, 4, 4, 3)], tmp_path, "a")


@pytest.mark.parametrize("shape", [(4, 4, 3), (1, 4, 4, 2), (1, 0, 4, 3)])
def test_a_tensor_that_is_no_picture_is_refused_with_its_shape(tmp_path, shape):
    with pytest.raises(MediaError, match=r"got \("):
        save_pictures(torch.zeros(shape), tmp_path, "a")


def test_writers_at_the_same_time_never_take_each_others_name(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda index: write_numbered(tmp_path, "a", ".txt", b"%d" % index), range(64)))
    assert len(set(paths)) == 64
    assert sorted(int(path.read_bytes()) for path in paths) == list(range(64))
    assert len(list(tmp_path.iterdir())) == 64


def test_without_hard_links_no_writer_takes_anothers_name_either(tmp_path, monkeypatch):
    def unlinkable(self, target):
        raise OSError(errno.EOPNOTSUPP, "no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", unlinkable)
    monkeypatch.setattr(atomic, "next_number", lambda folder, stem: 1)  # all see the same free number
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda index: write_numbered(tmp_path, "a", ".txt", b"%d" % index), range(16)))
    assert sorted(path.name for path in paths) == [f"a_{number:05}_.txt" for number in range(1, 17)]
    assert sorted(int(path.read_bytes()) for path in paths) == list(range(16))


def test_a_full_disk_leaves_no_half_file_and_says_so(tmp_path):
    script = """
        import pathlib, resource, sys
        from engine.media.atomic import write_numbered
        from engine.media.errors import MediaError
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_numbered(pathlib.Path(sys.argv[1]), "a", ".png", b"x" * 5000)
        except MediaError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "The disk is full" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="Cannot write to"):
        write_numbered(tmp_path / "file", "a", ".png", b"")


def test_the_saver_names_files_as_editors_expect(tmp_path):
    def directory(kind: str):
        (tmp_path / kind).mkdir(exist_ok=True)
        return tmp_path / kind

    saver = PictureSaver(directory)
    assert saver(images(2), "sub/a", "temp") == [
        {"filename": "a_00001_.png", "subfolder": "sub", "type": "temp"},
        {"filename": "a_00002_.png", "subfolder": "sub", "type": "temp"},
    ]
    assert saver(images(), "a")[0]["subfolder"] == ""
