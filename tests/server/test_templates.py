from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.server.routes.templates import template_routes

OWN = Path(__file__).resolve().parents[2] / "workflows"


def get(guarded, url: str, *folders: Path):
    async def ask():
        async with guarded(template_routes(*folders)) as client:
            answer = await client.get(url)
            return answer, await answer.read(), await answer.json() if "json" in answer.content_type else None

    return asyncio.run(ask())


def test_the_workflows_that_come_with_the_program_are_one_category(guarded):
    (category,) = get(guarded, "/templates/index.json", OWN)[2]
    names = {one["name"] for one in category["templates"]}
    assert {"text_to_image", "inpainting"} <= names
    for one in category["templates"]:
        assert get(guarded, f"/templates/{one['name']}.json", OWN)[2]["nodes"]
        answer = get(guarded, f"/templates/{one['name']}-1.{one['mediaSubtype']}", OWN)[0]
        assert (answer.status, answer.content_type) == (200, "image/png")


def test_the_first_of_several_folders_wins(guarded, tmp_path):
    (tmp_path / "text_to_image.json").write_text('{"mine": 1}')
    assert get(guarded, "/templates/text_to_image.json", tmp_path, OWN)[2] == {"mine": 1}
    (category,) = get(guarded, "/templates/index.json", tmp_path, OWN)[2]
    assert [one["name"] for one in category["templates"]].count("text_to_image") == 1


@pytest.mark.parametrize(
    "name", ["none.json", "index_logo.json", "..%2Fpyproject.toml", "%2Fetc%2Fpasswd", ".", "x.html"]
)
def test_what_is_no_template_is_404(guarded, name, tmp_path):
    (tmp_path / "x.html").write_text("<script>")
    assert get(guarded, f"/templates/{name}", OWN, tmp_path)[0].status == 404


def test_without_templates_the_lists_are_empty(guarded, tmp_path):
    assert get(guarded, "/templates/index.json", tmp_path)[2] == []
    for url in ("/api/global_subgraphs", "/node_replacements"):
        assert get(guarded, url, tmp_path)[2] == {}
