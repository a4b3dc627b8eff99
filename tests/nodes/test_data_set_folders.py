"""Data sets in folders: what is loaded, in which order, and what is written."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine.authoring.decorator import definition_of
from engine.cache.facade import Cache
from engine.execute.executor import Executor
from engine.execute.services import Services
from engine.graph.schema import Catalogue
from engine.graph.signature import media_kind
from engine.graph.validate import Checked, check
from engine.media import atomic, picture_sets
from engine.media.errors import MediaError
from engine.paths import PathError, Paths
from nodes.data_set_folders import (
    load_image_data_set,
    load_image_output,
    load_image_set,
    load_image_set_from_folder,
    load_image_text_data_set,
    load_image_text_set_from_folder,
    save_image_data_set,
    save_image_text_data_set,
)
from nodes.logic import preview_any


def paint(path: Path, color: tuple[int, ...], size: tuple[int, int] = (6, 4), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)


@pytest.fixture
def ctx(tmp_path: Path) -> Any:
    cats = tmp_path / "input" / "sets" / "cats"
    paint(cats / "b.png", (255, 0, 0))
    paint(cats / "A.PNG", (0, 255, 0))
    paint(cats / "c.jpg", (0, 0, 255), (5, 5))
    paint(cats / "skipped.bmp", (0, 0, 0))
    paint(cats / "3_tabby" / "t.webp", (9, 9, 9))
    paint(cats / "others" / "o.png", (1, 1, 1))
    (cats / "b.txt").write_text("  a red cat \n")
    (cats / "3_tabby" / "t.txt").write_text("a tabby")
    (cats / ".hidden.png").write_bytes(b"no picture")
    (tmp_path / "input" / "empty").mkdir()
    return SimpleNamespace(paths=Paths(tmp_path), prompt={}, check_cancelled=lambda: None, warn=print)


def brightest(images: list[torch.Tensor]) -> list[int]:
    return [int(image.mean(dim=(0, 1, 2)).argmax()) for image in images]


def test_pictures_come_in_the_order_of_their_names_without_those_below(ctx: Any) -> None:
    found = load_image_data_set(ctx, "sets/cats").images
    assert [tuple(image.shape) for image in found] == [(1, 4, 6, 3), (1, 4, 6, 3), (1, 5, 5, 3)]
    assert brightest(found) == [1, 0, 2]
    assert torch.equal(found[1], torch.tensor([1.0, 0, 0]).expand(1, 4, 6, 3))


def test_captions_are_beside_and_numbered_folders_count_often(ctx: Any) -> None:
    found = load_image_text_data_set(ctx, "sets/cats")
    assert found.texts == ["", "a red cat", "", "a tabby", "a tabby", "a tabby"]
    assert len(found.images) == 6
    assert found.images[3] is found.images[5]


def test_a_number_of_repetitions_without_sense_is_refused(ctx: Any, tmp_path: Path) -> None:
    paint(tmp_path / "input" / "many" / "99999999999_x" / "a.png", (1, 1, 1))
    with pytest.raises(MediaError, match="at most 10000 make a data set"):
        load_image_text_data_set(ctx, "many")


@pytest.mark.parametrize("name", ["../elsewhere", "/etc", "C:\\pictures", "sets/../../x", ""])
def test_a_name_that_leads_out_is_refused(ctx: Any, name: str) -> None:
    for load in (load_image_data_set, load_image_text_data_set, load_image_set_from_folder):
        with pytest.raises(PathError, match="leads out of its folder"):
            load(ctx, name)


def test_folders_without_pictures_and_those_that_are_not_there_are_told(ctx: Any) -> None:
    with pytest.raises(MediaError, match="There are no pictures"):
        load_image_data_set(ctx, "empty")
    with pytest.raises(MediaError, match="as in 5_cats"):
        load_image_text_data_set(ctx, "empty")
    with pytest.raises(PathError, match="Nearest names: sets/cats"):
        load_image_data_set(ctx, "sets/cat")


def test_more_than_fits_is_refused_by_the_headers_alone(ctx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_sets, "MAX_VALUES", 2 * 3 * 24)
    monkeypatch.setattr(picture_sets, "first_frame", None)
    with pytest.raises(MediaError, match=r"up to c\.jpg take more than"):
        load_image_data_set(ctx, "sets/cats")


def test_a_broken_picture_is_named(ctx: Any, tmp_path: Path) -> None:
    (tmp_path / "input" / "sets" / "cats" / "a.png").write_bytes(b"no picture")
    with pytest.raises(MediaError, match=r"a\.png"):
        load_image_data_set(ctx, "sets/cats")


def test_pictures_of_several_sizes_become_a_batch_by_stretching_cutting_or_padding(ctx: Any, tmp_path: Path) -> None:
    folder = tmp_path / "input" / "sizes"
    paint(folder / "1.png", (255, 255, 255), (8, 4))
    paint(folder / "2.png", (255, 255, 255), (4, 4))
    with pytest.raises(MediaError, match="8 × 4"):
        load_image_set_from_folder(ctx, "sizes")
    for method in ("Stretch", "Crop"):
        assert torch.equal(load_image_set_from_folder(ctx, "sizes", method), torch.ones(2, 4, 8, 3))  # type: ignore[arg-type]
    padded = load_image_set_from_folder(ctx, "sizes", "Pad")
    assert torch.equal(padded[1, :, 2:6], torch.ones(4, 4, 3))
    assert padded[1].sum() == 4 * 4 * 3
    chosen: Any = ["sizes/2.png", "sizes/2.png"]
    assert load_image_set(ctx, chosen).shape == (2, 4, 4, 3)
    assert load_image_set(ctx, "sizes/1.png").shape == (1, 4, 8, 3)


def test_captions_are_encoded_each_once(ctx: Any) -> None:
    asked = []

    class Encoder:
        def __enter__(self) -> Encoder:
            return self

        def __exit__(self, *error: object) -> None: ...

        def encode(self, text: str, warn: Any) -> tuple[torch.Tensor, dict[str, Any]]:
            asked.append(text)
            return torch.full((1, 2, 3), len(text)), {"text": text}

    ctx.models = SimpleNamespace(use=lambda clip: Encoder())
    clip: Any = "clip"
    batch, conditioning = load_image_text_set_from_folder(ctx, "sets/cats", clip, "Crop", 8, 6)
    assert batch.shape == (6, 6, 8, 3)
    assert asked == ["", "a red cat", "a tabby"]
    assert [options["text"] for _, options in conditioning] == ["", "a red cat", "", *["a tabby"] * 3]


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_pictures_and_captions_are_saved_over_older_ones_or_behind_them(ctx: Any, tmp_path: Path) -> None:
    red, blue = torch.tensor([1.0, 0, 0]).expand(2, 4, 6, 3), torch.tensor([0, 0, 1.0]).expand(1, 4, 6, 3)
    output = tmp_path / "output"
    given: Any = [red, blue]
    texts: Any = ["réd", "blue"]
    names: Any = (["set/cats"], ["cat"], ["overwrite"])
    for _ in range(2):
        told = save_image_text_data_set(ctx, given, texts, *names)
        assert sorted(files(output)) == sorted(
            f"set/cats/cat_{at:05}.{kind}" for at in range(3) for kind in ("png", "txt")
        )
    assert told.ui["images"][2] == {"filename": "cat_00002.png", "subfolder": "set/cats", "type": "output"}
    assert (output / "set/cats/cat_00001.txt").read_text("utf-8") == "réd"
    assert np.asarray(Image.open(output / "set/cats/cat_00002.png"))[0, 0].tolist() == [0, 0, 255]
    before = files(output)
    save_image_data_set(ctx, given, "set/cats", "cat", "increment")
    after = files(output)
    assert before.items() < after.items()
    assert len(after) == len(before) + 3


def test_what_cannot_be_saved_is_told(ctx: Any, tmp_path: Path) -> None:
    picture: Any = [torch.zeros(1, 2, 2, 3)]
    texts: Any = ["a", "b"]
    empty: Any = []
    with pytest.raises(ValueError, match="2 captions for 1 pictures"):
        save_image_text_data_set(ctx, picture, texts)
    with pytest.raises(ValueError, match="list of pictures is empty"):
        save_image_data_set(ctx, empty)
    for folder, prefix in (("../out", "a"), ("/tmp/out", "a"), ("set", "../../a"), ("set", "../a")):
        with pytest.raises(MediaError, match="leads out of"):
            save_image_data_set(ctx, picture, folder, prefix)
    assert not (tmp_path / "output").exists() or files(tmp_path / "output") == {}


def test_long_names_and_full_disks_are_told(ctx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture: Any = [torch.zeros(1, 2, 2, 3)]
    for mode in ("overwrite", "increment"):
        save_image_data_set(ctx, picture, mode, "ä" * 400, mode)
    for name in files(tmp_path / "output"):
        assert 200 < len(name.rpartition("/")[2].encode()) <= 255

    def full(part: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(atomic, "_filled", full)
    with pytest.raises(MediaError, match="The disk is full"):
        save_image_data_set(ctx, picture, "new", "a", "overwrite")
    assert list((tmp_path / "output" / "new").iterdir()) == []


def test_a_prefix_that_names_nothing_stays_in_the_folder(ctx: Any, tmp_path: Path) -> None:
    picture: Any = [torch.zeros(1, 2, 2, 3)]
    for prefix in ("", "."):
        save_image_data_set(ctx, picture, "set/d", prefix, "increment")
    assert {name.rpartition("/")[0] for name in files(tmp_path / "output")} == {"set/d"}


FOUND = [definition_of(one) for one in (load_image_text_data_set, load_image_set, load_image_output, preview_any)]
DEFINITIONS = {definition.spec.name: definition for definition in FOUND if definition is not None}
CATALOGUE = Catalogue([definition.spec for definition in DEFINITIONS.values()])


@pytest.fixture
def executor(ctx: Any) -> Iterator[Executor]:
    services = Services(paths=ctx.paths, find_file=ctx.paths.locate)
    made = Executor(DEFINITIONS.__getitem__, CATALOGUE, Cache(None), services=services)
    yield made
    made.close()


def checked(ctx: Any, kind: str, inputs: dict[str, Any], slot: int) -> Checked:
    prompt = {
        "load": {"class_type": kind, "inputs": inputs},
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["load", slot]}},
    }
    return check(prompt, CATALOGUE, choices=lambda files: ctx.paths.listing(files.folder, files.kind))


def test_a_folder_is_read_again_when_a_file_in_it_changes(ctx: Any, executor: Executor, tmp_path: Path) -> None:
    found = checked(ctx, "LoadImageTextDataSetFromFolder", {"folder": "sets/cats"}, 1)
    assert found.problems == []

    def ran() -> tuple[str, list[str]]:
        result = executor.run_sync(found.prompt, found.outputs)
        return result.nodes["load"].status, result.ui["show"]["text"]

    assert ran()[0] == "ran"
    assert ran()[0] == "reused"
    (tmp_path / "input" / "sets" / "cats" / "c.txt").write_text("a blue cat")
    assert ran() == ("ran", ["", "a red cat", "a blue cat", "a tabby", "a tabby", "a tabby"])


def test_the_folders_with_pictures_are_the_choices(ctx: Any) -> None:
    assert ctx.paths.listing("input", "folder") == ("sets", "sets/cats", "sets/cats/3_tabby", "sets/cats/others")
    assert ctx.paths.listing("input", "folder") is ctx.paths.listing("input", "folder")
    (problem,) = checked(ctx, "LoadImageTextDataSetFromFolder", {"folder": "../x"}, 1).problems
    assert problem.type == "value_not_in_list"


def test_several_files_may_be_chosen(ctx: Any, executor: Executor) -> None:
    names = ["sets/cats/A.PNG", "sets/cats/b.png"]
    for value in (names, {"__value__": names}):
        found = checked(ctx, "LoadImageSetNode", {"images": value, "resize_method": "None"}, 0)
        assert found.problems == []
        assert "(2, 4, 6, 3)" in executor.run_sync(found.prompt, found.outputs).ui["show"]["text"][0]
    (problem,) = checked(ctx, "LoadImageSetNode", {"images": ["no.png"], "resize_method": "None"}, 0).problems
    assert problem.type == "value_not_in_list"


def test_a_saved_picture_is_loaded_by_its_name_with_or_without_the_folder(ctx: Any, executor: Executor) -> None:
    paint(ctx.paths.directory("output") / "x" / "made.png", (255, 0, 0))
    for name in ("x/made.png", "x/made.png [output]"):
        found = checked(ctx, "LoadImageOutput", {"image": name}, 0)
        assert found.problems == []
        assert "(1, 4, 6, 3)" in executor.run_sync(found.prompt, found.outputs).ui["show"]["text"][0]
    assert checked(ctx, "LoadImageOutput", {"image": "b.png [input]"}, 0).problems


def test_a_folder_is_a_choice_for_callers_and_no_file_to_send_along() -> None:
    kinds = {definition.spec.name: media_kind(definition.spec.inputs[0]) for definition in DEFINITIONS.values()}
    assert kinds["LoadImageTextDataSetFromFolder"] is None
    assert kinds["LoadImageSetNode"] == "image"
