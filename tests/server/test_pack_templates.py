from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.server.routes.pack_templates import pack_template_routes


@pytest.fixture
def packs(tmp_path: Path) -> dict[str, Path]:
    """Two packs with workflows, and one without."""
    for name in ("one/example_workflows/first.json", "one/examples/second.json", "two/workflows/third.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"nodes": []}')
    (tmp_path / "one" / "secret.json").write_text("{}")
    (tmp_path / "one" / "example_workflows" / "page.html").write_text("<script>")
    (tmp_path / "none").mkdir()
    return {name: tmp_path / name for name in ("two", "one", "none")}


def get(guarded, packs: dict[str, Path], url: str):
    async def folders() -> dict[str, Path]:
        return packs

    async def ask():
        async with guarded(pack_template_routes(folders)) as client:
            answer = await client.get(url)
            return answer.status, await answer.json()

    return asyncio.run(ask())


def test_packs_with_workflows_are_listed_with_their_names(guarded, packs):
    for prefix in ("", "/api"):
        listed = get(guarded, packs, f"{prefix}/workflow_templates")[1]
        assert listed == {"one": ["first", "second"], "two": ["third"]}


@pytest.mark.parametrize("name", ["one/first.json", "one/second.json", "two/third.json"])
def test_a_workflow_is_found_in_any_of_the_folders_of_the_convention(guarded, packs, name):
    assert get(guarded, packs, f"/workflow_templates/{name}") == (200, {"nodes": []})


@pytest.mark.parametrize(
    "name", ["one/third.json", "other/first.json", "one/..%2Fsecret.json", "one/page.html", "none/first.json"]
)
def test_what_is_no_workflow_of_the_pack_is_404(guarded, packs, name):
    assert get(guarded, packs, f"/workflow_templates/{name}")[0] == 404
