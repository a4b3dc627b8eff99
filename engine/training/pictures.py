"""From the unpacked packages to a data set: which pictures, under which names, how often drawn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from engine.training.recipe import DataRecipe


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One picture of the data set.

    `name` is what people call it ("red apple"), unique in the set; `aliases` are other full names; `keywords` are words
    that it shares with others; `words` are bare words that mean this picture before all others.
    """

    name: str
    file: str
    category: str
    subcategory: str
    weight: float
    aliases: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def is_flag(self) -> bool:
        """Whether this is the flag of a country or region, "flag of france"."""
        return self.subcategory in {"country-flag", "subdivision-flag"}


class DataError(ValueError):
    """The packages do not hold what the recipe expects."""


def read_metadata(package: Path, keyword_package: Path, recipe: DataRecipe) -> list[Picture]:
    """Choose and name the pictures of an emoji package.

    Left out: skin-tone variants (they are nested in the metadata), entries that another replaces, gendered variants of
    a picture that exists without, right-facing twins, and whatever the recipe weighs 0.
    Raises DataError if the packages lack their metadata files.
    """
    entries = _read_json(package / "emoji.json")
    keywords = _read_json(keyword_package / "dist" / "emoji-en-US.json")
    kept = [entry for entry in entries if not _is_variant(entry)]
    pictures: dict[str, Picture] = {}
    for entry in sorted(kept, key=lambda entry: int(entry["sort_order"])):
        picture = _picture(entry, _keywords(entry, keywords), recipe)
        if picture.weight > 0:
            pictures.setdefault(picture.name, picture)
    return with_bare_words(list(pictures.values()), recipe.typical)


def load_pictures(folder: Path, pictures: Iterable[Picture], size: int) -> np.ndarray:
    """Read the files: uint8 (N, size, size, 4), RGB with straight alpha.

    Raises DataError for a picture of another size.
    """
    out = []
    for picture in pictures:
        with Image.open(folder / picture.file) as file:
            if file.size != (size, size):
                raise DataError(f"{folder / picture.file}: expected {size}×{size} pixels, got {file.size}.")
            out.append(np.asarray(file.convert("RGBA")))
    return np.stack(out)


def on_white(pixels: np.ndarray) -> np.ndarray:
    """Composite uint8 RGBA (N, H, W, 4) on white: uint8 RGB (N, H, W, 3)."""
    alpha = pixels[..., 3:].astype(np.float32) / 255
    return (pixels[..., :3] * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8)


def with_bare_words(pictures: list[Picture], typical: dict[str, str]) -> list[Picture]:
    """Give every keyword and name word to the one picture it most likely means when typed alone.

    In this order: the recipe's `typical`; the picture named so; another of its full names; "… face"; the shortest name
    that ends in it ("red apple" for "apple"); the shortest name that holds it; a picture that lists it early among its
    keywords. Ties go to the earlier picture. A full name that means another picture is taken from this one's aliases.
    """
    owners: dict[str, tuple[tuple[int, ...], int]] = {}
    for index, picture in enumerate(pictures):
        for word in _claimed(picture):
            claim = (*_claim(word, picture), index)
            if word not in owners or claim < owners[word][0]:
                owners[word] = (claim, index)
    by_name = {picture.name: index for index, picture in enumerate(pictures)}
    for word, name in typical.items():
        if name not in by_name:
            raise DataError(f'data.typical: "{word}" stands for "{name}", which is no picture of the set.')
        owners[word] = ((0,), by_name[name])
    words: list[list[str]] = [[] for _ in pictures]
    for word, (_, index) in sorted(owners.items()):
        if len(word) > 1 and word not in STOP_WORDS and word not in by_name and word not in pictures[index].aliases:
            words[index].append(word)
    return [
        msgspec.structs.replace(
            picture,
            words=tuple(words[index]),
            aliases=tuple(alias for alias in picture.aliases if owners[alias][1] == index and alias not in by_name),
        )
        for index, picture in enumerate(pictures)
    ]


