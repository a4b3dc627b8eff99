"""Where webhooks may go, how they are signed, and that they are kept, tried again and given up."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import socket
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from engine.config import WebhookSettings
from engine.jobs.records import Job, Outcome
from engine.server.refusals import Refusal
from engine.server.watching import Watches
from engine.server.webhooks import delivery
from engine.server.webhooks.delivery import Webhooks
from engine.server.webhooks.signing import key_of, signed_headers
from engine.server.webhooks.targets import ForbiddenAddressError, OpenResolver, Targets
from engine.server.webhooks.waiting import Hook, WaitingHooks
from engine.server.workflows.results import CallResult, ended_result

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


# -- where


@pytest.mark.parametrize(
    ("hosts", "url"),
    [
        (["example.org"], "https://example.org/done?x=1"),
        (["example.org"], "http://EXAMPLE.org:80/"),
        (["example.org:8443"], "https://example.org:8443"),
        (["*.example.org"], "https://a.b.example.org/"),
        (["127.0.0.1:9000"], "http://127.0.0.1:9000/x"),
        (["[::1]:9000"], "http://[::1]:9000/x"),
        (["::1"], "http://[0:0:0::1]/x"),
        (["8.8.8.8"], "https://8.8.8.8/"),
    ],
)
def test_named_hosts_are_allowed(hosts, url):
    Targets(hosts, []).check(url)


@pytest.mark.parametrize(
    ("hosts", "url"),
    [
        ([], "https://example.org/"),
        (["example.org"], "https://example.org:8443/"),
        (["example.org"], "https://evil-example.org/"),
        (["example.org"], "https://example.org.evil.net/"),
        (["*.example.org"], "https://example.org/"),
        (["127.0.0.1:9000"], "http://127.0.0.1:9001/"),
        (["127.0.0.1:9000"], "http://localhost:9000/"),
        (["*.0.0.1"], "http://127.0.0.1/"),
        (["example.org"], "https://example.org@evil.net/"),
    ],
)
def test_others_are_forbidden(hosts, url):
    with pytest.raises(Refusal) as raised:
        Targets(hosts, []).check(url)
    assert raised.value.status in (400, 403)
    assert "@" in url or raised.value.status == 403


NO_ADDRESSES = [
    "",
    "example.org",
    "ftp://example.org/",
    "https://",
    "https://a b/",
    "https://me:pass@example.org/",
    "https://x:0/",
    "https://example.org/#x",
    "https://example.org:99999/",
    "https://exämple.org/",
    "https://x/" + "y" * 2_000,
]


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(Refusal) as raised:
        Targets(["example.org", "x"], []).check(url)
    assert (raised.value.status, raised.value.type) == (400, "invalid_webhook")


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("10.1.2.3", True),
        ("11.0.0.1", True),
        ("127.0.0.1", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_private_addresses_are_closed_unless_their_network_is_named(address, is_open):
    assert Targets([], ["10.0.0.0/8"]).is_open(ipaddress.ip_address(address), 443) is is_open


def test_a_name_that_leads_to_this_machine_leads_nowhere():
    with pytest.raises(ForbiddenAddressError):
        asyncio.run(OpenResolver(Targets(["localhost"], [])).resolve("localhost", 80))
    found = asyncio.run(OpenResolver(Targets(["localhost"], ["127.0.0.0/8"])).resolve("localhost", 80, socket.AF_INET))
    assert [one["host"] for one in found] == ["127.0.0.1"]


def test_a_name_that_leads_to_a_named_address_gets_to_no_other_port_of_it():
    resolver = OpenResolver(Targets(["localhost", "127.0.0.1:9000", "::1"], []))
    found = asyncio.run(resolver.resolve("localhost", 9000, socket.AF_INET))
    assert [one["host"] for one in found] == ["127.0.0.1"]
    with pytest.raises(ForbiddenAddressError):
        asyncio.run(resolver.resolve("localhost", 443, socket.AF_INET))


@pytest.mark.parametrize("host", ["", "a/b", "https://x", "a*b", "me@x", "x:port", "**.x"])
def test_settings_that_are_no_hosts_are_refused(host):
    with pytest.raises(ValueError, match="host"):
        Targets([host], [])


# -- signed


def test_a_signature_is_that_of_the_specification():
    """The example of the specification's own libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    headers = signed_headers(key_of(secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret", ["", "secret", "whsec_", "whsec_!!!", "whsec_c2hvcnQ=", SECRET.removeprefix("whsec_")]
)
def test_what_is_no_secret_is_refused_and_not_repeated(secret):
    with pytest.raises(ValueError, match=r"webhooks\.secret") as raised:
        key_of(secret)
    assert not secret or secret in ("secret", "whsec_") or secret not in str(raised.value)


