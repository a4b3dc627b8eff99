"""What several tests of the families share."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.every_family import MEMBERS, Parts, loaded, written


@pytest.fixture(scope="session")
def everyone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Parts, Any]]:
    """Each family's parts, and what its encoder makes of a prompt."""
    from nodes.conditioning import text_encode

    logging.disable(logging.WARNING)
    root = tmp_path_factory.mktemp("every_family")
    parts = {name: loaded(written(root, name), name) for name in MEMBERS}
    logging.disable(logging.NOTSET)
    return {name: (one, text_encode(one.bench, "a red apple", one.clip)) for name, one in parts.items()}


@pytest.fixture(autouse=True)
def one_family(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tests recognise full-size networks, at most one family fits each of them."""
    if not request.path.name.startswith("test_detect_"):
        return
    from engine.models import detect
    from engine.models.families import families

    def only(shapes: Any) -> Any:
        fitting = [family for family in families() if family.fits(shapes)]
        assert len(fitting) <= 1, [family.name for family in fitting]
        return fitting[0] if fitting else None

    monkeypatch.setattr(detect, "family_of", only)
