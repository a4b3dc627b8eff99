"""Prompts taken apart: what is in quotes comes letter by letter, as LongCat-Image's pipeline has it."""

from __future__ import annotations

import pytest

from engine.models.towers.quotes import letter_by_letter, pictures_before

PROMPTS = [
    "",
    "a dog",
    "write 'Hello' on it",
    'both "ab" and ‘c d’, “é”',
    "'a'",
    "the dog's 'ball'",
    "'it isn't'",
    "an open ' quote",
    "''",
    "“a 'b' c”",
    'a "quote\nover lines" here',
]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_quotes_are_those_of_the_pipeline(prompt: str) -> None:
    from diffusers.pipelines.longcat_image.pipeline_longcat_image import split_quotation

    wanted = []
    for piece, quoted in split_quotation(prompt):
        wanted += list(piece) if quoted else [piece]
    assert letter_by_letter(prompt) == wanted
    assert "".join(letter_by_letter(prompt)) == prompt


def test_a_prompt_of_several_contractions_is_left_as_it_is() -> None:
    """The pipeline puts the first one in the place of the second, twice."""
    assert letter_by_letter("it's what dogs don't say: 'wuff'") == ["it's what dogs don't say: ", *"'wuff'"]


def test_pictures_before_a_text_are_found_by_their_numbers() -> None:
    assert pictures_before("<1><2> red", "<{}>") == "<1><2>"
    assert pictures_before("<1><3> red", "<{}>") == "<1>"
    assert pictures_before("<><> red", "<>") == "<><>"
    assert pictures_before("red <1>", "<{}>") == pictures_before("<1>", "") == ""
