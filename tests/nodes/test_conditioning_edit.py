"""Guidance and reference latents, set on conditionings."""

from __future__ import annotations

import torch

from nodes.conditioning_edit import flux_guidance, reference_latent, reference_latents_method

TOKENS = torch.zeros(1, 2, 3)


def test_guidance_is_set_on_every_entry_and_on_none_of_what_came() -> None:
    came = [[TOKENS, {"area": 1}], [TOKENS, {"guidance": 9.0}]]
    assert [options for _, options in flux_guidance(came, 4.0)] == [{"area": 1, "guidance": 4.0}, {"guidance": 4.0}]
    assert [options for _, options in came] == [{"area": 1}, {"guidance": 9.0}]


def test_reference_latents_gather_in_their_order() -> None:
    first, second = torch.zeros(1, 4, 2, 2), torch.ones(1, 4, 3, 3)
    came = [[TOKENS, {}], [TOKENS, {"area": 1}]]
    one = reference_latent(came, {"samples": first})
    both = reference_latent(one, {"samples": second})
    assert [[len(options["reference_latents"]) for _, options in each] for each in (one, both)] == [[1, 1], [2, 2]]
    assert [found is given for found, given in zip(both[1][1]["reference_latents"], (first, second))] == [True, True]
    assert both[1][1]["area"] == 1
    assert came == [[TOKENS, {}], [TOKENS, {"area": 1}]]


def test_without_a_latent_the_conditioning_stays_as_it_is() -> None:
    came = [[TOKENS, {}]]
    assert reference_latent(came) is came


def test_the_way_to_place_references_is_set_on_every_entry() -> None:
    came = [[TOKENS, {"area": 1}], [TOKENS, {}]]
    set_to = {choice: reference_latents_method(came, choice)[1][1] for choice in ("uxo/uno", "index_timestep_zero")}
    assert set_to == {
        "uxo/uno": {"reference_latents_method": "uxo"},
        "index_timestep_zero": {"reference_latents_method": "index_timestep_zero"},
    }
    assert came == [[TOKENS, {"area": 1}], [TOKENS, {}]]
