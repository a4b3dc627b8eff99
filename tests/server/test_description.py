"""The file from which the editor's types are made says what the server says."""

from __future__ import annotations

from pathlib import Path

from engine.server.description import as_text, description

FILE = Path(__file__).parent.parent.parent / "web" / "openapi.json"


def test_the_editors_copy_of_the_description_is_true():
    assert FILE.read_text(encoding="utf-8") == as_text(description()), (
        "Write it again: python -m engine.server.description > web/openapi.json"
    )
