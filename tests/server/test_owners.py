"""Several tokens on one server: each sees, hears of and ends its own jobs, and no more than its limits allow."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context

import aiohttp
import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request

from engine.server.guards import Policy
from engine.server.principals import Principal, set_principal
from engine.server.quotas import Bucket, Quotas
from engine.server.refusals import Refusal
from engine.server.token_file import create_token, revoke_token
from tests.harness import PATIENCE, until
from tests.server.guarded import SECRET

USES = frozenset({"run", "read"})


class People:
    """A server that runs no jobs, and the tokens of those who use it."""

    def __init__(self, server, file) -> None:
        self.server = server
        self.file = file

    def new(self, **limits):
        """Somebody of a new name."""
        name = f"user-{uuid.uuid4().hex[:8]}"
        return Person(self.server, name, create_token(self.file, name, limits.pop("scopes", USES), **limits))

    @property
    def admin(self):
        return Person(self.server, "admin", SECRET)


class Person:
    def __init__(self, server, name, token) -> None:
        self.server = server
        self.name = name
        self.token = token

    def ask(self, method, path, body=None):
        sent = None if body is None else msgspec.json.encode(body)
        return self.server.ask(method, path, sent, {"Authorization": f"Bearer {self.token}"})

    def json(self, method, path, body=None):
        answer = self.ask(method, path, body)
        assert answer.status == 200, answer.body
        return answer.json() if answer.body else None

    def post(self, **fields):
        prompt = {"1": {"class_type": "PreviewAny", "inputs": {"source": self.name}}}
        return self.ask("POST", "/prompt", {"prompt": prompt, **fields})

    def job(self, **fields):
        answer = self.post(**fields)
        assert answer.status == 200, answer.body
        return answer.json()["prompt_id"]

    def waiting(self):
        return [item[1] for item in self.json("GET", "/queue")["queue_pending"]]

    def history(self):
        return list(self.json("GET", "/history"))

    def ended(self):
        """A job that was cancelled, once it is in the history."""
        job = self.job()
        self.json("POST", f"/jobs/{job}/cancel")
        until(lambda: job in self.history(), "the end of a job on disk")
        return job

    def listed(self):
        return {job["id"] for job in self.json("GET", "/jobs")["jobs"]}

    def refused(self, method, path, body=None):
        answer = self.ask(method, path, body)
        return answer.status, answer.json()["error"]["type"]


@pytest.fixture(scope="module")
def people(whole_servers, tmp_path_factory) -> Iterator[People]:
    file = tmp_path_factory.mktemp("people") / "tokens.json"
    with whole_servers(Policy(token=SECRET, tokens_file=file)) as server:
        yield People(server, file)


def test_each_sees_its_own_jobs_and_the_admin_all(people):
    alice, bob, admin = people.new(), people.new(), people.admin
    mine, theirs = alice.job(), bob.job()
    assert (alice.waiting(), bob.waiting()) == ([mine], [theirs])
    assert {mine, theirs} <= set(admin.waiting())
    assert (alice.listed(), bob.listed()) == ({mine}, {theirs})
    assert alice.json("GET", f"/jobs/{mine}")["status"] == "pending"
    assert alice.json("GET", "/prompt") == {"exec_info": {"queue_remaining": 1}}
    assert alice.json("GET", "/api/v1/queue")["pending"] == 1
    assert admin.json("GET", "/api/v1/queue")["pending"] >= 2
    alice.json("POST", f"/jobs/{mine}/cancel")
    until(alice.history, "the end of the job on disk")
    assert (alice.history(), bob.history()) == ([mine], [])
    assert mine in admin.history()
    assert alice.listed() == {mine}
    assert alice.json("GET", "/prompt") == {"exec_info": {"queue_remaining": 0}}


def test_a_job_of_somebody_else_is_as_if_it_were_not_there(people):
    alice, bob, admin = people.new(), people.new(), people.admin
    waits, ended = alice.job(), alice.ended()
    for job in (waits, ended, "no-such-job"):
        assert bob.refused("GET", f"/jobs/{job}") == (404, "unknown_job")
        assert bob.refused("POST", f"/jobs/{job}/cancel") == (404, "unknown_job")
        assert bob.refused("GET", f"/api/v1/jobs/{job}/nodes/1/outputs/0") == (404, "unknown_job")
        assert bob.json("GET", f"/history/{job}") == {}
        assert bob.json("POST", "/jobs/cancel", {"job_ids": [job]}) == {"cancelled": False}
        bob.json("POST", "/interrupt", {"prompt_id": job})
        bob.json("POST", "/queue", {"delete": [job]})
        bob.json("POST", "/history", {"delete": [job]})
    for sweeping in ("/queue", "/history"):
        bob.json("POST", sweeping, {"clear": True})
    bob.json("POST", "/interrupt")
    assert (alice.waiting(), alice.history()) == ([waits], [ended])
    admin.json("POST", "/queue", {"delete": [waits]})
    admin.json("POST", "/history", {"delete": [ended]})
    assert (alice.waiting(), alice.history()) == ([], [])


@pytest.mark.parametrize("wish", [{"front": True}, {"number": -5}, {"number": 0.5, "front": True}])
def test_nobody_but_an_admin_goes_before_the_turns_of_others(people, wish):
    alice, boss = people.new(), people.new(scopes=frozenset({"admin"}))
    first = alice.job()
    told = alice.post(**wish).json()
    assert alice.waiting() == [first, told["prompt_id"]]
    assert told["number"] > 0.5
    urgent = boss.job(**wish)
    assert people.admin.waiting()[0] == urgent
    for job in (first, told["prompt_id"], urgent):
        people.admin.json("POST", "/queue", {"delete": [job]})


def test_who_waits_for_a_result_is_refused_once_the_token_is_revoked(people):
    alice = people.new()
    job = alice.job()
    with ThreadPoolExecutor(1) as pool:
        headers = {"Authorization": f"Bearer {alice.token}", "Prefer": "wait=20"}
        waiting = pool.submit(people.server.ask, "GET", f"/api/v1/jobs/{job}", None, headers)
        assert not wait([waiting], 0.2).done, "it waits, and does so long before the token is revoked"
        revoke_token(people.file, alice.name)
        assert waiting.result(PATIENCE).status == 401
    people.admin.json("POST", "/queue", {"delete": [job]})


def test_what_is_everybodys_needs_the_admin(people):
    alice = people.new()
    for method, path in (
        ("POST", "/free"),
        ("POST", "/api/v1/queue/pause"),
        ("POST", "/api/v1/queue/resume"),
        ("POST", "/api/v1/queue/move"),
        ("POST", "/api/v1/packs/reload"),
        ("GET", "/internal/logs"),
        ("PATCH", "/internal/logs/subscribe"),
    ):
        assert alice.refused(method, path, {} if method != "GET" else None) == (403, "scope_needed"), path
    reader = people.new(scopes=frozenset({"read"}))
    assert reader.post().status == 403
    assert reader.refused("POST", "/upload/image") == (403, "scope_needed")


def test_settings_of_editors_are_each_ones_own(people):
    alice, bob = people.new(), people.new()
    alice.json("POST", "/settings/color", "red")
    assert (alice.json("GET", "/settings/color"), bob.json("GET", "/settings/color")) == ("red", None)
    assert people.admin.json("GET", "/settings/color") is None


def test_a_full_queue_is_refused_until_a_job_has_ended(people):
    alice = people.new(queue=2)
    first, _ = alice.job(), alice.job()
    refused = alice.post()
    problem = refused.json()["error"]
    assert (refused.status, problem["type"]) == (429, "queue_quota")
    assert int(refused.headers["Retry-After"]) == problem["extra_info"]["retry_after"] >= 1
    assert (problem["extra_info"]["limit"], problem["extra_info"]["used"]) == (2, 2)
    assert "2 jobs waiting and running" in problem["message"]
    assert people.new().post().status == 200, "others go on"
    alice.json("POST", "/queue", {"delete": [first]})
    again = alice.job()
    assert alice.post().status == 429
    alice.json("POST", f"/jobs/{again}/cancel")
    until(lambda: alice.json("GET", "/prompt")["exec_info"]["queue_remaining"] < 2, "the end of a job on disk")
    assert alice.post().status == 200
    assert people.admin.post().status == 200


def test_what_was_refused_by_the_store_does_not_count(people):
    alice = people.new(queue=2)
    job = alice.job()
    for _ in range(3):
        assert alice.post(prompt_id=job).status == 409
    assert alice.post().status == 200
    assert alice.post().status == 429


def test_jobs_faster_than_the_rate_are_refused_with_the_time(people):
    alice = people.new(rate=2)
    assert [alice.post().status for _ in range(2)] == [200, 200]
    refused = alice.post()
    problem = refused.json()["error"]
    assert (refused.status, problem["type"]) == (429, "rate_limit")
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    assert "2 jobs a minute" in problem["message"]
    assert alice.ask("GET", "/queue").status == 200, "looking is not counted"


def test_a_bucket_gives_a_minutes_worth_and_then_at_its_rate():
    bucket = Bucket(30, now=0.0)
    assert [bucket.take(0.0) for _ in range(30)] == [0.0] * 30
    assert bucket.take(0.0) == pytest.approx(2)
    assert bucket.take(1.0) == pytest.approx(1)
    assert bucket.take(2.0) == 0.0
    assert bucket.take(1.5) > 0, "a clock that goes back gives nothing"
    assert [bucket.take(1000.0) for _ in range(31)][-1] > 0, "no more is saved than a minute's worth"
    slow = Bucket(0.5, now=0.0)
    assert (slow.take(0.0), slow.take(60.0), slow.take(120.0)) == (0.0, pytest.approx(60), 0.0)


def test_a_change_of_the_rate_holds_at_once():
    now = [0.0]
    quotas = Quotas({}, clock=lambda: now[0])

    def admitted(rate):
        request = make_mocked_request("POST", "/prompt")
        set_principal(request, Principal(name="alice", scopes=USES, rate=rate))
        try:
            quotas.admit(type("Job", (), {"owner": "alice"}))
        except Refusal as refusal:
            return refusal.status
        return 200

    assert [copy_context().run(admitted, rate) for rate in (1, 1, 2, 2, 2)] == [200, 429, 200, 200, 429]


def test_messages_of_a_job_go_to_its_owner_whatever_the_clients_call_themselves(people):
    alice, bob = people.new(), people.new()
    server = people.server

    async def heard():
        async with aiohttp.ClientSession() as session:

            def connect(person):
                headers = {"Authorization": f"Bearer {person.token}"}
                return session.ws_connect(f"{server.url}/ws?clientId=same", headers=headers)

            async with connect(alice) as hers, connect(bob) as his, connect(people.admin) as admins:
                sockets = {"alice": hers, "bob": his, "admin": admins}
                for socket in sockets.values():
                    assert json.loads((await socket.receive(timeout=PATIENCE)).data)["data"]["sid"] == "same"
                job = await asyncio.to_thread(alice.job, client_id="same")
                await asyncio.to_thread(alice.json, "POST", f"/jobs/{job}/cancel")
                types = {"alice": await until_type(hers, "executing")}
                await asyncio.to_thread(bob.job)
                types["bob"] = await until_remaining(his, 1)
                await asyncio.to_thread(people.admin.job)
                types["admin"] = await until_remaining(admins, None)
                return types

    types = asyncio.run(heard())
    assert {"execution_interrupted", "executing"} <= set(types["alice"])
    assert set(types["bob"]) == {"status"}
    assert set(types["admin"]) == {"status"}


def test_a_websocket_is_ended_when_its_token_is_revoked(people):
    alice, bob = people.new(), people.new()

    async def heard():
        async with aiohttp.ClientSession() as session:

            def connect(person):
                headers = {"Authorization": f"Bearer {person.token}"}
                return session.ws_connect(f"{people.server.url}/ws", headers=headers)

            async with connect(alice) as hers, connect(bob) as his:
                for socket in (hers, his):
                    assert (await socket.receive(timeout=PATIENCE)).type is aiohttp.WSMsgType.TEXT
                revoke_token(people.file, alice.name)
                create_token(people.file, alice.name, USES)  # another one of the same name
                while (await hers.receive(timeout=PATIENCE)).type is aiohttp.WSMsgType.TEXT:
                    pass
                assert hers.closed
                await asyncio.to_thread(bob.job)
                assert (await his.receive(timeout=PATIENCE)).type is aiohttp.WSMsgType.TEXT

    asyncio.run(heard())


async def until_type(socket, type):
    """Types of messages until one of `type`."""
    found = []
    while type not in found:
        found.append(json.loads((await socket.receive(timeout=PATIENCE)).data)["type"])
    return found


async def until_remaining(socket, number):
    """Types of messages until one says that `number` jobs have not ended (None: more than one)."""
    found = []
    while True:
        message = json.loads((await socket.receive(timeout=PATIENCE)).data)
        found.append(message["type"])
        if message["type"] == "status":
            left = message["data"]["status"]["exec_info"]["queue_remaining"]
            if left == number or (number is None and left > 1):
                return found


def test_every_way_of_making_jobs_counts_in_the_limits(people):
    """Each route asks where jobs are accepted; that of saved workflows is in test_workflow_owners."""
    alice = people.new(queue=1, rate=100)
    prompt = {"1": {"class_type": "PreviewAny", "inputs": {"source": "v2"}}}
    made = alice.ask("POST", "/api/v2/jobs", {"workflow": prompt})
    assert made.status == 201, made.body
    assert alice.waiting() == [made.json()["id"]]
    for path, body in (
        ("/prompt", {"prompt": prompt}),
        ("/api/prompt", {"prompt": prompt}),
        ("/api/v2/jobs", {"workflow": prompt}),
    ):
        refused = alice.ask("POST", path, body)
        assert (refused.status, refused.headers["Retry-After"].isdigit()) == (429, True), path
        assert "1 jobs waiting and running" in refused.json()["error"]["message"]
    assert len(alice.waiting()) == 1