# -- delivered


class Runs:
    """As much of a run service as webhooks need, with jobs that a test ends."""

    def __init__(self):
        self.watches = Watches()
        self.active: set[str] = set()
        self.ended: dict[str, CallResult] = {}

    def is_active(self, job_id):
        return job_id in self.active

    def watch(self, job_id, listener):
        return self.watches.watch(job_id, listener)

    async def result(self, job_id):
        if job_id not in self.ended:
            raise Refusal(404, "unknown_job", "")
        return self.ended[job_id]

    async def result_of(self, job_id, ended):
        if ended.outcome is None:
            raise Refusal(409, "job_cancelled", "")
        return ended_result(ended.job, ended.outcome)

    def end(self, job_id, status="done"):
        job = Job(id=job_id, number=1, sequence=1, prompt=b"{}", outputs=(), created=1.0, started=2.0)
        outcome = Outcome(status=status, ended=3.0)
        self.active.discard(job_id)
        self.ended[job_id] = ended_result(job, outcome)
        self.watches.ended(job, outcome)


class Receiver:
    """What webhooks come to: answers with the given statuses, one after the other, and the last one from then on."""

    def __init__(self, *statuses, location=""):
        self.statuses = list(statuses)
        self.location = location
        self.heard = []
        self.wake = asyncio.Event()

    async def take(self, request):
        self.heard.append((dict(request.headers), await request.read()))
        self.wake.set()
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return web.Response(status=status, headers={"Location": self.location} if self.location else {})

    async def until(self, count):
        while len(self.heard) < count:
            self.wake.clear()
            await self.wake.wait()

    async def serve(self):
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self.take)
        server = TestServer(app, host="127.0.0.1")
        await server.start_server()
        return server


def settings(server, **more):
    return WebhookSettings(hosts=(f"127.0.0.1:{server.port}",), secret=SECRET, first_wait=0.001, **more)


async def all_gone(waiting):
    while await waiting.load():
        await asyncio.sleep(0.001)


