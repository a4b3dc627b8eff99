from __future__ import annotations

import asyncio

import pytest

from engine.jobs.store import JobStore
from engine.server.routes.settings import settings_routes
from engine.server.routes.users import user_routes


def ask(guarded, folder, *requests, max_bytes=None):
    """Send requests (method, path, body) to a server on a store in `folder`; the answers' statuses and bodies."""

    async def send():
        store = JobStore(folder / "jobs.db", max_bytes=max_bytes)
        await store.open()
        try:
            async with guarded([*settings_routes(store), *user_routes()]) as client:
                answers = []
                for method, path, *body in requests:
                    answer = await client.request(method, path, data=body[0] if body else None)
                    text = await answer.read()
                    answers.append((answer.status, await answer.json() if text else None))
                return answers
        finally:
            await store.close()

    return asyncio.run(send())


def test_settings_are_kept_over_a_restart(guarded, tmp_path):
    assert ask(guarded, tmp_path, ("GET", "/api/settings")) == [(200, {})]
    answers = ask(
        guarded,
        tmp_path,
        ("POST", "/settings/Comfy.InstalledVersion", b'"1.27.10"'),
        ("POST", "/settings", b'{"a": {"b": [1, null]}, "c": false}'),
        ("POST", "/settings/c", b"true"),
    )
    assert [status for status, _ in answers] == [200, 200, 200]
    kept = {"Comfy.InstalledVersion": "1.27.10", "a": {"b": [1, None]}, "c": True}
    assert ask(guarded, tmp_path, ("GET", "/settings"), ("GET", "/settings/a"), ("GET", "/settings/none")) == [
        (200, kept),
        (200, kept["a"]),
        (200, None),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/settings", b"[]", 400),
        ("/settings", b"", 400),
        ("/settings", b"{", 400),
        ("/settings/a", b"nonsense", 400),
        ("/settings/a", b"\xff", 400),
        ("/settings/a", b"[" * 100_000, 400),
        ("/settings/a", b'"' + b"x" * 1_100_000 + b'"', 413),
        ("/settings/" + "a" * 600, b"1", 400),
        ("/settings", b'{"' + b"a" * 600 + b'": 1}', 400),
    ],
)
def test_a_wrong_body_is_refused_and_changes_nothing(guarded, tmp_path, path, body, status):
    answers = ask(guarded, tmp_path, ("POST", path, body), ("GET", "/settings"))
    assert answers[0][0] == status
    assert answers[1] == (200, {})


def test_a_full_disk_is_told_and_what_was_set_stays(guarded, tmp_path):
    large = b'"' + b"x" * 900_000 + b'"'
    writes = [("POST", f"/settings/large{number}", large) for number in range(3)]
    answers = ask(
        guarded, tmp_path, ("POST", "/settings/a", b"1"), *writes, ("GET", "/settings/a"), max_bytes=1_000_000
    )
    assert answers[0][0] == 200
    assert (answers[3][0], answers[3][1]["error"]["type"]) == (507, "disk_full")
    assert answers[4] == (200, 1)


def test_there_is_one_user(guarded, tmp_path):
    got, made = ask(guarded, tmp_path, ("GET", "/users"), ("POST", "/users", b'{"username": "me"}'))
    assert got == (200, {"storage": "server", "migrated": True})
    assert (made[0], made[1]["error"]["type"]) == (400, "single_user")
