"""Tokens, rows, weights, embeddings, and where tokenizers come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import save_file

from engine.models.errors import CheckpointError, EmbeddingError, ModelError
from engine.models.manager import ModelManager
from engine.models.text import TextEncoder, read_embedding


@pytest.fixture
def checkpoint(tiny_sd: Any) -> Path:
    return tiny_sd.file("checkpoints", "tiny.safetensors")


@pytest.fixture
def encoder(checkpoint: Path, tmp_path: Path) -> TextEncoder:
    (tmp_path / "embeddings" / "sub").mkdir(parents=True)
    manager = ModelManager(embedding_dirs=[tmp_path / "embeddings"])
    with manager.use(manager.checkpoint(checkpoint).clip) as live:
        return live


def ids(rows: list[list[Any]]) -> list[list[int]]:
    return [[token.value for token in row] for row in rows]


def content(encoder: TextEncoder, row: list[Any]) -> list[int]:
    """The ids between start and the first end."""
    values = [token.value for token in row]
    ends = (i for i, value in enumerate(values) if isinstance(value, int) and value == encoder.tokenizer.end)
    return values[1 : next(ends)]


def test_a_row_is_start_text_end_and_padding(encoder: TextEncoder) -> None:
    (row,) = encoder.tokenize("red apple")
    start, end = encoder.tokenizer.start, encoder.tokenizer.end
    red, apple = encoder.tokenizer.ids("red apple")
    assert ids([row])[0] == [start, red, apple, end] + [end] * 73
    assert content(encoder, encoder.tokenize("")[0]) == []


def test_pooled_is_the_last_layers_output_at_the_first_end(encoder: TextEncoder) -> None:
    tokens = torch.tensor(ids(encoder.tokenize("red apple")))
    with torch.no_grad():
        last = encoder.module(input_ids=tokens).last_hidden_state
    encoded = encoder.encode("red apple")
    pooled = encoded.pooled
    assert torch.allclose(pooled, last[:, 3], atol=1e-5)
    assert not torch.allclose(pooled, last[:, -1], atol=1e-3)


def test_a_row_is_filled_up_with_the_pad_where_there_is_one(checkpoint: Path) -> None:
    manager = ModelManager()
    clip = manager.checkpoint(checkpoint).clip
    padded = msgspec.structs.replace(clip, tokens=msgspec.structs.replace(clip.tokens, pad=0))
    with manager.use(padded) as encoder:
        (row,) = encoder.tokenize("red")
    assert ids([row])[0][2:] == [encoder.tokenizer.end, *[0] * 74]


def test_a_prompt_longer_than_a_row_becomes_rows_laid_end_to_end(encoder: TextEncoder) -> None:
    rows = encoder.tokenize("red " * 100)
    assert [len(content(encoder, row)) for row in rows] == [75, 25]
    encoded = encoder.encode("red " * 100)
    context, pooled = encoded.context, encoded.pooled
    assert context.shape == (1, 154, 32)
    assert torch.allclose(context[:, :77], encoder.encode("red " * 75).context, atol=1e-5)
    assert torch.allclose(context[:, 77:], encoder.encode("red " * 25).context, atol=1e-5)
    assert torch.allclose(pooled, encoder.encode("red " * 75).pooled, atol=1e-5)


def test_an_unweighted_prompt_is_simply_cut_even_in_the_middle_of_a_word(encoder: TextEncoder) -> None:
    pieces = encoder.tokenizer.ids("xyz")
    assert len(pieces) == 3
    first, second = (content(encoder, row) for row in encoder.tokenize("red " * 74 + "xyz"))
    assert (len(first), first[-1]) == (75, pieces[0])
    assert second == pieces[1:]


@pytest.mark.parametrize(("letters", "kept"), [(7, 74), (8, 75)])
def test_a_piece_of_seven_tokens_moves_to_the_next_row_and_one_of_eight_is_cut(
    encoder: TextEncoder, letters: int, kept: int
) -> None:
    word = "x" * letters
    assert len(encoder.tokenizer.ids(word)) == letters
    rows = encoder.tokenize("red " * 74 + f"({word})")
    assert [len(content(encoder, row)) for row in rows] == [kept, 74 + letters - kept]
    assert [len(content(encoder, row)) for row in encoder.tokenize("red " * 75 + f"({word})")] == [75, letters]


def test_what_a_piece_is_follows_the_groups_not_the_words(encoder: TextEncoder) -> None:
    rows = encoder.tokenize("red " * 74 + "(x y:1)")
    assert [len(content(encoder, row)) for row in rows] == [74, 2]
    rows = encoder.tokenize("red " * 74 + "x y")
    assert [len(content(encoder, row)) for row in rows] == [75, 1]


def test_neighbours_of_equal_weight_are_tokenised_apart(encoder: TextEncoder) -> None:
    of = encoder.tokenizer.ids
    assert content(encoder, encoder.tokenize("cat(dog:1)s")[0]) == [*of("cat"), *of("dog"), *of("s")]
    assert content(encoder, encoder.tokenize("(red)(apple)")[0]) == [*of("red"), *of("apple")]
    assert of("redapple") != [*of("red"), *of("apple")]


def test_a_prompt_that_fills_its_row_exactly_stays_one_row(encoder: TextEncoder) -> None:
    assert len(encoder.tokenize("red " * 75)) == 1


def test_weights_move_tokens_away_from_the_empty_prompt(encoder: TextEncoder) -> None:
    plain, empty = encoder.encode("red apple on tree").context, encoder.encode("").context
    weighted, pooled = (
        encoder.encode("red (apple:1.5) on tree").context,
        encoder.encode("red (apple:1.5) on tree").pooled,
    )
    expected = plain.clone()
    expected[:, 2] = (plain[:, 2] - empty[:, 2]) * 1.5 + empty[:, 2]
    assert torch.allclose(weighted, expected, atol=1e-5)
    assert (weighted - plain).abs().max() > 1e-3
    assert torch.allclose(pooled, encoder.encode("red apple on tree").pooled, atol=1e-5)


def test_weight_one_is_no_weight(encoder: TextEncoder) -> None:
    assert torch.equal(encoder.encode("red (apple:1.0)").context, encoder.encode("red apple").context)


def test_weights_apply_to_every_row_of_a_long_prompt(encoder: TextEncoder) -> None:
    context = encoder.encode("red " * 80 + "(apple:2)").context
    plain, empty = encoder.encode("red " * 80 + "apple").context, encoder.encode("").context
    place = 77 + 1 + 5
    expected = (plain[:, place] - empty[:, 6]) * 2 + empty[:, 6]
    assert torch.allclose(context[:, place], expected, atol=1e-5)
    assert torch.allclose(context[:, :place], plain[:, :place], atol=1e-5)


LAYOUTS = {
    "emb_params": lambda v: ({"emb_params": v}, "safetensors"),
    "token name": lambda v: ({"<mine>": v}, "safetensors"),
    "two encoders": lambda v: ({"clip_g": torch.randn(2, 48), "clip_l": v}, "safetensors"),
    "string_to_param": lambda v: (
        {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.nn.Parameter(v)}, "name": "mine", "step": 5}, "pt"
    ),
    "pickled token name": lambda v: ({"<mine>": v}, "bin"),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_embeddings_vectors_stand_in_the_token_stream(encoder: TextEncoder, tmp_path: Path, layout: str) -> None:
    table = encoder._embeddings().weight
    red, apple = encoder.tokenizer.ids("red apple")
    vectors = table[[red, apple]].clone()
    tensors, suffix = LAYOUTS[layout](vectors)
    path = tmp_path / "embeddings" / f"mine.{suffix}"
    if suffix == "safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    expected = encoder.encode("a red apple, tree")
    got = encoder.encode("a embedding:mine, tree")
    assert torch.allclose(got.context, expected.context, atol=1e-5)
    assert torch.allclose(got.pooled, expected.pooled, atol=1e-5)
    assert torch.allclose(
        encoder.encode("(embedding:mine:1.4) tree").context, encoder.encode("(red apple:1.4) tree").context, atol=1e-5
    )


@pytest.mark.parametrize("name", ["sub/one", "sub\\one", "sub/one.safetensors", "./sub/../sub/one"])
def test_an_embedding_of_one_vector_and_in_a_subfolder_works(encoder: TextEncoder, tmp_path: Path, name: str) -> None:
    red = encoder._embeddings().weight[encoder.tokenizer.ids("red")[0]]
    save_file({"emb_params": red.clone()}, tmp_path / "embeddings" / "sub" / "one.safetensors")
    assert torch.allclose(encoder.encode(f"embedding:{name}").context, encoder.encode("red").context, atol=1e-5)


@pytest.mark.parametrize(
    "prompt",
    ["a embedding:mine tree", "a embedding:mine, tree", "a (embedding:mine) tree", "a\nembedding:mine\ntree",
     "a embedding:mine) tree", r"a embedding:mine\(tree\)", "embedding:mine embedding:mine"],
)  # fmt: skip
def test_the_name_of_an_embedding_ends_where_words_do(encoder: TextEncoder, tmp_path: Path, prompt: str) -> None:
    save_file({"emb_params": torch.full((2, 32), 0.5)}, tmp_path / "embeddings" / "mine.safetensors")
    warned: list[str] = []
    (row,) = encoder.tokenize(prompt, warned.append)
    vectors = [token.value for token in row if isinstance(token.value, torch.Tensor)]
    assert len(vectors) == 2 * prompt.count("embedding:")
    assert all(vector.eq(0.5).all() for vector in vectors)
    text = prompt.replace("embedding:mine", "")
    kept = [token.value for token in row if isinstance(token.value, int)]
    plain = ids(encoder.tokenize(text))[0]
    assert kept[: kept.index(encoder.tokenizer.end)] == plain[: plain.index(encoder.tokenizer.end)]
    assert warned == []


def test_a_file_whose_name_holds_a_comma_is_found_by_it(encoder: TextEncoder, tmp_path: Path) -> None:
    save_file({"emb_params": torch.full((1, 32), 0.5)}, tmp_path / "embeddings" / "a,b(c).safetensors")
    (row,) = encoder.tokenize(r"embedding:a,b\(c\)")
    assert isinstance(row[1].value, torch.Tensor)
    assert row[2].value == encoder.tokenizer.end


@pytest.mark.parametrize(("vectors", "kept"), [(7, 70), (8, 75)])
def test_the_vectors_of_an_embedding_go_over_rows_as_a_piece_does(
    encoder: TextEncoder, tmp_path: Path, vectors: int, kept: int
) -> None:
    save_file({"emb_params": torch.randn(vectors, 32)}, tmp_path / "embeddings" / "many.safetensors")
    rows = encoder.tokenize("red " * 70 + "embedding:many")
    assert [len(content(encoder, row)) for row in rows] == [kept, 70 + vectors - kept]
    assert encoder.encode("red " * 70 + "embedding:many").context.shape == (1, 154, 32)


def test_an_unknown_embedding_warns_with_the_nearest_names_and_is_left_out(
    encoder: TextEncoder, tmp_path: Path
) -> None:
    save_file({"emb_params": torch.zeros(1, 32)}, tmp_path / "embeddings" / "easynegative.safetensors")
    warned: list[str] = []
    rows = encoder.tokenize("red embedding:easynegativ, (embedding:other:1.2) apple", warned.append)
    without = encoder.tokenize("red , apple")
    assert ids(rows) == ids(without)
    assert [text.partition(".")[0] for text in warned] == [
        "prompt: there is no embedding 'easynegativ', so it is left out",
        "prompt: there is no embedding 'other', so it is left out",
    ]
    assert "Nearest: easynegative." in warned[0]


@pytest.mark.parametrize("name", ["../secret", "..\\secret", "/etc/secret", "sub/../../secret", "x" * 5000, "a\0b"])
def test_an_embedding_outside_the_folder_is_not_found(encoder: TextEncoder, tmp_path: Path, name: str) -> None:
    save_file({"emb_params": torch.zeros(1, 32)}, tmp_path / "secret.safetensors")
    name = name.replace("/etc", str(tmp_path))
    warned: list[str] = []
    assert ids(encoder.tokenize(f"embedding:{name}", warned.append)) == ids(encoder.tokenize(""))
    assert "there is no embedding" in warned[0]


def test_an_embedding_may_be_a_link_to_a_file_elsewhere(encoder: TextEncoder, tmp_path: Path) -> None:
    save_file({"emb_params": torch.full((1, 32), 0.5)}, tmp_path / "elsewhere.safetensors")
    (tmp_path / "embeddings" / "linked.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    assert isinstance(encoder.tokenize("embedding:linked")[0][1].value, torch.Tensor)


def test_an_embedding_of_another_width_warns_and_is_left_out(encoder: TextEncoder, tmp_path: Path) -> None:
    save_file({"emb_params": torch.zeros(3, 768)}, tmp_path / "embeddings" / "big.safetensors")
    warned: list[str] = []
    assert ids(encoder.tokenize("embedding:big red", warned.append)) == ids(encoder.tokenize("red"))
    assert "embedding:big is left out" in warned[0]
    assert "expected vectors of width 32" in warned[0]


def test_a_damaged_embedding_is_an_error_that_names_its_file(encoder: TextEncoder, tmp_path: Path) -> None:
    (tmp_path / "embeddings" / "bad.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(CheckpointError, match=r"bad\.safetensors"):
        encoder.tokenize("embedding:bad")


def test_of_two_towers_vectors_of_one_width_the_first_towers_are_taken(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1, 32), "clip_l": torch.ones(2, 32)}, tmp_path / "both.safetensors")
    assert torch.equal(read_embedding(tmp_path / "both.safetensors", 32), torch.ones(2, 32))


def test_an_embedding_of_another_width_is_refused_with_both_widths(tmp_path: Path) -> None:
    save_file({"emb_params": torch.zeros(3, 768)}, tmp_path / "big.safetensors")
    with pytest.raises(EmbeddingError, match=r"width 32.*got \[3, 768\]"):
        read_embedding(tmp_path / "big.safetensors", 32)


def test_stopping_at_an_earlier_layer_changes_the_conditioning_but_not_pooled(checkpoint: Path) -> None:
    manager = ModelManager()
    clip = manager.checkpoint(checkpoint).clip
    with manager.use(clip) as last, manager.use(clip.with_last_layer(-2)) as earlier:
        assert not torch.allclose(last.encode("red").context, earlier.encode("red").context, atol=1e-2)
        assert torch.equal(last.encode("red").pooled, earlier.encode("red").pooled)
        with (
            pytest.raises(ModelError, match="has 2 layers, so it cannot stop at layer -3"),
            manager.use(clip.with_last_layer(-3)) as none,
        ):
            none.encode("red")


def test_a_tower_whose_file_leaves_out_its_last_layer_counts_as_if_it_were_there(checkpoint: Path) -> None:
    import msgspec

    manager = ModelManager()
    clip = manager.checkpoint(checkpoint).clip
    cut = msgspec.structs.replace(clip, cut_layers=1, stop_at=-2)
    with manager.use(clip) as whole, manager.use(cut) as shorter, manager.use(cut.with_last_layer(-3)) as earlier:
        assert torch.equal(shorter.encode("red").context, whole.encode("red").context)
        assert not torch.allclose(earlier.encode("red").context, whole.encode("red").context, atol=1e-2)


# --- tokenizers -----------------------------------------------------------------------------------------------------


def test_clips_vocabulary_files_are_read_as_transformers_reads_them(tiny_sd: Any) -> None:
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    from engine.models.tokenizer import JsonTokenizer
    from engine.models.tokenizer_files import read_file

    vocabulary, merges = tiny_sd.tokenizer_files
    theirs = CLIPTokenizer.from_pretrained(vocabulary.parent)
    ours = JsonTokenizer(read_file(vocabulary), "here")
    for text in (
        "a red Apple, on the moon!",
        "it's  two\ttabs",
        "x1y22 ... cat's",
        "&amp; cat &lt;3",
        "<|endoftext|> cat<|startoftext|>dog",
        "<|ENDOFTEXT|>",
        "  ",
        "",
    ):
        assert ours.ids(text) == theirs(text, add_special_tokens=False)["input_ids"]
    assert merges.exists()


def test_html_is_neither_unescaped_nor_is_text_repaired(encoder: TextEncoder) -> None:
    of = encoder.tokenizer.ids
    assert content(encoder, encoder.tokenize("&amp; cat")[0]) == [*of("&"), *of("amp"), *of(";"), *of("cat")]
