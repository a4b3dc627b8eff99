"""Boxes made, drawn and cut out."""

from __future__ import annotations

import pytest
import torch

from nodes.boxes import crop_by_bboxes, draw_bboxes, primitive_bounding_box
from nodes.boxes_drawing import COCO

BOX = {"x": 10, "y": 20, "width": 30, "height": 40}


def picture(height: int = 80, width: int = 90, channels: int = 3, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(1))


def test_a_box_is_its_numbers() -> None:
    assert primitive_bounding_box(10, 20, 30, 40) == BOX


def test_the_outline_is_drawn_and_nothing_else() -> None:
    image = torch.zeros(1, 80, 90, 4)
    touched = draw_bboxes(BOX, image)[0].any(-1)
    assert touched.shape == (80, 90)
    rows, columns = touched.nonzero().unbind(-1)
    assert [int(one) for one in (rows.min(), rows.max(), columns.min(), columns.max())] == [20, 59, 10, 39]
    assert not touched[22:58, 12:38].any()


def test_a_label_is_written_where_coco_knows_it() -> None:
    image = torch.zeros(1, 80, 90, 3)
    plain = draw_bboxes([BOX], image)
    assert torch.equal(draw_bboxes([{**BOX, "label": "wug", "score": 0.5}], image), plain)
    named = draw_bboxes([{**BOX, "label": "cat"}], image)
    scored = draw_bboxes([{**BOX, "label": "cat", "score": 0.5}], image)
    assert (named[0, :20] != 0).any()
    assert not torch.equal(named, scored)
    assert len(COCO.split(", ")) == 80


def test_boxes_go_for_all_pictures_or_one_list_for_each() -> None:
    image = picture(batch=3)
    same = draw_bboxes([BOX, {**BOX, "x": 45}], image)
    assert all((same[at] != image[at]).any() for at in range(3))
    each = draw_bboxes([[BOX], [], [{**BOX, "x": 45}]], image)
    assert torch.equal(each[1], image[1])
    assert torch.equal(each[2][:, :45], image[2][:, :45])


def test_a_canvas_is_made_as_large_as_the_boxes() -> None:
    assert draw_bboxes([]).shape == (1, 640, 640, 3)
    assert draw_bboxes([[BOX], [{**BOX, "x": 700}]]).shape == (2, 640, 730, 3)
    with pytest.raises(ValueError, match="Link the picture"):
        draw_bboxes({**BOX, "x": 1e9})
    assert not draw_bboxes({**BOX, "x": -100, "width": 50}).any()


@pytest.mark.parametrize("bad", [7, "x", None, [[1]], [{"x": 1}], {**BOX, "width": float("nan")}, {**BOX, "x": "1"}])
def test_what_is_no_box_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"DrawBBoxes: .*x, y, width and height"):
        draw_bboxes(bad)
    with pytest.raises(ValueError, match=r"CropByBBoxes: .*x, y, width and height"):
        crop_by_bboxes(picture(), bad)


def test_a_cut_of_the_results_size_is_the_rectangle_itself() -> None:
    image = picture(200, 300, channels=4)
    box = {"x": 20, "y": 30, "width": 64, "height": 72}
    assert torch.equal(crop_by_bboxes(image, box, 64, 72), image[:, 30:102, 20:84])
    both = [{**box, "width": 10}, {**box, "x": 52, "width": 32}]
    assert torch.equal(crop_by_bboxes(image, both, 64, 72), image[:, 30:102, 20:84])
    assert torch.equal(crop_by_bboxes(image, box, 72, 80, padding=4), image[:, 26:106, 16:88])


def test_proportions_are_kept_by_black_or_not() -> None:
    image = torch.ones(2, 200, 300, 3)
    box = {"x": 0, "y": 0, "width": 100, "height": 50}
    padded = crop_by_bboxes(image, box, 64, 64, keep_aspect="pad")
    assert padded[0, :, 0, 0].nonzero().flatten().tolist() == list(range(16, 48))
    assert (crop_by_bboxes(image, box, 64, 64) == 1).all()


def test_without_a_box_the_middle_of_the_top_is_cut() -> None:
    image = picture(100, 300, batch=2)
    cut = crop_by_bboxes(image, [[{"x": 500, "y": 0, "width": 5, "height": 5}], []], 104, 104)
    wanted = crop_by_bboxes(image, {"x": 100, "y": 0, "width": 100, "height": 100}, 104, 104)
    assert torch.equal(cut, wanted)
    assert crop_by_bboxes(image, [], 64, 64).shape == (2, 64, 64, 3)


@pytest.mark.parametrize(
    "box", [{"x": 1e308, "y": 0, "width": 1e308, "height": 1}, {"x": float("nan"), "y": 0, "width": 1, "height": 1}]
)
def test_boxes_farther_than_any_picture_are_refused(box: dict[str, float]) -> None:
    for call in (lambda: draw_bboxes([box]), lambda: crop_by_bboxes(picture(), [box])):
        with pytest.raises(ValueError, match="a box is"):
            call()


def test_cuts_too_large_together_and_empty_batches_are_refused_before_any_is_made() -> None:
    with pytest.raises(ValueError, match="GiB"):
        crop_by_bboxes(picture(4, 4, batch=100), [], 4096, 4096)
    for call in (lambda: crop_by_bboxes(picture(batch=0), []), lambda: draw_bboxes([], picture(batch=0))):
        with pytest.raises(ValueError, match=r"empty|without an item"):
            call()
