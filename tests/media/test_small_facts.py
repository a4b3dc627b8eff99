"""Bounds and exceptions of pictures as files: frames, names, keys, parts."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from engine.media import load
from engine.media.atomic import copy_new, next_number
from engine.media.containers.avif import _joined
from engine.media.errors import MediaError
from engine.media.load import load_picture
from engine.media.png import encode_png


def test_a_frame_without_alpha_hides_nothing_beside_one_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.new("RGB", (2, 2)), Image.new("RGBA", (2, 2), (0, 0, 0, 0))]
    monkeypatch.setattr(load, "_frames", lambda path: frames)
    assert load_picture(Path("a.png")).mask.flatten(1).tolist() == [[0.0] * 4, [1.0] * 4]


def test_all_frames_of_an_animation_count_as_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MAX_PIXELS", 250)
    frames = [Image.new("RGB", (10, 10), color) for color in ("red", "green", "blue")]
    frames[0].save(tmp_path / "one.gif")
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:2])
    frames[0].save(tmp_path / "three.gif", save_all=True, append_images=frames[1:])
    assert load_picture(tmp_path / "one.gif").image.shape == (1, 10, 10, 3)
    assert load_picture(tmp_path / "two.gif").image.shape == (2, 10, 10, 3)
    with pytest.raises(MediaError, match="in 3 frames"):
        load_picture(tmp_path / "three.gif")


@pytest.mark.parametrize("size", [(4, 6), (6, 4)])
def test_pages_of_another_height_or_width_are_left_out(tmp_path: Path, size: tuple[int, int]) -> None:
    first, other = Image.new("RGB", (4, 4), "red"), Image.new("RGB", size, "blue")
    first.save(tmp_path / "a.tiff", save_all=True, append_images=[other, first])
    assert load_picture(tmp_path / "a.tiff").image.shape == (2, 4, 4, 3)


def test_a_names_signs_stand_for_themselves(tmp_path: Path) -> None:
    for name in ("axb_00005_.png", "a.b_00002_.png", "xa.b_00009_.png", "a.b_c_00007_.png"):
        (tmp_path / name).touch()
    assert next_number(tmp_path, "a.b") == 3


def test_a_copy_replaces_no_file_of_other_bytes(tmp_path: Path) -> None:
    source, folder = tmp_path / "a.png", tmp_path / "out"
    found = []
    for data in (b"one", b"one", b"two"):
        source.write_bytes(data)
        found.append(copy_new(source, folder).name)
    assert found == ["a.png", "a.png", "a_00001_.png"]
    assert (folder / "a.png").read_bytes() == b"one"
    assert [path.name for path in sorted(folder.iterdir())] == ["a.png", "a_00001_.png"]


def test_what_a_client_wants_embedded_stands_beside_prompt_and_workflow_and_replaces_neither() -> None:
    picture = Image.new("RGB", (2, 2))
    more = {"prompt": "mine", "k" * 79: 1, "l" * 80: 2, "": 3}
    data = encode_png(picture, {"1": {}}, None, more)
    with Image.open(io.BytesIO(data)) as opened:
        assert {key: json.loads(text) for key, text in opened.text.items()} == {"prompt": {"1": {}}, "k" * 79: 1}


@pytest.mark.parametrize(
    ("extents", "room", "found"),
    [([(2, 0)], 9, b"cdef"), ([(0, 2), (4, 1)], 9, b"abe"), ([(0, 4), (0, 4)], 7, b""), ([(9, 1)], 9, b"")],
)
def test_a_part_without_a_length_goes_on_to_the_end_and_parts_share_their_room(extents, room, found) -> None:
    assert _joined(b"abcdef", extents, room) == found


def test_values_are_cut_and_not_rounded() -> None:
    from engine.media.tensors import to_bytes

    assert to_bytes(torch.tensor([0.999, 1.5, -1.0, 0.5])).tolist() == [254, 255, 0, 127]