def test_a_webhook_that_fails_twice_comes_the_third_time_signed_and_is_forgotten(tmp_path):
    async def run():
        receiver = Receiver(500, 302, 204, location="http://127.0.0.1:1/elsewhere")
        server = await receiver.serve()
        waiting, runs = WaitingHooks(tmp_path / "hooks.db"), Runs()
        hooks = Webhooks(settings(server), runs, waiting)
        runs.active.add("job")
        await hooks.promise("job", f"http://127.0.0.1:{server.port}/done", "https://me.example")
        hooks.follow("job", f"http://127.0.0.1:{server.port}/done", "https://me.example")
        assert [one.job_id for one in await waiting.load()] == ["job"]
        runs.end("job")
        await receiver.until(3)
        await all_gone(waiting)
        await hooks.close()
        await server.close()
        return receiver.heard

    heard = asyncio.run(run())
    assert len(heard) == 3
    assert len({headers["webhook-id"] for headers, _ in heard}) == 1
    for headers, body in heard:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = hmac.new(bytes(range(32)), signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    told = json.loads(heard[-1][1])
    assert (told["type"], told["data"]["job_id"], told["data"]["state"]) == ("job.done", "job", "done")
    assert told["data"]["url"] == "https://me.example/api/v1/jobs/job"


@pytest.mark.parametrize(("status", "tries", "count"), [(500, 3, 3), (410, 5, 1)])
def test_one_that_never_arrives_is_given_up_with_a_line_in_the_log(tmp_path, caplog, status, tries, count):
    async def run():
        receiver = Receiver(status)
        server = await receiver.serve()
        waiting, runs = WaitingHooks(tmp_path / "hooks.db"), Runs()
        hooks = Webhooks(settings(server, tries=tries), runs, waiting)
        await hooks.promise("job", f"http://127.0.0.1:{server.port}/?secret=1", "")
        runs.end("job", "failed")
        hooks.follow("job", f"http://127.0.0.1:{server.port}/?secret=1", "")
        await receiver.until(count)
        await all_gone(waiting)
        await hooks.close()
        await server.close()
        return receiver.heard

    assert len(asyncio.run(run())) == count
    given_up = [record for record in caplog.records if record.message == "webhook given up"]
    assert [(record.job, record.tries) for record in given_up] == [("job", count)]
    assert "secret" not in caplog.text


def test_what_was_promised_is_kept_over_restarts(tmp_path):
    async def run():
        receiver = Receiver(200)
        server = await receiver.serve()
        url = f"http://127.0.0.1:{server.port}/"
        waiting, runs = WaitingHooks(tmp_path / "hooks.db"), Runs()
        first = Webhooks(settings(server), runs, waiting)
        for job in ("ended meanwhile", "runs on", "never made", "taken back"):
            await first.promise(job, url, "")
        await first.withdraw("taken back")
        await waiting.put(Hook(job_id="tried", url=url, tries=1, due=0.0, body=b'{"data": {"job_id": "tried"}}'))
        await first.close()

        runs.end("ended meanwhile")
        runs.active.add("runs on")
        second = Webhooks(settings(server), runs, waiting)
        await second.resume()
        await receiver.until(2)
        runs.end("runs on", "cancelled")
        await receiver.until(3)
        await all_gone(waiting)
        await second.close()
        await server.close()
        return receiver.heard

    told = {json.loads(body)["data"]["job_id"] for _, body in asyncio.run(run())}
    assert told == {"ended meanwhile", "runs on", "tried"}


def test_a_job_that_was_taken_out_counts_as_cancelled(tmp_path):
    async def run():
        receiver = Receiver(200)
        server = await receiver.serve()
        waiting, runs = WaitingHooks(tmp_path / "hooks.db"), Runs()
        hooks = Webhooks(settings(server), runs, waiting)
        runs.active.add("job")
        await hooks.promise("job", f"http://127.0.0.1:{server.port}/", "")
        hooks.follow("job", f"http://127.0.0.1:{server.port}/", "")
        runs.watches.removed(["job"])
        await receiver.until(1)
        await hooks.close()
        await server.close()
        return receiver.heard

    assert json.loads(asyncio.run(run())[0][1])["type"] == "job.cancelled"


def test_without_a_secret_or_with_too_many_none_is_taken(tmp_path, monkeypatch):
    waiting = WaitingHooks(tmp_path / "hooks.db")
    hooks = Webhooks(WebhookSettings(hosts=("example.org",)), SimpleNamespace(), waiting)
    with pytest.raises(Refusal, match="secret") as raised:
        hooks.check("https://example.org/")
    assert raised.value.status == 403
    monkeypatch.setattr(delivery, "MOST", 0)
    hooks = Webhooks(WebhookSettings(hosts=("example.org",), secret=SECRET), SimpleNamespace(), waiting)
    with pytest.raises(Refusal) as raised:
        hooks.check("https://example.org/")
    assert raised.value.status == 429
