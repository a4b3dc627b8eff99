"""Calls of several tokens: each sees and ends its own only, and makes no more than its limits allow."""

from __future__ import annotations

import json

from tests.server.test_owners import People, Person, people  # noqa: F401

RUN = "/api/v1/workflows/shown/run"


def call(person: Person, **headers):
    """A call that nobody waits for."""
    more = {"Authorization": f"Bearer {person.token}", "Prefer": "respond-async", **headers}
    return person.server.ask("POST", RUN, b"{}", more)


def give_workflow(people):  # noqa: F811
    graph = {"1": {"class_type": "PreviewAny", "inputs": {"source": "shown"}}}
    path = people.server.base / "workflows" / "shown.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(graph))


def test_a_call_is_seen_and_ended_by_its_owner_and_the_admin_only(people):  # noqa: F811
    give_workflow(people)
    alice, bob = people.new(), people.new()
    answer = call(alice)
    assert answer.status == 202, answer.body
    url = answer.json()["url"]
    assert [one.ask("GET", url).status for one in (alice, bob, people.admin)] == [200, 404, 200]
    assert bob.ask("POST", f"{url}/cancel").status == 404
    assert alice.json("GET", url)["state"] == "queued"
    assert alice.json("POST", f"{url}/cancel") == {"cancelled": True}


def test_an_idempotency_key_is_its_owners(people):  # noqa: F811
    give_workflow(people)
    alice, bob = people.new(), people.new()
    first, again, other = (call(one, **{"Idempotency-Key": "same"}).json()["job_id"] for one in (alice, alice, bob))
    assert first == again
    assert other != first


def test_calls_count_in_a_quota(people):  # noqa: F811
    give_workflow(people)
    alice = people.new(queue=1)
    assert [call(alice).status for _ in range(2)] == [202, 429]
    assert "Retry-After" in call(alice).headers


def test_a_token_that_may_only_read_cannot_call(people):  # noqa: F811
    give_workflow(people)
    reader = people.new(scopes=frozenset({"read"}))
    assert call(reader).status == 403
    assert reader.ask("GET", "/api/v1/workflows/shown").status == 200
