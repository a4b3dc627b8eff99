"""The page of compatibility names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/compatibility.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and re.search(r"tests/|::|benchmarks/", line)]


def named(row: str) -> list[tuple[str, str]]:
    """(file, function or "") for each test in the last cell of a row; a name without a file is of the file before it."""
    found, file = [], ""
    for part in re.findall(r"(?:tests|benchmarks)/[\w./-]+|::\w+", row.strip("| ").rpartition(" | ")[2]):
        if part.startswith("::"):
            found.append((file, part[2:]))
        else:
            file = part
            found.append((file, ""))
    return found


def test_the_page_has_rows_with_tests():
    assert len(ROWS) > 150


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:60])
def test_every_test_that_a_row_names_is_there(row):
    tests = named(row)
    assert tests, row
    for file, name in tests:
        assert (ROOT / file).exists(), file
        if name:
            assert re.search(rf"def {name}\b", (ROOT / file).read_text()), f"{file}::{name}"
