"""What a recipe refuses, and how it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.training.recipe import RecipeError, load_recipe, recipe_digest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 7", "seed = 'seven'", "Expected `int`, got `str` - at `\\$.seed`"),
        ("seed = 7", "seed = 7\nsede = 8", "unknown field `sede`"),
        ('title = "Tiny"', "", "missing required field `title`"),
        ("batch = 4", "batch = 0", "Expected `int` >= 1"),
        ('integrity = "sha512-', 'integrity = "md5-', "matching regex"),
        ("seed = 7", "seed = ", "not valid TOML"),
        ("norm_groups = 8", "norm_groups = 5", "unet.widths has 16, which unet.norm_groups = 5 does not divide"),
        ("head_dim = 8\n[unet]", "head_dim = 3\n[unet]", "text.width has 16, which text.head_dim = 3"),
        ("size = 16", "size = 18", "data.size = 18 must be a multiple of 4"),
        ("context_length = 8", "context_length = 21", "context_length = 21 exceeds tokenizer.max_length = 20"),
    ],
)
def test_a_recipe_with_a_mistake_names_the_file_the_place_and_what_was_expected(recipe_path, old, new, message):
    text = recipe_path.read_text()
    assert old in text
    recipe_path.write_text(text.replace(old, new, 1))
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(recipe_path)
    assert str(recipe_path) in str(caught.value)


def test_a_recipe_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(RecipeError, match=r"no\.toml: cannot read the recipe"):
        load_recipe(tmp_path / "no.toml")


def test_the_digest_changes_with_any_byte_of_the_recipe(recipe_path):
    before = recipe_digest(recipe_path)
    recipe_path.write_text(recipe_path.read_text() + "\n")
    assert recipe_digest(recipe_path) != before


def test_the_bundled_recipe_is_valid_and_names_pinned_packages():
    recipe = load_recipe(ROOT / "recipes" / "emoji-64.toml")
    assert recipe.diffusion.parameterization.prediction == "v"
    assert recipe.data.pictures.file_name == "emoji-datasource-google-16.0.0.tgz"
