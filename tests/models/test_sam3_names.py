"""SAM 3 at full size in the names of its authors fills the library's network: nothing missing, every shape as it is there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from engine.models import perception
from engine.models.networks import sam3_names
from engine.models.unfilled import Unfilled
from tests import sam3_shapes


@pytest.mark.parametrize("shapes", [sam3_shapes.sam3, sam3_shapes.sam31])
@pytest.mark.parametrize("name", ["sam3", "sam3_text"])
def test_every_tensor_has_its_place(name: str, shapes: Callable[[], sam3_shapes.Shapes]) -> None:
    kind, there = perception.kind_named(name), shapes()
    assert perception.kind_in(there) == "sam3"
    config = kind.config(there, {})
    with Unfilled():
        wanted = {key: tuple(value.shape) for key, value in kind.build(config).state_dict().items()}
    zeros = {key: np.broadcast_to(np.float32(0), shape) for key, shape in there.items()}
    found = {key: tuple(value.shape) for key, value in kind.renamed(zeros, config).items()}
    assert {key: found.get(key) for key in wanted} == wanted
    left = [key for key in found if key not in wanted and "freqs_cis" not in key]
    assert left == (["text_model.text_projection"] if name == "sam3_text" else [])


def test_norms_of_the_decoder_follow_what_they_are_behind_and_the_whole_pictures_place_is_left_out() -> None:
    names = {"norm1": "vision_cross_attn", "norm2": "self_attn", "norm3": "mlp", "catext_norm": "text_cross_attn"}
    for theirs, ours in names.items():
        found = sam3_names.seen({f"detector.transformer.decoder.layers.3.{theirs}.bias": torch.zeros(4)})
        assert list(found) == [f"detector_model.detr_decoder.layers.3.{ours}_layer_norm.bias"]
    places = torch.arange(5.0).reshape(1, 5, 1)
    (value,) = sam3_names.seen({"detector.backbone.vision_backbone.trunk.pos_embed": places}).values()
    assert value.flatten().tolist() == [1, 2, 3, 4]
    stacked = torch.arange(6.0)[:, None]
    found = sam3_names.seen({"detector.transformer.decoder.layers.0.self_attn.in_proj_weight": stacked})
    assert {name.split(".")[-2]: value.flatten().tolist() for name, value in found.items()} == {
        "q_proj": [0, 1],
        "k_proj": [2, 3],
        "v_proj": [4, 5],
    }
    points = {
        f"tracker.sam_prompt_encoder.point_embeddings.{n}.weight": torch.tensor([[float(n)]]) for n in (2, 0, 3, 1)
    }
    (value,) = sam3_names.seen(points).values()
    assert value.flatten().tolist() == [0, 1, 2, 3]
