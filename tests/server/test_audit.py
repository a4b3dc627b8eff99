"""The audit log: what is written of whom, what never is, and that it stays small."""

from __future__ import annotations

import json

import pytest

from engine.server.audit import FILE_NAME, Audit
from engine.server.guards import Policy
from engine.server.token_file import create_token
from tests.harness import until
from tests.server.guarded import ROUTES, SECRET, ask


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def people(whole_servers, tmp_path_factory):
    """A server with an audit log, and a token."""
    folder = tmp_path_factory.mktemp("audited")
    token = create_token(folder / "tokens.json", "alice", frozenset({"run", "read"}), queue=1)
    policy = Policy(token=SECRET, tokens_file=folder / "tokens.json", audit_file=folder / FILE_NAME)
    with whole_servers(policy) as server:
        yield server, token, folder / FILE_NAME


def test_jobs_refusals_and_what_admins_do_are_written_and_no_secrets(people):
    server, token, path = people
    words = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "203.0.113.9"}
    prompt = {"1": {"class_type": "PreviewAny", "inputs": {"source": "a secret wish"}}}
    posted = server.ask("POST", "/prompt", json.dumps({"prompt": prompt}).encode(), words)
    job = posted.json()["prompt_id"]
    assert server.ask("POST", "/prompt", json.dumps({"prompt": prompt}).encode(), words).status == 429
    for _ in range(5):
        assert server.ask("POST", "/free", b"{}", words).status == 403
    assert server.ask("GET", "/queue", None, {"Authorization": "Bearer not-a-token-at-all"}).status == 401
    assert server.ask("GET", "/queue?token=not-a-token-at-all").status == 401
    assert server.ask("GET", "/queue", None, words).status == 200
    admin = {"Authorization": f"Bearer {SECRET}"}
    assert server.ask("POST", "/queue", b'{"clear": true}', admin).status == 200
    assert server.ask("GET", "/queue", None, admin).status == 200
    until(lambda: any(line["principal"] == "admin" for line in lines(path)), "the line of the admin")
    found = lines(path)
    assert {line["address"] for line in found} == {"127.0.0.1"}
    assert [(line["principal"], line["action"], line["target"], line["outcome"]) for line in found] == [
        ("alice", "run", job, "accepted"),
        ("alice", "POST /prompt", "/prompt", "429 queue_quota"),
        ("alice", "POST /free", "/free", "403 scope_needed"),
        ("nobody", "GET /queue", "/queue", "401 token_wrong"),
        ("admin", "POST /queue", "/queue", "200"),
    ]
    assert [line.get("forwarded_for") for line in found] == ["203.0.113.9"] * 3 + [None] * 2
    text = path.read_text()
    for secret in (token, SECRET, "not-a-token", "secret wish"):
        assert secret not in text
    assert path.stat().st_mode & 0o777 == 0o600


def test_refusals_that_repeat_are_one_line_with_their_number(tmp_path, guarded):
    path = tmp_path / FILE_NAME
    policy = Policy(token=SECRET, audit_file=path)
    ask(guarded, "GET", "/view", policy)
    assert [line["outcome"] for line in lines(path)] == ["401 token_needed"]
    audit = Audit(path)
    kind = ("nobody", "127.0.0.1", "GET /view", "401 token_needed")
    from engine.server.audit import _Kind

    for _ in range(1000):
        audit._refused(_Kind(*kind), "/view", "")
    audit.close()
    assert [line.get("times") for line in lines(path)] == [None, None, 999]


def test_where_nobody_is_asked_for_a_token_nothing_but_refusals_is_written(tmp_path, guarded):
    path = tmp_path / "user" / FILE_NAME
    policy = Policy(audit_file=path)
    assert ask(guarded, "POST", "/prompt", policy, data=b"{}")[0] == 200
    assert not path.exists()
    assert ask(guarded, "POST", "/prompt", policy, headers={"Origin": "http://evil.example"})[0] == 403
    assert [(line["principal"], line["outcome"]) for line in lines(path)] == [("nobody", "403 foreign_origin")]
    assert len(ROUTES) > 1


def test_the_log_is_rotated_and_bounded(tmp_path):
    path = tmp_path / FILE_NAME
    audit = Audit(path, most_bytes=2_000, files=3)
    for number in range(40):
        audit.note("alice", "127.0.0.1", "run", f"{number:04}" + "x" * 500, "accepted")
        audit.close()  # each line in a write of its own
    files = sorted(one.name for one in tmp_path.iterdir())
    assert files == [FILE_NAME, f"{FILE_NAME}.1", f"{FILE_NAME}.2"]
    assert all((tmp_path / name).stat().st_size <= 2_000 for name in files)
    kept = [line for name in reversed(files) for line in lines(tmp_path / name)]
    numbers = [int(line["target"][:4]) for line in kept]
    assert numbers == [*range(numbers[0], 40)], "the newest are kept, in their order"
    assert all(len(line["target"]) == 300 for line in kept)


def test_a_log_that_cannot_be_written_keeps_nobody_from_working(tmp_path, guarded, caplog):
    (tmp_path / "file").write_text("")
    policy = Policy(token=SECRET, audit_file=tmp_path / "file" / FILE_NAME)
    for _ in range(2):
        assert ask(guarded, "GET", "/view", policy)[0] == 401
    assert "cannot be written" in caplog.text
