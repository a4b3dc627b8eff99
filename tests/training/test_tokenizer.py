"""The byte-pair tokenizer: CLIP's conventions."""

from __future__ import annotations

from engine.training.recipe import TokenizerRecipe
from engine.training.tokenizer import END, START, load_tokenizer, save_tokenizer, train_tokenizer

PHRASES = ["red apple", "green apple", "an apple, fruit", "flag of france"] * 5


def trained(vocabulary: int = 560):
    return train_tokenizer(PHRASES, TokenizerRecipe(vocabulary=vocabulary, max_length=12))


def test_start_and_end_are_the_two_last_ids_and_the_end_pads():
    tokenizer = trained()
    encoding = tokenizer.encode("apple")
    size = tokenizer.get_vocab_size()
    assert (tokenizer.token_to_id(START), tokenizer.token_to_id(END)) == (size - 2, size - 1)
    assert encoding.tokens == [START, "apple</w>", *[END] * 10]


def test_case_and_spaces_make_no_difference():
    tokenizer = trained()
    assert tokenizer.encode("  Red   APPLE ").ids == tokenizer.encode("red apple").ids


def test_every_text_can_be_encoded_and_long_ones_keep_their_end():
    tokenizer = trained()
    encoding = tokenizer.encode("ünïcode ☃ " * 9)
    assert len(encoding.ids) == 12
    assert encoding.tokens[-1] == END
    assert max(encoding.ids) < tokenizer.get_vocab_size()
    assert tokenizer.encode("☃").ids.count(tokenizer.token_to_id(END)) == 12 - 1 - len("☃".encode())


def test_training_twice_gives_the_same_file(tmp_path):
    save_tokenizer(trained(), tmp_path / "a.json")
    save_tokenizer(trained(), tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert load_tokenizer(tmp_path / "a.json").encode("red apple").ids == trained().encode("red apple").ids


def test_the_vocabulary_is_never_larger_than_asked():
    assert trained(520).get_vocab_size() <= 520
