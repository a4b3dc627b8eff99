"""Parts of training in the smallest cases that tell one formula from its neighbour."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from engine.training.lanes import Lanes
from engine.training.lora import read_folder
from engine.training.losses import reconstruction_loss
from engine.training.lowrank import Adapters
from engine.training.pictures import Picture, with_bare_words


def test_edges_across_and_down_count_alike() -> None:
    target = torch.zeros(1, 3, 16, 16)
    across = torch.zeros(1, 3, 16, 16)
    across[..., 8:] = 1.0
    found = [float(reconstruction_loss(output, target, 2.0, 0.0)) for output in (across, across.mT)]
    assert found == pytest.approx([0.5 + 2.0 * 16 / (16 * 15)] * 2)


def test_lanes_share_the_weights_of_the_network() -> None:
    network = nn.Linear(2, 2)
    lanes = Lanes(network, 3)
    with torch.no_grad():
        network.weight.add_(1.0)
    assert all(torch.equal(replica.weight, network.weight) for replica in lanes.replicas)
    assert len({id(replica) for replica in lanes.replicas}) == 3


def test_a_see_through_picture_is_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 8), (0, 0, 0, 0)).save(tmp_path / "a_red_dot.png")
    ((pixels, caption),) = read_folder(tmp_path, 4)
    assert (pixels.shape, pixels.min(), caption) == ((4, 4, 3), 1.0, "a red dot")


def test_pictures_are_known_by_suffixes_of_either_case(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "A.PNG")
    (tmp_path / "a.txt.bak").touch()
    assert [caption for _, caption in read_folder(tmp_path, 4)] == ["A"]


def test_a_lora_is_scaled_by_alpha_over_rank_and_saved_with_its_alpha(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2))
    x = torch.randn(1, 3)
    with torch.no_grad(), Adapters(network, ["0"], rank=2, alpha=6.0) as adapters:
        plain = network(x)
        (layer,) = adapters.layers.values()
        layer.up.weight.fill_(1.0)
        added = network[0](x) - nn.functional.linear(x, network[0].weight, network[0].bias)
        assert torch.allclose(added, layer.down(x).sum(1, keepdim=True).expand(1, 5) * 3.0, atol=1e-5)
        adapters.save(tmp_path / "lora.safetensors", {})
    assert torch.equal(network(x), plain)
    saved = load_file(tmp_path / "lora.safetensors")
    assert {name: tuple(value.shape) for name, value in saved.items()} == {
        "unet.0.lora_A.weight": (2, 3),
        "unet.0.lora_B.weight": (5, 2),
        "unet.0.alpha": (),
    }
    assert float(saved["unet.0.alpha"]) == 6.0


def picture(name: str, *keywords: str) -> Picture:
    return Picture(name=name, file="", category="", subcategory="", weight=1.0, keywords=keywords)


def test_a_bare_word_means_the_shortest_name_that_ends_in_it_and_no_word_of_all_is_one() -> None:
    found = with_bare_words([picture("very big apple"), picture("red apple"), picture("walk on the moon")], {})
    assert [one.words for one in found] == [("big",), ("apple", "red"), ("moon", "walk")]
