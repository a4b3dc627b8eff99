"""The measure of a trained model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from engine.training.evaluate import Answer, Prompt, check_names, contact_sheet, generate, nearest, read_prompts, score
from engine.training.networks import build_text_encoder, build_unet, build_vae
from engine.training.recipe import RecipeError, load_recipe
from engine.training.tokenizer import train_tokenizer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipe(recipe_path):
    return load_recipe(recipe_path)


@pytest.fixture
def networks(recipe):
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["red apple", "lemon"], recipe.tokenizer)
    text = build_text_encoder(recipe, tokenizer.get_vocab_size()).eval()
    return SimpleNamespace(unet=build_unet(recipe).eval(), vae=build_vae(recipe).eval(), text=text, tokenizer=tokenizer)


def discs() -> torch.Tensor:
    """Four coloured discs on white, (4, 3, 64, 64)."""
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    inside = (x - 32) ** 2 + (y - 32) ** 2 < 600
    colours = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, -1]])
    return torch.where(inside, colours[:, :, None, None], torch.ones(1))


def test_a_shifted_and_noisy_picture_is_still_nearest_to_itself():
    real = discs()
    made = torch.roll(real, (1, -1), (2, 3)) + 0.1 * torch.randn(real.shape, generator=torch.Generator().manual_seed(0))
    assert nearest(made, real).tolist() == [0, 1, 2, 3]


def test_prompts_are_read_with_their_name_groups(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("# fruit\nred apple = red apple | green apple\n\nlemon  # yellow\n")
    assert read_prompts(path) == [Prompt("red apple", ("red apple", "green apple")), Prompt("lemon", ("lemon",))]


def test_a_line_without_a_prompt_and_a_missing_file_are_named(tmp_path):
    (tmp_path / "prompts.txt").write_text("lemon\n= red apple\n")
    with pytest.raises(RecipeError, match="line 2"):
        read_prompts(tmp_path / "prompts.txt")
    with pytest.raises(RecipeError, match=r"no\.txt: cannot read"):
        read_prompts(tmp_path / "no.txt")


def test_a_prompt_for_a_picture_that_is_not_there_is_refused():
    with pytest.raises(RecipeError, match="named unicorn"):
        check_names([Prompt("horse", ("horse", "unicorn"))], ["horse"])


def test_the_bundled_list_has_a_hundred_different_prompts():
    prompts = read_prompts(ROOT / "recipes" / "emoji-64-prompts.txt")
    assert len({prompt.text for prompt in prompts}) == len(prompts) == 100


def test_a_prompt_gives_the_same_picture_among_any_others(networks, recipe):
    whole = generate(networks, ["red apple", "lemon", "lemon"], recipe, 8)
    alone = generate(networks, ["lemon"], recipe, 8)
    assert whole.shape == (3, 3, 16, 16)
    assert torch.equal(whole[1], alone[0])
    assert torch.equal(whole[1], whole[2])
    assert not torch.allclose(whole[0], whole[1])


def test_the_score_counts_accepted_names_and_lists_the_misses(networks, recipe):
    real = torch.rand(3, 3, 16, 16) * 2 - 1
    names = ["red apple", "green apple", "lemon"]
    every = score(networks, [Prompt("red apple", tuple(names))], names, real, recipe, 30.0)[0]
    assert (every.right, every.total, every.misses()) == (1, 1, [])
    found = every.answers[0].nearest
    other = next(name for name in names if name != found)
    none = score(networks, [Prompt("red apple", (other,))], names, real, recipe, 30.0)[0]
    assert (none.right, none.misses()) == (0, [f"red apple: {found}"])


def test_the_contact_sheet_shows_every_picture(tmp_path):
    from PIL import Image

    answers = [Answer(f"prompt {index}", "x", index != 2) for index in range(4)]
    contact_sheet(tmp_path / "sheet.png", discs(), answers, columns=3, scale=1)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (3 * 72, 2 * 86)
        assert sheet.getpixel((4 + 32, 2 + 32)) == (255, 0, 0)
        colours = {colour for _, colour in sheet.crop((144, 66, 216, 86)).getcolors(10_000)}
        assert any(red > 180 and green < 20 for red, green, _ in colours)
