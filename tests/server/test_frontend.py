from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.server.routes import frontend
from engine.server.routes.frontend import frontend_routes
from engine.server.routes.users import user_routes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "index.html": "<html>",
        "assets/app-abc123.js": "x",
        "assets/style.css": "x",
        "scripts/app.js": "x",
        "fonts/a b.woff2": "x",
        "locales/de.json": "{}",
        ".git/config": "hidden text",
        "users": "a file that is called like a route",
    }
    for name, text in files.items():
        path = tmp_path / "static" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "secret").write_text("hidden text")
    return tmp_path / "static"


def get(guarded, root: Path, url: str, method: str = "GET", headers=None):
    async def ask():
        async with guarded([*frontend_routes(root), *user_routes()]) as client:
            answer = await client.request(method, url, headers=headers or {})
            return answer, await answer.read()

    return asyncio.run(ask())


def test_the_page_is_asked_for_anew_and_hashed_files_are_kept(guarded, root):
    answer, body = get(guarded, root, "/")
    assert (answer.status, answer.content_type, body) == (200, "text/html", b"<html>")
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "immutable" in get(guarded, root, "/assets/app-abc123.js")[0].headers["Cache-Control"]
    assert get(guarded, root, "/scripts/app.js")[0].headers["Cache-Control"] == "no-cache"
    tag = answer.headers["ETag"]
    assert get(guarded, root, "/", headers={"If-None-Match": tag})[0].status == 304


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("/assets/app-abc123.js", "text/javascript"),
        ("/assets/style.css", "text/css"),
        ("/fonts/a%20b.woff2", "font/woff2"),
        ("/locales/de.json?v=1", "application/json"),
        ("/index.html", "text/html"),
    ],
)
def test_files_have_the_types_that_browsers_insist_on(guarded, root, url, kind):
    answer, _ = get(guarded, root, url)
    assert (answer.status, answer.content_type) == (200, kind)


def test_a_file_never_hides_a_route(guarded, root):
    assert b"storage" in get(guarded, root, "/users")[1]


@pytest.mark.parametrize(
    "url",
    [
        "/none",
        "/assets",
        "/assets/",
        "/.git/config",
        "/..%2Fsecret",
        "/%2Fetc%2Fpasswd",
        "/assets/..%2f..%2fsecret",
        "/a%00b",
        "/api/none",
        "/.//etc/passwd",
    ],
)
def test_what_is_not_there_is_404_as_json(guarded, root, url):
    answer, body = get(guarded, root, url)
    assert answer.status == 404
    assert b'"not_found"' in body
    assert b"hidden text" not in body


def test_a_folder_without_a_page_is_refused_at_the_start(tmp_path):
    with pytest.raises(ValueError, match=r"no index\.html"):
        frontend_routes(tmp_path)


def test_an_editor_that_is_not_built_says_how_to_build_it(guarded, tmp_path, monkeypatch):
    monkeypatch.setattr(frontend, "EDITOR", tmp_path)
    answer, body = get(guarded, None, "/")
    assert answer.status == 503
    assert b"make editor" in body


def test_the_built_editor_is_served_when_no_other_front_end_is_named(guarded, tmp_path, monkeypatch):
    monkeypatch.setattr(frontend, "EDITOR", tmp_path)
    (tmp_path / "index.html").write_text("<title>the editor</title>")
    answer, body = get(guarded, None, "/")
    assert answer.status == 200
    assert b"the editor" in body
