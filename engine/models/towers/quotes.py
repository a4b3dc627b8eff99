"""Prompts taken apart before they are tokenised: what is in quotes, and pictures that stand before the text. No torch."""

from __future__ import annotations

import re

_APOSTROPHE = "\ufdd0"
"""A noncharacter that stands for an apostrophe within a word, which quotes nothing."""
_WITHIN_WORD = re.compile(r"([a-zA-Z]+)'([a-zA-Z]+)")
_QUOTED = re.compile("('[^']*?'|\"[^\"]*?\"|‘[^‘’]*?’|“[^“”]*?”)")


def letter_by_letter(text: str) -> list[str]:
    """Split a text so that what it has in quotes comes letter by letter, quotes too, and the rest in whole stretches.

    So was LongCat-Image trained, which writes on pictures (its technical report, Meituan 2025). An apostrophe within a word is
    no quote.
    """
    parts = _QUOTED.split(_WITHIN_WORD.sub(rf"\1{_APOSTROPHE}\2", text))
    found: list[str] = []
    for number, part in enumerate(parts):
        plain = part.replace(_APOSTROPHE, "'")
        found += list(plain) if number % 2 else [plain] * bool(plain)
    return found


_WRITTEN = tuple(re.compile(f"{start}(.*?){end}") for start, end in ("''", '""', "‘’", "“”"))


def to_be_written(text: str) -> str:
    """Return what a prompt has in quotes as HunyuanImage's ByT5 reads it, `Text "a". Text "b". `; "" without quotes.

    In the order of the kinds of quotes: single, double, and curved ones of each (Tencent 2025). An apostrophe counts as a quote.
    """
    found = [quoted for pattern in _WRITTEN for quoted in pattern.findall(text)]
    return "".join(f'Text "{quoted}". ' for quoted in found)


def pictures_before(text: str, picture: str) -> str:
    """Return what stands for pictures at the beginning of a text, each as `picture` has it, its number at `{}`; "" for none."""
    length, number = 0, 1
    while picture and text.startswith(one := picture.replace("{}", str(number)), length):
        length, number = length + len(one), number + 1
    return text[:length]
