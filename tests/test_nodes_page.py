"""docs/nodes.md is what its command prints, and what it calls absent is not there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from engine.cli.nodes_page import page, reasons

PAGE = Path(__file__).parent.parent / "docs" / "nodes.md"


def test_the_page_is_what_the_nodes_and_the_reasons_say(builtin_catalogue: Any) -> None:
    made = page(builtin_catalogue, reasons())
    assert PAGE.read_text(encoding="utf-8") == made, "python -m engine.cli.nodes_page > docs/nodes.md"


def test_a_node_that_is_called_absent_is_not_there_and_has_one_reason(builtin_catalogue: Any) -> None:
    absent = [name for names in reasons().values() for name in names]
    assert [name for name in absent if builtin_catalogue.spec(name) is not None] == []
    assert [name for name, times in Counter(absent).items() if times > 1] == []


def test_every_reason_says_something() -> None:
    assert all(len(because.split()) > 2 and names for because, names in reasons().items())
