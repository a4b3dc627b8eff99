"""Rotations by the places of tokens: made once for a run, and to the bit what a network makes at each step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from engine.models.networks.turns import Turns
from nodes.conditioning import text_encode
from nodes.sampling import ksampler
from tests.every_family import loaded, written

CPU = torch.device("cpu")


class Counted(nn.Module):
    """What a network turns tokens by, and how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[torch.Tensor] = []

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        self.asked.append(ids)
        return ids * 2


def test_what_was_made_of_the_same_places_is_given_again() -> None:
    counted = Counted()
    network = nn.Module()
    network.pos_embed = counted
    turns = Turns.of(network)
    assert Turns.of(network) is turns is network.pos_embed
    rows, words, others = torch.arange(6.0).reshape(2, 3), torch.ones(1, 3), torch.ones(2, 3)
    for number, places in enumerate([(rows, words), (rows, others), (rows.clone(), words.clone()), (rows, others)]):
        with turns.at(*places, device=CPU) as there:
            assert [torch.equal(turns(one), place * 2) for one, place in zip(there, places, strict=True)] == [
                True,
                True,
            ]
        assert len(counted.asked) == min(2 * number + 2, 4)
    with turns.at(rows + 1, words, device=CPU) as (moved, _):
        assert torch.equal(turns(moved), (rows + 1) * 2)
    with turns.at(rows, words, device=CPU, dtype=torch.bfloat16) as (half, _):
        assert turns(half).dtype is torch.bfloat16


def test_outside_of_a_call_that_told_its_places_nothing_is_remembered() -> None:
    counted = Counted()
    turns = Turns(counted)
    with turns.at(torch.ones(1, 3), device=CPU) as (there,):
        turns(there)
    for number in range(2):
        assert torch.equal(turns(torch.full((1, 3), 7.0 + number)), torch.full((1, 3), 14.0 + 2 * number))


FAMILIES = ("flux", "flux2", "flux3", "chroma", "chroma_radiance", "longcat_image", "ovis_image")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_run_makes_them_once_and_comes_to_the_same_bits(
    name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = loaded(written(tmp_path, name), name)
    bench, model = parts.bench, parts.model
    good, bad = (text_encode(bench, text, parts.clip) for text in ("a red apple", "blue dog on a tree, a tree"))
    side = 64 // model.latent.downscale
    made: list[torch.Tensor] = []

    def run() -> torch.Tensor:
        latent = {"samples": torch.zeros(1, model.latent.channels, side, side)}
        told = {"seed": 1, "steps": 3, "cfg": 2.0, "sampler_name": "euler", "scheduler": "simple"}
        return torch.as_tensor(
            ksampler(bench, model, **told, positive=good, negative=bad, latent_image=latent)["samples"]
        )

    with bench.models.use(model) as network:
        library = Turns.of(network.module)._pos_embed
        library.register_forward_hook(lambda _module, given, _made: made.append(given[0]))
    found = run()
    once = len(made)
    assert 0 < once <= 4
    assert torch.equal(run(), found)
    assert len(made) == once
    monkeypatch.setattr(Turns, "forward", lambda self, ids: self._pos_embed(ids))
    assert torch.equal(run(), found)
    assert len(made) > 2 * once
