"""Where a tokenizer is looked for, in which order, and what is said when there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.models.checkpoints import load_tensors, read_header
from engine.models.errors import TokenizerError
from engine.models.manager import ModelManager
from tests.models.pieces import NORMAL, UNKNOWN, model

TEXTS = "text_encoders"


@pytest.fixture
def checkpoint(tiny_sd: Any) -> Path:
    path: Path = tiny_sd.file("checkpoints", "tiny.safetensors")
    return path


@pytest.fixture
def rows(checkpoint: Path) -> int:
    """The length of the encoder's table of tokens."""
    clip = ModelManager().checkpoint(checkpoint).clip
    assert clip is not None
    return int(clip.config["vocab_size"])


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Folders in which a tokenizer is looked for, all of them empty."""
    found = {
        "any": tmp_path / TEXTS / "some",
        "kind": tmp_path / TEXTS / "clip",
        "fetched": tmp_path / "fetched" / "clip",
    }
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    found["hub"] = tmp_path / "hub" / "models--openai--clip-vit-large-patch14" / "snapshots" / "abc"
    return found


def words(rows: int, red: int) -> str:
    """A tokenizer.json of `rows` tokens, of which `red` is the word red: it tells by its ids which one was taken."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {"red" if number == red else f"w{number}": number for number in range(rows - 2)}
    vocabulary |= {"<|startoftext|>": rows - 2, "<|endoftext|>": rows - 1}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<|endoftext|>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return str(made.to_str())


def written(checkpoint: Path, folder: Path, tensors: dict[str, bytes], **metadata: str) -> Path:
    """The same model, with other metadata and with tensors of bytes."""
    told = {name: value for name, value in read_header(checkpoint).metadata.items() if name != "safelight.tokenizer"}
    held = {name: value.clone() for name, value in load_tensors(checkpoint).items()}
    held |= {name: torch.frombuffer(bytearray(data), dtype=torch.uint8) for name, data in tensors.items()}
    path = folder / "bare.safetensors"
    save_file(held, path, told | metadata)
    return path


def put(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(text)


def red_in(path: Path, base: Path) -> list[int]:
    """What the tokenizer that is found makes of the word red."""
    manager = ModelManager(tokenizer_dirs=[base / TEXTS], fetched_tokenizers=base / "fetched")
    clip = manager.checkpoint(path).clip
    assert clip is not None
    with manager.use(clip) as encoder:
        ids: list[int] = encoder.tokenizer.ids("red")
        return ids


def test_one_place_comes_after_the_other(checkpoint: Path, rows: int, places: dict[str, Path], tmp_path: Path) -> None:
    """From the last to the first: each that is added is taken from then on."""
    bare = written(checkpoint, tmp_path, {})
    for number, place in enumerate(("hub", "fetched", "any", "kind")):
        put(places[place], words(rows, number))
        assert red_in(bare, tmp_path) == [number]
    put(tmp_path, words(rows, 6))  # beside the weights
    assert red_in(bare, tmp_path) == [6]
    told = {"safelight.tokenizer": words(rows, 7)}
    assert red_in(written(checkpoint, tmp_path, {}, **told), tmp_path) == [7]
    carried = {"tokenizer_json": words(rows, 8).encode()}
    assert red_in(written(checkpoint, tmp_path, carried, **told), tmp_path) == [8]


@pytest.mark.parametrize("level", ["", "cond_stage_model.", "cond_stage_model.transformer."])
def test_a_model_of_pieces_is_read_from_the_weights(
    checkpoint: Path, rows: int, places: dict[str, Path], tmp_path: Path, level: str
) -> None:
    pieces = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, NORMAL), ("</s>", 0.0, NORMAL), ("\u2581red", -1.0, NORMAL)]
    pieces += [(f"w{number}", -9.0, NORMAL) for number in range(rows - 4)]
    path = written(checkpoint, tmp_path, {f"{level}spiece_model": model(pieces, {3: 1}, {})})
    assert red_in(path, tmp_path) == [3]


def test_what_lies_above_the_encoder_and_is_of_another_is_passed_over(
    checkpoint: Path, rows: int, places: dict[str, Path], tmp_path: Path
) -> None:
    other = words(rows * 9, 5).encode()
    put(places["fetched"], words(rows, 1))
    assert red_in(written(checkpoint, tmp_path, {"tokenizer_json": other}), tmp_path) == [1]
    path = written(checkpoint, tmp_path, {"cond_stage_model.transformer.tokenizer_json": other})
    with pytest.raises(
        TokenizerError, match=rf"tensor cond_stage_model.*has {rows * 9} tokens, but its text encoder knows {rows}"
    ):
        red_in(path, tmp_path)


@pytest.mark.parametrize("place", ["any", "kind", "fetched", "hub"])
def test_one_that_does_not_fit_is_not_taken(
    checkpoint: Path, rows: int, places: dict[str, Path], tmp_path: Path, place: str
) -> None:
    put(places[place], words(rows + 1, 1))
    with pytest.raises(TokenizerError, match=f"no tokenizer with {rows} tokens found for its text encoder clip_l"):
        red_in(written(checkpoint, tmp_path, {}), tmp_path)


@pytest.mark.parametrize("place", ["kind", "fetched"])
def test_a_damaged_file_is_named(checkpoint: Path, places: dict[str, Path], tmp_path: Path, place: str) -> None:
    places[place].mkdir(parents=True)
    (places[place] / "tokenizer.json.gz").write_bytes(b"\x1f\x8b\x08 and then it ended")
    with pytest.raises(TokenizerError, match=r"clip.tokenizer\.json\.gz: cannot be read.*again"):
        red_in(written(checkpoint, tmp_path, {}), tmp_path)


def test_the_message_says_where_it_was_looked_for_and_what_to_do(
    checkpoint: Path, places: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(TokenizerError) as told:
        red_in(written(checkpoint, tmp_path, {}), tmp_path)
    said = str(told.value)
    for part in (
        "Run `safelight tokenizers fetch`",
        f"tokenizer.json of openai/clip-vit-large-patch14 at {tmp_path / TEXTS}/clip/tokenizer.json",
        "tensors spiece_model, tekken_model, tokenizer_json and metadata safelight.tokenizer",
        f"what was fetched into {tmp_path / 'fetched'} (clip)",
        f"the hub's cache in {tmp_path / 'hub'}",
    ):
        assert part in said


def test_clips_own_files_in_a_folder_are_read(
    checkpoint: Path, tiny_sd: Any, places: dict[str, Path], tmp_path: Path
) -> None:
    places["kind"].mkdir(parents=True)
    for file in tiny_sd.tokenizer_files:
        (places["kind"] / file.name).write_bytes(file.read_bytes())
    assert red_in(written(checkpoint, tmp_path, {}), tmp_path) == red_in(checkpoint, tmp_path)


def test_a_damaged_tokenizer_in_the_metadata_is_an_error_that_names_the_file(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    metadata = read_header(checkpoint).metadata | {"safelight.tokenizer": json.dumps({"version": "1.0"})}
    save_file({name: value.clone() for name, value in load_tensors(checkpoint).items()}, path, metadata)
    manager = ModelManager()
    with (
        pytest.raises(TokenizerError, match=r"damaged\.safetensors.*not a tokenizer\.json"),
        manager.use(manager.checkpoint(path).clip),
    ):
        pass
