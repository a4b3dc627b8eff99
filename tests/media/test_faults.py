"""Pictures and latents that went wrong are told of, by number; good ones are not."""

from __future__ import annotations

import pytest
import torch

from engine.media.faults import latent_faults, picture_faults


def test_good_pictures_and_latents_are_not_told_of():
    pictures = torch.rand(2, 4, 4, 3)
    assert picture_faults(pictures, decoded=True) == []
    assert latent_faults(torch.randn(1, 4, 2, 2)) == []
    assert picture_faults(torch.zeros(1, 4, 4, 3)) == [], "black on purpose, as a mask"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_told_of_by_their_picture(value):
    pictures = torch.rand(3, 4, 4, 3)
    pictures[1, 2, 3, 0] = value
    assert picture_faults(pictures) == ["The picture 2 of 3 holds NaN or infinity, and shows as black."]
    latent = torch.randn(1, 4, 2, 2)
    latent[0, 0, 0, 0] = value
    (told,) = latent_faults(latent)
    assert told.startswith("The latent came out of sampling with NaN or infinity")


def test_a_decoded_picture_that_is_black_is_told_of():
    pictures = torch.rand(2, 4, 4, 3)
    pictures[0] = 0.0
    (told,) = picture_faults(pictures, decoded=True)
    assert told.startswith("The picture 1 of 2 is black all over.")
