from __future__ import annotations

import pytest
import torch

from nodes.image_grid import image_grid


def flat(value: float, height: int = 2, width: int = 2, channels: int = 3, batch: int = 1) -> torch.Tensor:
    return torch.full((batch, height, width, channels), value)


def test_a_contact_sheet_lays_pictures_out_row_by_row() -> None:
    images = [flat(0.0, 2, 2), torch.cat([flat(0.25, 2, 2), flat(0.5, 2, 2)])]
    sheet = image_grid(images, columns=[2], spacing=[1])
    assert sheet.shape == (1, 7, 7, 3)
    assert sheet[0, 1::3, 1::3, 0].tolist() == [[0.0, 0.25], [0.5, 1.0]]
    assert sheet[0, 0].eq(1).all()


def test_a_contact_sheet_is_about_square_by_default() -> None:
    assert image_grid([flat(0.0, batch=5)], spacing=[0]).shape == (1, 4, 6, 3)


def test_labels_are_written_below_their_own_picture_only() -> None:
    pictures = [flat(0.5, 4, 60), flat(0.5, 4, 60)]
    sheet = image_grid(pictures, ["", "two"], [2], [0], [12])[0]
    assert sheet.shape == (22, 120, 3)
    assert sheet[4:, :60].eq(1).all()
    assert sheet[4:, 60:].min() < 0.3
    assert image_grid(pictures, "\ntwo", 2, 0, 12)[0].equal(sheet)


def test_a_long_label_widens_the_cells_and_is_cut_off_only_far_out() -> None:
    narrow = image_grid([flat(0.0, 2, 4)] * 2, ["a long label", "b"], [2], [0], [12])
    assert narrow.shape[2] > 60 * 2
    assert image_grid([flat(0.0, 2, 4)], "w" * 5000, spacing=[0]).shape[2] == 1024


def test_a_text_of_several_lines_in_a_list_is_one_label() -> None:
    pictures = [flat(0.0, 4, 60)] * 2
    broken = image_grid(pictures, ["a\nb", "c"], [2], [0], [12])
    assert torch.equal(broken, image_grid(pictures, "a b\nc", 2, 0, 12))


def test_a_list_without_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match="holds no picture"):
        image_grid([])


def test_labels_on_a_dark_sheet_are_white() -> None:
    sheet = image_grid([flat(0.0, 4, 60)], ["label"], spacing=[0], label_size=[12], background=[0])
    assert sheet.max() > 0.7


def test_see_through_pictures_show_the_background_of_the_sheet() -> None:
    clear = torch.cat([flat(0.0, 2, 2), flat(0.0, 2, 2, 1)], dim=-1)
    assert image_grid([clear], spacing=[0], background=[0x00FF00])[0, 0, 0].tolist() == [0, 1, 0]


def test_smaller_pictures_are_centred_in_their_cell() -> None:
    sheet = image_grid([flat(0.0, 1, 1), flat(0.5, 3, 3)], columns=[2], spacing=[0])
    assert sheet[0, :, :3, 0].tolist() == [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
