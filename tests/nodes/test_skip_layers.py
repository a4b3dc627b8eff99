"""Which layers are named, and which models have none."""

from __future__ import annotations

import pytest
import torch

from engine.models.errors import ModelError
from engine.sampling.skips import away_from
from nodes.loaders import checkpoint_loader
from nodes.skip_layers import skip_layer_guidance_dit, skip_layer_guidance_dit_simple, skip_layer_guidance_sd3


@pytest.fixture
def unet(bench):
    return checkpoint_loader(bench, "tiny.safetensors").MODEL


def test_without_numbers_or_scale_the_model_comes_back_as_it_is(unet):
    assert skip_layer_guidance_dit(unet, "", " ") is unet
    assert skip_layer_guidance_dit(unet, "7", "7", 0.0) is unet
    assert skip_layer_guidance_dit_simple(unet, ",", "") is unet
    assert skip_layer_guidance_sd3(unet, "") is unet


@pytest.mark.parametrize("text", ["seven", "7; 8", "-1", "7.5", "7, x"])
def test_what_is_no_list_of_numbers_is_refused(unet, text):
    with pytest.raises(ValueError, match=r"layers: .* is no list of layers. Write numbers from 0"):
        skip_layer_guidance_dit(unet, text, "")


@pytest.mark.parametrize(
    "node",
    [skip_layer_guidance_dit, skip_layer_guidance_dit_simple, skip_layer_guidance_sd3],
    ids=lambda one: one.__name__,
)
def test_a_model_without_such_layers_is_refused_in_words(unet, node):
    with pytest.raises(ModelError, match="has no layers here that can be skipped one by one"):
        node(unet)


def test_the_spread_of_each_picture_is_pulled_back_to_the_positive_one():
    positive, skipped, guided = torch.randn(3, 2, 4, 8, 8, generator=torch.Generator().manual_seed(1)).unbind()
    made = away_from(guided, positive, skipped, 3.0, 0.0)
    assert torch.equal(made, guided + 3.0 * (positive - skipped))
    full = away_from(guided, positive, skipped, 3.0, 1.0)
    assert torch.allclose(full.std(dim=(1, 2, 3)), positive.std(dim=(1, 2, 3)))
    half = away_from(guided, positive, skipped, 3.0, 0.5)
    assert torch.allclose(half, (made + full) / 2, atol=1e-5)