STOP_WORDS = frozenset(
    {
        "a",
        "an",
        "and",
        "at",
        "by",
        "for",
        "in",
        "new",
        "no",
        "not",
        "of",
        "on",
        "or",
        "out",
        "over",
        "the",
        "to",
        "up",
        "very",
        "with",
    }
)


def _claimed(picture: Picture) -> set[str]:
    """The words a picture may mean; a flag claims whole names only, not "of" or the words of a country's name."""
    parts = () if picture.is_flag else picture.name.split()
    return {*picture.keywords, *parts, *picture.aliases}


def _claim(word: str, picture: Picture) -> tuple[int, int]:
    name = picture.name
    parts = name.split()
    if word == name:
        return (1, 0)
    if word in picture.aliases:
        return (2, len(parts))
    if name in {f"{word} face", f"face {word}"}:
        return (3, 0)
    if parts[-1] == word:
        return (4, len(parts))
    if word in parts:
        return (5, len(parts))
    return (6, picture.keywords.index(word) if word in picture.keywords else 99)


def _picture(entry: dict[str, Any], keywords: list[str], recipe: DataRecipe) -> Picture:
    flag = entry["subcategory"] in {"country-flag", "subdivision-flag"}
    official = _plain(entry["name"])
    names = [_plain(keywords[0])] if keywords else []
    names += [official, *(_plain(name) for name in entry["short_names"])]
    if flag:
        names = _flag_names(official.removesuffix(" flag"), keywords)
    names = list(dict.fromkeys(name for name in names if len(name) > 1))
    shared = [word for word in map(_plain, keywords[1:]) if re.fullmatch(r"[a-z][a-z' ]+", word)]
    weight = recipe.weights.get(entry["subcategory"], recipe.weights.get(entry["category"], 1.0))
    if flag and names[0].removeprefix("flag of ") not in recipe.well_known_flags:
        weight *= recipe.flag_weight
    if names[0] in recipe.common:
        weight *= recipe.common_weight
    if float(entry["added_in"]) >= recipe.recent_from:
        weight *= recipe.recent_weight
    return Picture(
        name=names[0],
        file=entry["image"],
        category=entry["category"],
        subcategory=entry["subcategory"],
        weight=weight,
        aliases=tuple(names[1:]),
        keywords=() if flag else tuple(dict.fromkeys(shared)),
    )


FLAG_WORDS = frozenset(
    {"banner", "country", "flag", "indicator", "island", "islands", "letters", "nation", "regional", "symbol"}
)


def _flag_names(place: str, keywords: list[str]) -> list[str]:
    """ "flag of france", "france flag", "france", and "french flag" where the keywords hold an adjective."""
    known = FLAG_WORDS | set(place.split())
    others = [word for word in map(_plain, keywords[1:]) if len(word) > 3 and word not in known and word.isalpha()]
    return [f"flag of {place}", f"{place} flag", place, *(f"{word} flag" for word in others)]


def _is_variant(entry: dict[str, Any]) -> bool:
    code: str = entry["unified"]
    if entry.get("obsoleted_by") or entry["category"] == "Component" or not entry["has_img_google"]:
        return True
    if entry["category"] == "People & Body" and entry["subcategory"] != "family":
        gendered_role = code.startswith(("1F468-200D-", "1F469-200D-"))
        return gendered_role or code.endswith(("-200D-2640-FE0F", "-200D-2642-FE0F", "-200D-27A1-FE0F"))
    return False


def _plain(name: str) -> str:
    """Lower case, single spaces, no underscores: how the caption spells it."""
    name = re.sub(r"[_\-–:.,()“”\"!?*]+", " ", name.lower().replace("’", "'").replace("&", "and"))
    name = name.replace(" s ", "'s ").replace("'", "")
    return " ".join(name.split())


def _keywords(entry: dict[str, Any], table: dict[str, list[str]]) -> list[str]:
    text = "".join(chr(int(part, 16)) for part in entry["unified"].split("-"))
    bare = text.replace("\ufe0f", "")
    return table.get(text) or table.get(bare) or table.get(bare + "\ufe0f") or []


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot read the package's metadata: {error}.") from error
