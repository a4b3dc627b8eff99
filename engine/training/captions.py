"""How a picture is described in training: mostly by its name, sometimes in other words, sometimes not at all."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from engine.training.pictures import STOP_WORDS, Picture

ARTICLE_SHARE = 0.1


def caption(picture: Picture, random: Random, empty_share: float) -> str:
    """Draw a lower-case caption; "" with probability `empty_share`, for classifier-free guidance (Ho & Salimans 2022).

    Otherwise: the name (54 %), another full name (16 %), "name, keyword" (12 %), a bare word that means this picture
    before all others (12 %), or the name with a word left out (6 %); what a picture lacks falls back to its name.
    One in ten starts with an article, as people type.
    """
    if random.random() < empty_share:
        return ""
    text = _phrase(picture, random)
    if random.random() < ARTICLE_SHARE:
        text = f"{article(text)} {text}"
    return text


def all_phrases(picture: Picture) -> Iterator[str]:
    """Every wording of a picture, for the tokenizer to learn from; names come more often than the rest, as in training."""
    for _ in range(4):
        yield picture.name
    yield from picture.aliases
    yield from picture.words
    for keyword in picture.keywords:
        yield f"{article(picture.name)} {picture.name}, {keyword}"


def article(text: str) -> str:
    """Return "an" before a vowel letter, else "a"."""
    return "an" if text[:1] in "aeiou" else "a"


def _phrase(picture: Picture, random: Random) -> str:
    choice = random.random()
    if choice < 0.54:
        return picture.name
    if choice < 0.70:
        return random.choice(picture.aliases) if picture.aliases else picture.name
    if choice < 0.82:
        return f"{picture.name}, {random.choice(picture.keywords)}" if picture.keywords else picture.name
    if choice < 0.94:
        return random.choice(picture.words) if picture.words else picture.name
    return _shortened(picture.name, random)


def _shortened(name: str, random: Random) -> str:
    parts = [part for part in name.split() if part not in STOP_WORDS]
    if len(parts) < 3:
        return name
    parts.pop(random.randrange(len(parts) - 1))
    return " ".join(parts)
