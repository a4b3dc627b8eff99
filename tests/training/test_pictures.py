"""Which pictures are used, what they are called, and how captions are drawn."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest

from engine.training.captions import all_phrases, article, caption
from engine.training.fetch import fetch, unpack
from engine.training.pictures import DataError, Picture, load_pictures, on_white, read_metadata, with_bare_words
from engine.training.recipe import load_recipe


@pytest.fixture
def packages(recipe_path, data_dir, tmp_path):
    data = load_recipe(recipe_path).data
    return [
        unpack(fetch(package, tmp_path / "work", data_dir), tmp_path / package.name)
        for package in (data.pictures, data.keywords)
    ]


@pytest.fixture
def pictures(packages, recipe_path):
    return {picture.name: picture for picture in read_metadata(*packages, load_recipe(recipe_path).data)}


def plain(name: str, *keywords: str, aliases: tuple[str, ...] = ()) -> Picture:
    return Picture(
        name=name, file="x.png", category="c", subcategory="s", weight=1.0, aliases=aliases, keywords=keywords
    )


def test_replaced_variants_and_pictures_of_weight_zero_are_left_out(pictures):
    assert list(pictures) == [
        "red apple",
        "green apple",
        "lemon",
        "cat face",
        "droplet",
        "flag of france",
        "flag of peru",
    ]


def test_weights_come_from_category_and_from_how_well_known_a_flag_is(pictures):
    assert pictures["red apple"].weight == 2.0
    assert pictures["cat face"].weight == 1.0
    assert pictures["flag of france"].weight == 1.0
    assert pictures["flag of peru"].weight == 0.5


def test_common_pictures_are_drawn_more_and_recent_ones_less(packages, recipe_path):
    text = recipe_path.read_text().replace(
        "flag_weight", 'common = ["lemon"]\ncommon_weight = 3.0\nrecent_from = 0.9\nrecent_weight = 0.5\nflag_weight'
    )
    recipe_path.write_text(text)
    found = {picture.name: picture.weight for picture in read_metadata(*packages, load_recipe(recipe_path).data)}
    assert found["lemon"] == 2.0 * 3.0 * 0.5
    assert found["cat face"] == 0.5


def test_a_flag_answers_to_its_country_and_its_adjective(pictures):
    assert pictures["flag of france"].aliases == ("france flag", "france", "french flag")


def test_a_bare_word_means_the_typical_picture_only(pictures):
    owners = {word: picture.name for picture in pictures.values() for word in (*picture.words, *picture.aliases)}
    assert owners["apple"] == "red apple"
    assert owners["cat"] == "cat face"
    assert owners["water"] == "droplet"
    assert owners["juice"] == "lemon"
    assert owners["fruit"] == "red apple"


def test_a_word_goes_to_name_before_alias_before_face_before_ending_before_keyword():
    ordered = [
        plain("fruit bowl", "pear"),
        plain("green pear"),
        plain("pear face"),
        plain("avocado", aliases=("pear",)),
        plain("pear"),
    ]
    for count in range(len(ordered), 1, -1):
        owners = {word: p.name for p in with_bare_words(ordered[:count], {}) for word in (*p.words, *p.aliases, p.name)}
        assert owners["pear"] == ordered[count - 1].name


def test_a_typical_name_that_no_picture_has_is_refused():
    with pytest.raises(DataError, match='"star" stands for "big star"'):
        with_bare_words([plain("sun")], {"star": "big star"})


def test_pictures_are_composited_on_white_and_must_have_the_size(packages, pictures):
    folder = packages[0] / "img" / "google" / "16"
    pixels = on_white(load_pictures(folder, pictures.values(), 16))
    assert pixels.shape == (7, 16, 16, 3)
    assert pixels[0, 0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 8, 8].tolist() == [255, 0, 0]
    half = np.array([[[[100, 0, 0, 128]]]], np.uint8)
    assert on_white(half)[0, 0, 0].tolist() == [177, 127, 127]
    with pytest.raises(DataError, match="expected 32×32 pixels, got \\(16, 16\\)"):
        load_pictures(folder, pictures.values(), 32)


def test_a_package_without_metadata_is_an_error_that_names_the_file(tmp_path, recipe_path):
    with pytest.raises(DataError, match=r"emoji\.json: cannot read"):
        read_metadata(tmp_path, tmp_path, load_recipe(recipe_path).data)


def test_captions_are_mostly_the_name_and_a_tenth_are_empty(pictures):
    random = Random(0)
    drawn = Counter(caption(pictures["red apple"], random, 0.1) for _ in range(4000))
    assert 300 < drawn[""] < 500
    assert drawn["red apple"] + drawn["a red apple"] > 2000
    assert 0 < drawn["apple"] < 1000
    assert "red apple, fruit" in drawn
    assert all(text == text.lower() for text in drawn)


def test_no_caption_is_empty_when_none_may_be_and_long_names_lose_a_word(pictures):
    picture = plain("smiling face with red hat")
    random = Random(1)
    drawn = {caption(picture, random, 0.0) for _ in range(500)}
    assert "" not in drawn
    assert {"face red hat", "smiling red hat", "smiling face hat"} <= drawn


def test_the_tokenizer_sees_every_wording(pictures):
    phrases = list(all_phrases(pictures["flag of france"]))
    assert {"flag of france", "france", "french flag"} <= set(phrases)
    assert article("apple") == "an"
    assert article("pear") == "a"
