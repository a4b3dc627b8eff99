from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from yarl import URL

from engine.paths import Paths
from engine.server.routes.userdata import userdata_routes


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "base")


def ask(guarded, paths: Paths, *requests: tuple, **options) -> list[tuple[int, bytes, dict]]:
    """Each request is a method and a path whose parts are quoted already, and maybe a body."""

    async def send():
        async with guarded(userdata_routes(paths, **options)) as client:
            answers = []
            for method, path, *body in requests:
                url = URL(path, encoded=True)
                answer = await client.request(method, url, data=body[0] if body else None)
                answers.append((answer.status, await answer.read(), dict(answer.headers)))
            return answers

    return asyncio.run(send())


def put(paths: Paths, **files: str) -> None:
    for name, text in files.items():
        path = paths.user / "default" / name.replace("__", "/").replace("_json", ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


NAMES = [
    "workflows/a.json",
    "a b+c.json",
    "100%.json",
    "a%2Fb.json",
    "sub/Bäume 🌲 &?#=;.json",
    "a%252Fb",
    "x/y/z.json",
    "{a}.json",
    "a\nb",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_comes_back_under_the_name_it_was_given(guarded, paths, name):
    path = f"/api/userdata/{quote(name, safe='')}"
    answers = ask(
        guarded,
        paths,
        ("POST", path, b'{"a": 1}'),
        ("GET", path),
        ("GET", "/userdata?dir=.&recurse=true"),
        ("DELETE", path),
        ("GET", path),
        ("DELETE", path),
    )
    assert [status for status, *_ in answers] == [200, 200, 200, 204, 404, 404]
    assert json.loads(answers[0][1]) == name
    assert answers[1][1] == b'{"a": 1}'
    assert json.loads(answers[2][1]) == [name]


def test_listings_have_the_forms_that_editors_ask_for(guarded, paths):
    put(paths, workflows__b_json="{}", workflows__sub__a_json="[1]", other_json="")
    listing = "/userdata?dir=workflows"
    plain, deep, split, full, slash = ask(
        guarded,
        paths,
        ("GET", listing),
        ("GET", f"{listing}&recurse=true"),
        ("GET", f"{listing}&recurse=true&split=true"),
        ("GET", f"{listing}&recurse=true&split=false&full_info=true"),
        ("GET", "/userdata?dir=workflows%2F"),
    )
    assert json.loads(plain[1]) == json.loads(slash[1]) == ["b.json"]
    assert json.loads(deep[1]) == ["b.json", "sub/a.json"]
    assert json.loads(split[1]) == [["b.json", "b.json"], ["sub/a.json", "sub", "a.json"]]
    facts = json.loads(full[1])
    assert [(one["path"], one["size"]) for one in facts] == [("b.json", 2), ("sub/a.json", 3)]
    assert facts[0]["modified"] == int((paths.user / "default/workflows/b.json").stat().st_mtime * 1000)


def test_the_tree_listing_tells_folders_and_files(guarded, paths):
    put(paths, workflows__b_json="{}", other_json="")
    root, below, missing = ask(
        guarded, paths, ("GET", "/v2/userdata"), ("GET", "/v2/userdata?path=workflows"), ("GET", "/v2/userdata?path=no")
    )
    modified = int((paths.user / "default/workflows/b.json").stat().st_mtime * 1000)
    inner = {"name": "b.json", "path": "workflows/b.json", "type": "file", "size": 2, "modified": modified}
    whole = json.loads(root[1])
    assert whole[0] == {"name": "workflows", "path": "workflows", "type": "directory"}
    assert whole[1] == inner, "it is recursive, folders first"
    assert whole[2]["path"] == "other.json"
    assert json.loads(below[1]) == [inner]
    assert missing[0] == 404


def test_empty_folders_are_listed_as_such_also_before_anything_was_saved(guarded, paths):
    before = ask(guarded, paths, ("GET", "/api/v2/userdata"), ("GET", "/v2/userdata?path="))
    (paths.user / "default" / "workflows").mkdir(parents=True)
    listed = ("GET", "/api/v2/userdata?path=workflows"), ("GET", "/userdata?dir=workflows&recurse=true")
    answers = [*before, *ask(guarded, paths, *listed)]
    assert [answer[:2] for answer in answers] == [(200, b"[]")] * 4


def test_names_that_a_proxy_has_decoded_mean_the_same(guarded, paths):
    answers = ask(
        guarded,
        paths,
        ("POST", "/userdata/workflows/sub/a.json", b"a"),
        ("GET", "/api/userdata/workflows/sub/a.json"),
        ("POST", "/userdata/workflows/sub/a.json/move/workflows/b.json?overwrite=false"),
        ("GET", "/userdata/workflows%2Fb.json"),
        ("POST", "/userdata/workflows/move/c.json", b"c"),
        ("GET", "/userdata/workflows%2Fmove%2Fc.json"),
        ("POST", "/userdata/workflows/move/c.json/move/d.json"),
        ("POST", "/userdata/workflows/none.json/move/e.json"),
        ("DELETE", "/userdata/workflows/b.json"),
        ("GET", "/userdata?dir=.&recurse=true"),
    )
    assert [answer[0] for answer in answers] == [200, 200, 200, 200, 200, 200, 200, 404, 204, 200]
    assert [answers[at][1] for at in (1, 3, 5)] == [b"a", b"a", b"c"]
    assert json.loads(answers[-1][1]) == ["d.json"]


def linked(paths, tmp_path) -> Path:
    """A folder elsewhere that the owner has linked into the user's, with a file in it that is linked once more."""
    put(paths, a_json="a")
    home, there = paths.user / "default", tmp_path / "elsewhere"
    there.mkdir()
    (there / "w.json").write_text("w")
    (home / "link").symlink_to(there, target_is_directory=True)
    (home / "file.json").symlink_to("../../../elsewhere/w.json")
    return there


def test_links_are_listed_read_and_written_through(guarded, paths, tmp_path):
    there = linked(paths, tmp_path)
    (there / "up").symlink_to(paths.user / "default", target_is_directory=True)
    answers = ask(
        guarded,
        paths,
        ("GET", "/userdata?dir=.&recurse=true"),
        ("GET", "/userdata?dir=.&recurse=true&full_info=true"),
        ("GET", "/v2/userdata?path=link"),
        ("GET", "/userdata/link%2Fw.json"),
        ("POST", "/userdata/link%2Fnew.json", b"n"),
        ("POST", "/userdata/file.json", b"through"),
        ("POST", "/userdata/file.json?overwrite=false", b"no"),
    )
    assert [answer[0] for answer in answers] == [200, 200, 200, 200, 200, 200, 409]
    assert json.loads(answers[0][1]) == ["a.json", "file.json", "link/w.json"]
    assert [one["size"] for one in json.loads(answers[1][1])] == [1, 1, 1]
    below = [one["path"] for one in json.loads(answers[2][1]) if one["type"] == "file"]
    assert below == ["link/up/a.json", "link/up/file.json", "link/w.json"]
    assert (there / "new.json").read_text() == "n"
    assert (there / "w.json").read_text() == "through"
    assert (paths.user / "default" / "file.json").is_symlink()


def test_renaming_and_deleting_a_link_leaves_what_it_leads_to(guarded, paths, tmp_path):
    there, home = linked(paths, tmp_path), paths.user / "default"
    answers = ask(
        guarded,
        paths,
        ("POST", "/userdata/file.json/move/sub%2Fdeep%2Fmoved.json?overwrite=false"),
        ("GET", "/userdata/sub%2Fdeep%2Fmoved.json"),
        ("POST", "/userdata/sub%2Fdeep%2Fmoved.json/move/link%2Fw.json"),
        ("POST", "/userdata/sub%2Fdeep%2Fmoved.json/move/a.json?overwrite=false"),
        ("POST", "/userdata/sub%2Fdeep%2Fmoved.json/move/a.json"),
        ("DELETE", "/userdata/a.json"),
    )
    assert [answer[0] for answer in answers] == [200, 200, 200, 409, 200, 204]
    assert answers[1][1] == b"w"
    assert (there / "w.json").read_text() == "w", "a link moved over what it leads to must not remove it"
    assert [path.name for path in home.rglob("*.json")] == []


def test_a_missing_folder_is_404_and_a_missing_parameter_400(guarded, paths):
    answers = ask(
        guarded, paths, ("GET", "/userdata?dir=workflows"), ("GET", "/userdata"), ("GET", "/v2/userdata?path=x")
    )
    assert [answer[0] for answer in answers] == [404, 400, 404]


def test_overwriting_can_be_refused(guarded, paths):
    one = "/userdata/a.json"
    answers = ask(
        guarded,
        paths,
        ("POST", f"{one}?overwrite=false&full_info=true", b"first"),
        ("POST", f"{one}?overwrite=false", b"second"),
        ("GET", one),
        ("POST", f"{one}?overwrite=true", b"third"),
        ("GET", one),
    )
    assert [answer[0] for answer in answers] == [200, 409, 200, 200, 200]
    assert (answers[2][1], answers[4][1]) == (b"first", b"third")
    assert json.loads(answers[0][1])["size"] == 5


def test_of_many_that_would_not_overwrite_one_wins(guarded, paths):
    async def send():
        async with guarded(userdata_routes(paths)) as client:
            bodies = [b"%d" % number for number in range(8)]
            url = "/userdata/a.json?overwrite=false"
            return [answer.status for answer in await asyncio.gather(*(client.post(url, data=body) for body in bodies))]

    assert sorted(asyncio.run(send())) == [200] + [409] * 7
    assert [path.name for path in (paths.user / "default").iterdir()] == ["a.json"]


def test_a_file_is_renamed_also_over_another_unless_that_is_refused(guarded, paths):
    put(paths, a_json="a", b_json="b")
    answers = ask(
        guarded,
        paths,
        ("POST", "/userdata/a.json/move/b.json?overwrite=false"),
        ("POST", "/userdata/a.json/move/sub%2Fc.json?overwrite=false&full_info=true"),
        ("POST", "/userdata/sub%2Fc.json/move/b.json"),
        ("GET", "/userdata/b.json"),
        ("POST", "/userdata/none.json/move/x.json"),
        ("POST", "/userdata/b.json/move/b.json"),
        ("GET", "/userdata?dir=.&recurse=true"),
    )
    assert [answer[0] for answer in answers] == [409, 200, 200, 200, 404, 200, 200]
    assert json.loads(answers[1][1])["path"] == "sub/c.json"
    assert answers[3][1] == b"a"
    assert json.loads(answers[6][1]) == ["b.json"]


@pytest.mark.parametrize(
    "name",
    [
        "..%2Fsecret",
        "%2Fetc%2Fpasswd",
        "a%2F..%2F..%2F..%2Fsecret",
        "..",
        "~",
        "C:%5Cx",
        "a%00b",
        "link%2F..%2F..%2Fsecret",
        "a%2F..",
        ".",
    ],
)
def test_names_never_lead_out_of_the_users_folder(guarded, paths, name, tmp_path):
    put(paths, a_json="a")
    (paths.user / "secret").write_text("secret")
    (paths.user / "default" / "link").symlink_to(tmp_path, target_is_directory=True)
    before = sorted(tmp_path.rglob("*"))
    requests = [
        ("GET", f"/userdata/{name}"),
        ("POST", f"/userdata/{name}", b"x"),
        ("DELETE", f"/userdata/{name}"),
        ("POST", f"/userdata/a.json/move/{name}"),
        ("POST", f"/userdata/{name}/move/b"),
    ]
    if name == ".":  # which a path loses on its way: `move/b` is a file like any other
        requests.pop()
    answers = ask(guarded, paths, *requests)
    assert all(400 <= status < 500 for status, *_ in answers), answers
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["..", "../default", "/etc", "link/../..", "~"])
def test_listings_never_lead_out_of_the_users_folder(guarded, paths, name, tmp_path):
    put(paths, a_json="a")
    (paths.user / "default" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    for url in (f"/userdata?dir={quote(name)}&recurse=true", f"/v2/userdata?path={quote(name)}"):
        assert ask(guarded, paths, ("GET", url))[0][0] in (400, 404)
    assert json.loads(ask(guarded, paths, ("GET", "/userdata?dir=.&recurse=true"))[0][1]) == ["a.json"]


def test_a_name_that_no_file_can_have_is_refused(guarded, paths):
    put(paths, a_json="a", folder__b_json="b")
    for path in ("x" * 300, "a.json%2Fbelow", "folder", "%2E".join(["y"] * 3000)):
        status, body, _ = ask(guarded, paths, ("POST", f"/userdata/{path}", b"x"))[0]
        assert status in (400, 409), (path, status, body)
    assert sorted(path.name for path in (paths.user / "default").iterdir()) == ["a.json", "folder"]


def test_a_body_that_is_too_large_replaces_nothing(guarded, paths):
    put(paths, a_json="old")
    bomb = gzip.compress(bytes(3_000_000))
    answers = ask(
        guarded, paths, ("POST", "/userdata/a.json", b"x" * 2000), ("GET", "/userdata/a.json"), max_bytes=1000
    )
    assert (answers[0][0], answers[1][1]) == (413, b"old")

    async def send():
        async with guarded(userdata_routes(paths, max_bytes=1_000_000)) as client:
            answer = await client.post("/userdata/b.json", data=bomb, headers={"Content-Encoding": "gzip"})
            return answer.status

    assert asyncio.run(send()) == 413
    assert [path.name for path in (paths.user / "default").iterdir()] == ["a.json"]


def test_files_are_served_so_that_they_cannot_run(guarded, paths):
    put(paths, a_json="{}")
    (paths.user / "default" / "x.html").write_text("<script>")
    (paths.user / "default" / "user.css").write_text("body {}")
    shown, page, style = ask(
        guarded, paths, *(("GET", f"/userdata/{name}") for name in ("a.json", "x.html", "user.css"))
    )
    assert shown[2]["Content-Type"] == "application/json"
    assert page[2]["Content-Type"] == "application/octet-stream"
    assert style[2]["Content-Type"] == "text/css"
    assert all(one[2]["X-Content-Type-Options"] == "nosniff" for one in (shown, page, style))
