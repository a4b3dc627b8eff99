"""Mixing, placing and timing conditionings; values checked by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nodes import conditioning as c


def entry(value: float, tokens: int = 2, width: int = 3, **options: Any) -> list[list[Any]]:
    return [[torch.full((1, tokens, width), value), {"pooled_output": torch.full((1, width), value), **options}]]


def test_text_is_encoded_to_one_chunk_of_the_encoders_length_with_its_pooled_vector(bench):
    _, clip, _ = bench.models.checkpoint(bench.paths.find("checkpoints", "tiny.safetensors"))
    [[tokens, options]] = c.text_encode(bench, "a red apple", clip)
    assert tokens.shape == (1, 77, 32)
    assert options["pooled_output"].shape == (1, 32)


def test_an_embedding_that_is_not_there_is_a_warning_on_the_node(bench):
    _, clip, _ = bench.models.checkpoint(bench.paths.find("checkpoints", "tiny.safetensors"))
    [[tokens, _]] = c.text_encode(bench, "a red embedding:nowhere apple", clip)
    assert torch.equal(tokens, c.text_encode(bench, "a red apple", clip)[0][0])
    assert ["'nowhere', so it is left out" in message for message in bench.warned] == [True]


def test_another_text_gives_another_conditioning_and_the_same_text_the_same(bench):
    _, clip, _ = bench.models.checkpoint(bench.paths.find("checkpoints", "tiny.safetensors"))
    red, again, blue = (c.text_encode(bench, text, clip)[0][0] for text in ("red apple", "red apple", "blue apple"))
    assert torch.equal(red, again)
    assert not torch.allclose(red, blue)


def test_clip_skip_changes_the_conditioning_but_not_the_handle_it_was_set_on(bench):
    _, clip, _ = bench.models.checkpoint(bench.paths.find("checkpoints", "tiny.safetensors"))
    skipped = c.clip_set_last_layer(clip, -2)
    assert skipped.identity() != clip.identity()
    last, before = c.text_encode(bench, "red", clip)[0][0], c.text_encode(bench, "red", skipped)[0][0]
    assert not torch.allclose(last, before)


def test_combine_keeps_both_entries_in_order():
    combined = c.conditioning_combine(entry(1.0), entry(2.0))
    assert [float(tokens[0, 0, 0]) for tokens, _ in combined] == [1.0, 2.0]


def test_concat_appends_the_tokens_of_the_first_entry_to_every_entry():
    [[one, options], [two, _]] = c.conditioning_concat(entry(1.0) + entry(2.0), entry(3.0, tokens=4))
    assert one.shape == two.shape == (1, 6, 3)
    assert one[0, :, 0].tolist() == [1, 1, 3, 3, 3, 3]
    assert float(options["pooled_output"][0, 0]) == 1.0


def test_concat_of_different_widths_names_both():
    with pytest.raises(ValueError, match="3 and 5"):
        c.conditioning_concat(entry(1.0), entry(1.0, width=5))


@pytest.mark.parametrize(("share", "expected"), [(1.0, 2.0), (0.0, 6.0), (0.25, 5.0)])
def test_average_interpolates_tokens_and_pooled_vectors(share, expected):
    [[tokens, options]] = c.conditioning_average(entry(2.0), entry(6.0), share)
    assert torch.equal(tokens, torch.full((1, 2, 3), expected))
    assert torch.equal(options["pooled_output"], torch.full((1, 3), expected))


def test_average_counts_a_shorter_from_as_zero_past_its_end_and_cuts_a_longer_one():
    [[tokens, _]] = c.conditioning_average(entry(2.0, tokens=3), entry(4.0, tokens=1), 0.5)
    assert tokens[0, :, 0].tolist() == [3.0, 1.0, 1.0]
    [[tokens, _]] = c.conditioning_average(entry(2.0, tokens=1), entry(4.0, tokens=3), 0.5)
    assert tokens[0, :, 0].tolist() == [3.0]


def test_average_with_an_empty_conditioning_says_which_input_it_is():
    with pytest.raises(ValueError, match="conditioning_from"):
        c.conditioning_average(entry(1.0), [], 0.5)


def test_an_area_in_pixels_is_kept_in_latent_pixels_height_first():
    [[_, options]] = c.conditioning_set_area(entry(1.0), width=64, height=128, x=8, y=16, strength=0.5)
    assert options["area"] == (16, 8, 2, 1)
    assert options["strength"] == 0.5


def test_an_area_in_shares_says_so():
    [[_, options]] = c.conditioning_set_area_percentage(entry(1.0), width=0.5, height=1.0, x=0.25, y=0.0)
    assert options["area"] == ("percentage", 1.0, 0.5, 0.0, 0.25)


def test_a_single_mask_becomes_a_batch_of_one():
    [[_, options]] = c.conditioning_set_mask(entry(1.0), torch.ones(4, 6), 0.7, "mask bounds")
    assert options["mask"].shape == (1, 4, 6)
    assert options["mask_strength"] == 0.7
    assert options["set_area_to_bounds"] is True


def test_timestep_range_and_strength_are_set_on_every_entry():
    timed = c.conditioning_set_timestep_range(entry(1.0) + entry(2.0), 0.2, 0.8)
    assert [(o["start_percent"], o["end_percent"]) for _, o in timed] == [(0.2, 0.8)] * 2
    assert c.conditioning_set_area_strength(entry(1.0), 3.0)[0][1]["strength"] == 3.0


def test_zero_out_zeroes_tokens_and_pooled_vector_and_keeps_their_shapes():
    [[tokens, options]] = c.conditioning_zero_out(entry(1.0))
    assert tokens.shape == (1, 2, 3)
    assert not tokens.any()
    assert not options["pooled_output"].any()


@pytest.mark.parametrize(
    "change",
    [
        c.conditioning_set_area,
        lambda x: c.conditioning_set_mask(x, torch.ones(1, 2, 2)),
        lambda x: c.conditioning_average(x, x, 0.5),
        lambda x: c.conditioning_concat(x, x),
        c.conditioning_zero_out,
        lambda x: c.conditioning_set_timestep_range(x, 0.1, 0.2),
    ],
)
def test_no_node_writes_into_what_it_is_given(change):
    given = entry(2.0)
    change(given)
    assert set(given[0][1]) == {"pooled_output"}
    assert torch.equal(given[0][0], entry(2.0)[0][0])
