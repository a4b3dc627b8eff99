"""The page of models names tests that are there, and the families that there are; so does the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.models.families import families

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.partition("| family |")[2].partition("\n\n")[0].splitlines()[2:]
]
OF_ROWS = {
    "FLUX.1": "FLUX.1 dev, schnell, Kontext",
    "FLUX.2 dev": "FLUX.2 dev, klein 4B and 9B",
    "FLUX.2 klein 4B": "FLUX.2 dev, klein 4B and 9B",
    "FLUX.2 klein 9B": "FLUX.2 dev, klein 4B and 9B",
    "HiDream": "HiDream-I1 full, dev, fast; E1, E1.1",
    "Lotus": "Lotus-D",
    "JoyImage Edit": "JoyAI-Image-Edit, Edit Plus",
    "Kandinsky 5 Image": "Kandinsky 5 for pictures",
    "Stable Cascade stage B": "Stable Cascade, stages A, B, C",
    "Stable Cascade stage C": "Stable Cascade, stages A, B, C",
}
"""Titles of pages that a row calls otherwise."""


def name(row: list[str]) -> str:
    return row[0].removesuffix("¹").strip()


def test_every_test_that_the_page_names_is_there():
    linked = [(ROOT / "docs" / target).resolve() for target in re.findall(r"\]\((\.\./tests/[^)]+)\)", PAGE)]
    written = [ROOT / path for path in re.findall(r"`((?:tests|findings|benchmarks)/[\w./]+)`", PAGE)]
    assert len(linked) > 50
    assert [path.name for path in (*linked, *written) if not path.exists()] == []
    found = {path.name for path in (ROOT / "tests").rglob("*.py")}
    assert [one for one in re.findall(r"`(test_\w+\.py)`", PAGE) if one not in found] == []


def test_every_row_tells_what_it_was_compared_with():
    assert len(ROWS) > 30
    assert [name(row) for row in ROWS if len(row) != 5 or not all(row) or "](" not in row[3] + row[4]] == []


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_every_family_has_a_row(family):
    title = family.title.replace(".x", "")
    wanted = OF_ROWS.get(title, title)
    assert any(name(row) == wanted or name(row).startswith((f"{wanted} ", f"{wanted},")) for row in ROWS), title


def test_the_readme_names_what_the_rows_do():
    told = README[README.index("Image models of") : README.index("with LoRAs")]
    words = {word for row in ROWS for word in re.findall(r"[\w.-]+", name(row).partition(",")[0]) if word[0].isupper()}
    assert len(words) > 20
    assert sorted(word for word in words if word not in told) == []
