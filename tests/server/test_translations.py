"""Texts of node packs in other languages."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from engine.server.routes.translations import merged, translation_routes


def get(guarded, packs: dict[str, Path], url: str = "/i18n"):
    async def folders() -> dict[str, Path]:
        return packs

    async def ask():
        async with guarded(translation_routes(folders)) as client:
            answer = await client.get(url)
            return answer.status, await answer.json()

    return asyncio.run(ask())


def write(tmp_path: Path, name: str, content: object) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def test_the_files_of_all_packs_become_one_answer_by_language(guarded, tmp_path):
    write(tmp_path, "a/locales/de/main.json", {"menu": {"save": "Sichern", "open": "Öffnen"}, "list": [1]})
    write(tmp_path, "a/locales/de/nodeDefs.json", {"Blur": {"display_name": "Weichzeichner"}})
    write(tmp_path, "a/locales/fr/commands.json", {"Run": {"label": "Lancer"}})
    write(tmp_path, "b/locales/de/main.json", {"menu": {"save": "Speichern"}, "list": [2]})
    write(tmp_path, "b/locales/de/nodeDefs.json", {"Sharpen": {"display_name": "Schärfen"}})
    write(tmp_path, "b/locales/de/settings.json", {"Size": {"name": "Größe"}})
    write(tmp_path, "b/locales/de/other.json", {"not": "told"})
    expected = {
        "de": {
            "menu": {"save": "Speichern", "open": "Öffnen"},
            "list": [1, 2],
            "nodeDefs": {"Blur": {"display_name": "Weichzeichner"}, "Sharpen": {"display_name": "Schärfen"}},
            "settings": {"Size": {"name": "Größe"}},
        },
        "fr": {"commands": {"Run": {"label": "Lancer"}}},
    }
    packs = {name: tmp_path / name for name in ("b", "a", "none")}
    for url in ("/i18n", "/api/i18n"):
        assert get(guarded, packs, url) == (200, expected)


def test_a_broken_file_spoils_no_other(guarded, tmp_path, caplog):
    write(tmp_path, "a/locales/de/main.json", {"x": "y"})
    write(tmp_path, "a/locales/de/nodeDefs.json", "{not json")
    write(tmp_path, "a/locales/de/settings.json", [1, 2])
    write(tmp_path, "a/locales/readme.json", {"no": "language"})
    assert get(guarded, {"a": tmp_path / "a"}) == (200, {"de": {"x": "y"}})
    assert sum("cannot be read" in one.message for one in caplog.records) == 2


def test_without_packs_there_are_none(guarded):
    assert get(guarded, {}) == (200, {})


def test_what_is_of_two_kinds_is_taken_from_the_later_pack():
    assert merged({"a": {"b": 1}}, {"a": [1]}) == {"a": [1]}
