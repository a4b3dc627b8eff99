"""A tiny data set in the shape of the real packages, and a recipe for it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

SUBJECTS = [
    ("RED APPLE", "apple", "Food & Drink", "food-fruit", ["red_apple", "fruit", "school"], "red", "1F34E"),
    ("GREEN APPLE", "green_apple", "Food & Drink", "food-fruit", ["green_apple", "fruit", "nature"], "green", "1F34F"),
    ("LEMON", "lemon", "Food & Drink", "food-fruit", ["lemon", "fruit", "citrus"], "yellow", "1F34B"),
    ("CAT FACE", "cat", "Animals & Nature", "animal-mammal", ["cat_face", "pet", "meow"], "orange", "1F431"),
    ("DROPLET", "droplet", "Travel & Places", "sky & weather", ["droplet", "water", "drip"], "blue", "1F4A7"),
    (
        "France Flag",
        "flag-fr",
        "Flags",
        "country-flag",
        ["flag_france", "flag", "nation", "french"],
        "navy",
        "1F1EB-1F1F7",
    ),
    ("Peru Flag", "flag-pe", "Flags", "country-flag", ["flag_peru", "flag", "nation"], "crimson", "1F1F5-1F1EA"),
    ("KEYCAP 1", "one", "Symbols", "keycap", ["keycap_1", "number"], "grey", "0031-FE0F-20E3"),
]

RECIPE = """
name = "tiny"
title = "Tiny"
seed = 7
output = "{output}"
licence = "Apache-2.0"
checkpoint_seconds = 0.001
[data]
size = 16
well_known_flags = ["france"]
flag_weight = 0.5
[data.weights]
"keycap" = 0.0
"Food & Drink" = 2.0
[data.typical]
juice = "lemon"
[data.pictures]
name = "pictures"
version = "1.0.0"
integrity = "{pictures}"
licence = "Apache-2.0"
use = "pictures"
[data.keywords]
name = "keywords"
version = "2.0.0"
integrity = "{keywords}"
licence = "MIT"
use = "keywords"
[tokenizer]
vocabulary = 560
max_length = 20
[vae]
latent_channels = 4
widths = [8, 16]
norm_groups = 4
steps = 3
decoder_steps = 2
batch = 4
[text]
width = 16
layers = 1
head_dim = 8
[unet]
widths = [16, 32]
head_dim = 8
norm_groups = 8
[diffusion]
steps = 4
batch = 4
warmup = 1
context_length = 8
long_context_from = 0.5
latents_per_picture = 2
large_from = 0.5
large_share = 0.5
[evaluation]
prompts = "prompts.txt"
steps = 2
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Archives as npm packs them: pictures with metadata, and keywords."""
    folder = tmp_path / "data"
    folder.mkdir()
    entries = [_entry(index, *subject) for index, subject in enumerate(SUBJECTS)]
    entries.append({**entries[0], "unified": "1F34E-1F3FB", "obsoleted_by": "1F34E", "sort_order": 99})
    files = {"emoji.json": json.dumps(entries).encode()}
    for subject in SUBJECTS:
        files[f"img/google/16/{subject[6].lower()}.png"] = _picture(subject[5])
    _pack(folder / "pictures-1.0.0.tgz", files)
    table = {"".join(chr(int(part, 16)) for part in subject[6].split("-")): subject[4] for subject in SUBJECTS}
    _pack(folder / "keywords-2.0.0.tgz", {"dist/emoji-en-US.json": json.dumps(table).encode()})
    return folder


@pytest.fixture
def recipe_path(tmp_path: Path, data_dir: Path) -> Path:
    """A recipe that trains on `data_dir` in about a second."""
    return write_recipe(tmp_path, data_dir, RECIPE)


def write_recipe(folder: Path, data_dir: Path, template: str) -> Path:
    """Fill in a recipe's places and write it with its prompts."""
    (folder / "prompts.txt").write_text("red apple = red apple | green apple\nflag of france\n")
    path = folder / "tiny.toml"
    output = folder / "models" / "tiny.safetensors"
    pictures, keywords = (integrity(data_dir / name) for name in ("pictures-1.0.0.tgz", "keywords-2.0.0.tgz"))
    path.write_text(template.format(output=output, pictures=pictures, keywords=keywords))
    return path


def integrity(path: Path) -> str:
    """The registry's way to state a file's SHA-512."""
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def _entry(order: int, name: str, short: str, category: str, sub: str, _words: list, _colour: str, code: str) -> dict:
    return {
        "name": name,
        "unified": code,
        "image": f"{code.lower()}.png",
        "short_names": [short],
        "category": category,
        "subcategory": sub,
        "sort_order": order,
        "added_in": "1.0",
        "has_img_google": True,
    }


def _picture(colour: str) -> bytes:
    picture = Image.new("RGBA", (16, 16))
    ImageDraw.Draw(picture).ellipse((2, 2, 13, 13), fill=colour)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _pack(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
