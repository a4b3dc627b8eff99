"""Behind a real nginx, with the configuration of the documentation."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from engine.server.audit import FILE_NAME
from engine.server.guards import RUNNER, Policy, install_guards
from engine.server.limits import Limits
from engine.server.routing import Route, register
from engine.server.sse import EventStream, install_streams
from engine.server.token_file import create_token, revoke_token
from tests.harness import PATIENCE, free_port, until

DOCS = Path(__file__).resolve().parents[2] / "docs" / "server.md"
NAME = "pictures.example"
LOG = "safelight.log"

WHOLE = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
%s
    server {
        listen 127.0.0.1:%d;
        location /nothing/ { proxy_pass http://127.0.0.1:8188/; }
        location /name/ { proxy_set_header Host $host; proxy_pass http://127.0.0.1:8188/; }
        location /told/ { proxy_set_header X-Forwarded-Host $http_host; proxy_pass http://127.0.0.1:8188/; }
        location /kept/ { proxy_set_header X-Forwarded-Prefix /kept; proxy_pass http://127.0.0.1:8188; }
    }
}
"""
"""The configuration of the documentation, and beside it those of people who did not read it."""


class Proxy:
    """A running nginx. `port` is that of the documentation's server, `bare` that of the other."""

    def __init__(self, port: int, bare: int) -> None:
        self.port = port
        self.bare = bare

    def ask(self, method: str, path: str, body: bytes | None = None, port: int | None = None, **headers: str) -> Any:
        """Status, headers and body of the answer to a client that knows the server by its name."""
        port = port or self.port
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            given = {"Host": f"{NAME}:{port}"} | {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


@contextmanager
def proxied(backend: int, folder: Path) -> Iterator[Proxy]:
    """An nginx before a server on a port."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        reason = "nginx is not installed (on Debian: apt-get install nginx-light)"
        if os.environ.get("SAFELIGHT_REQUIRE_NGINX"):
            pytest.fail(reason)
        pytest.skip(reason)
    (told,) = re.findall(r"```nginx\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    for part in ("listen 80;", NAME, "/var/log/nginx/safelight.log"):
        assert part in told
    told = told.replace("/var/log/nginx/safelight.log", str(folder / LOG))
    for tries_left in reversed(range(5)):  # somebody else may take a port before nginx does
        port, bare = free_port(), free_port()
        text = WHOLE % (told.replace("listen 80;", f"listen 127.0.0.1:{port};"), bare)
        (folder / "nginx.conf").write_text(text.replace("127.0.0.1:8188", f"127.0.0.1:{backend}"))
        command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        nginx = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            if listens(nginx, bare, needed=not tries_left):
                yield Proxy(port, bare)
                return
        finally:
            nginx.terminate()
            nginx.communicate(timeout=PATIENCE)


@pytest.fixture(scope="module")
def proxy(whole_servers, tmp_path_factory) -> Iterator[Proxy]:
    limits = Limits(max_upload_size=4_000_000)
    with (
        whole_servers(Policy(allow_hosts=(NAME,)), limits) as server,
        proxied(server.port, tmp_path_factory.mktemp("nginx")) as found,
    ):
        yield found


def listens(nginx: subprocess.Popen[bytes], port: int, needed: bool) -> bool:
    """Whether nginx listens, once it does or has ended; where it is `needed` that is a failure."""

    def settled() -> bool:
        with socket.socket() as asked:
            return nginx.poll() is not None or asked.connect_ex(("127.0.0.1", port)) == 0

    until(settled, "nginx to listen")
    if needed and nginx.poll() is not None:
        raise AssertionError(nginx.communicate()[1].decode())
    return nginx.poll() is None


def test_the_page_and_all_that_it_loads_stay_below_the_path(proxy):
    status, _, page = proxy.ask("GET", "/safelight/")
    assert status in (200, 503), "503: the editor is not built"
    links = re.findall(r'(?:src|href)="?([^"\s>]+)', page.decode())
    assert links
    assert not [link for link in links if link.startswith("/")]
    for link in links:
        assert proxy.ask("GET", f"/safelight/{link.removeprefix('./')}")[0] == 200, link
    assert proxy.ask("GET", "/safelight")[1]["Location"].endswith(f"{proxy.port}/safelight/")
    assert b"href=/" not in proxy.ask("GET", "/safelight/api/v1/docs")[2]


def test_a_page_posts_and_reads(proxy):
    origin = {"Origin": f"http://{NAME}:{proxy.port}"}
    prompt = {"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}}
    status, _, body = proxy.ask("POST", "/safelight/api/prompt", json.dumps({"prompt": prompt}).encode(), **origin)
    assert status == 200, body
    assert proxy.ask("POST", "/safelight/prompt", b"{}", Origin="http://evil.example")[0] == 403
    assert json.loads(proxy.ask("GET", "/safelight/object_info/KSampler", **origin)[2])["KSampler"]


@pytest.mark.parametrize("name", ["workflows/a b.json", "workflows/sub/ä#1.json", "workflows/move/100%.json"])
def test_user_files_keep_their_names_though_nginx_decodes_them(proxy, name):
    path, moved = f"/safelight/api/userdata/{quote(name, safe='')}", "workflows/move/to/here.json"
    assert json.loads(proxy.ask("POST", path, b"{}")[2]) == name
    assert proxy.ask("GET", path)[2] == b"{}"
    told = proxy.ask("POST", f"{path}/move/{quote(moved, safe='')}?overwrite=true")
    assert (told[0], json.loads(told[2])) == (200, moved)
    listed = json.loads(proxy.ask("GET", "/safelight/api/userdata?dir=workflows&recurse=true")[2])
    assert listed == ["move/to/here.json"]
    assert proxy.ask("DELETE", f"/safelight/api/userdata/{quote(moved, safe='')}")[0] == 204


def test_a_file_larger_than_nginx_takes_by_itself_is_uploaded(proxy):
    edge, data = "edge", os.urandom(2_000_000)
    head = f'--{edge}\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    body = head.encode() + data + f"\r\n--{edge}--\r\n".encode()
    kind = {"Content_Type": f"multipart/form-data; boundary={edge}"}
    assert proxy.ask("POST", "/safelight/upload/image", body, **kind)[0] == 200
    assert proxy.ask("GET", "/safelight/view?filename=a.png&type=input")[2] == data


def open_socket(port: int, path: str, **headers: str) -> Any:
    """The first message of a websocket, or the status of the refusal."""

    async def opened() -> Any:
        given = {"Host": f"{NAME}:{port}", "Origin": f"http://{NAME}:{port}", **headers}
        async with aiohttp.ClientSession() as session:
            try:
                async with session.ws_connect(f"http://127.0.0.1:{port}{path}", headers=given) as messages:
                    return json.loads((await messages.receive(timeout=PATIENCE)).data)["type"]
            except aiohttp.WSServerHandshakeError as error:
                return error.status

    return asyncio.run(opened())


def test_the_websocket_opens_below_the_path(proxy):
    assert open_socket(proxy.port, "/safelight/ws?clientId=me") == "status"
    assert open_socket(proxy.port, "/safelight/ws", Origin="http://evil.example") == 403


def test_a_proxy_that_changes_the_host_works_for_programs_and_says_what_to_set_to_pages(proxy):
    origin = f"http://{NAME}:{proxy.bare}"
    for path in ("/nothing", "/name"):
        assert proxy.ask("GET", f"{path}/queue", port=proxy.bare)[0] == 200
        status, _, body = proxy.ask("POST", f"{path}/queue", b"{}", proxy.bare, Origin=origin)
        assert status == 403
        assert "proxy_set_header Host $http_host;" in json.loads(body)["error"]["message"]
        page = {"Origin": origin, "Sec_Fetch_Site": "same-origin"}
        assert proxy.ask("POST", f"{path}/queue", b"{}", proxy.bare, **page)[0] == 200, "the browser says it is ours"
    assert proxy.ask("POST", "/told/queue", b"{}", proxy.bare, Origin=origin)[0] == 200


def test_a_name_that_was_not_allowed_is_told_with_the_option_to_set(proxy):
    status, _, body = proxy.ask("GET", "/safelight/queue", Host="other.example")
    assert status == 403
    assert "--allow-host other.example " in json.loads(body)["error"]["message"]


def test_a_proxy_that_keeps_its_path_is_told_how_to_take_it_off(proxy):
    for method in ("GET", "POST"):
        status, _, body = proxy.ask(method, "/kept/queue", b"{}", proxy.bare)
        assert (status, json.loads(body)["error"]["type"]) == (404, "prefix_kept")


@pytest.fixture(scope="module")
def guarded_proxy(whole_servers, tmp_path_factory) -> Iterator[tuple[Proxy, Path]]:
    """One before a server with named tokens, and the folder with its files and those of the server."""
    folder = tmp_path_factory.mktemp("nginx-tokens")
    create_token(folder / "tokens.json", "root", frozenset({"admin"}))
    policy = Policy(allow_hosts=(NAME,), tokens_file=folder / "tokens.json", audit_file=folder / FILE_NAME)
    with whole_servers(policy) as server, proxied(server.port, folder) as found:
        yield found, folder


def test_tokens_work_through_it_and_stay_out_of_its_log(guarded_proxy):
    proxy, folder = guarded_proxy
    token = create_token(folder / "tokens.json", "alice", frozenset({"run", "read"}), queue=1)
    words = {"Authorization": f"Bearer {token}"}
    assert proxy.ask("GET", "/safelight/queue")[0] == 401
    assert proxy.ask("GET", "/safelight/queue", **words)[0] == 200
    assert proxy.ask("POST", "/safelight/free", b"{}", **words)[0] == 403
    assert open_socket(proxy.port, "/safelight/ws") == 401
    assert open_socket(proxy.port, "/safelight/ws", **words) == "status"
    assert open_socket(proxy.port, f"/safelight/ws?token={token}") == "status"

    status, headers, _ = proxy.ask("GET", f"/safelight/?token={token}")
    assert (status, headers["Location"]) == (303, "./")
    assert "; Path=/safelight/;" in headers["Set-Cookie"]
    cookie = {"Cookie": headers["Set-Cookie"].split(";")[0]}
    origin = {"Origin": f"http://{NAME}:{proxy.port}"}
    prompt = {"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}}
    body = json.dumps({"prompt": prompt}).encode()
    assert proxy.ask("POST", "/safelight/api/prompt", body, **cookie, **origin)[0] == 200
    status, headers, _ = proxy.ask("POST", "/safelight/api/prompt", body, **words)
    assert (status, headers["Retry-After"].isdigit()) == (429, True)
    assert open_socket(proxy.port, "/safelight/ws", **cookie) == "status"
    upload = b'--e\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n1\r\n--e--\r\n'
    kind = {"Content_Type": "multipart/form-data; boundary=e"}
    assert proxy.ask("POST", "/safelight/upload/image", upload, **kind)[0] == 401
    assert proxy.ask("POST", "/safelight/upload/image", upload, **kind, **words)[0] == 200
    assert proxy.ask("POST", f"/safelight/userdata/{quote('workflows/x.json', safe='')}", b"{}", **words)[0] == 200

    revoke_token(folder / "tokens.json", "alice")
    assert proxy.ask("GET", "/safelight/queue", **words)[0] == 401
    assert proxy.ask("GET", "/safelight/queue", **cookie)[0] == 401
    log = folder / LOG
    until(lambda: "POST /safelight/upload/image 401" in log.read_text(), "the log of nginx")
    assert "GET /safelight/ 303" in log.read_text()
    assert token not in log.read_text()
    until((folder / FILE_NAME).is_file, "the audit log")
    (run,) = [
        line for line in map(json.loads, (folder / FILE_NAME).read_text().splitlines()) if line["action"] == "run"
    ]
    assert (run["principal"], run["outcome"]) == ("alice", "accepted")
    assert token not in (folder / FILE_NAME).read_text()


def test_the_cookie_is_for_https_only_where_the_client_speaks_it(guarded_proxy):
    proxy, folder = guarded_proxy
    token = create_token(folder / "tokens.json", "bob", frozenset({"read"}))
    path, name = f"?token={token}", {"Host": f"{NAME}:{proxy.port}"}
    plain = proxy.ask("GET", f"/safelight/{path}")[1]["Set-Cookie"]
    assert "Secure" not in plain
    told = proxy.ask("GET", f"/told/{path}", port=proxy.bare, X_Forwarded_Proto="https", **name)[1]["Set-Cookie"]
    assert "; Secure" in told


class Events:
    """A server of one event stream, whose second event comes when it is told to go on."""

    def __init__(self, file: Path) -> None:
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._more = asyncio.Event()
        self._policy = Policy(allow_hosts=(NAME,), tokens_file=file)
        self._ready = threading.Event()

    async def _show(self, request: web.Request) -> web.StreamResponse:
        stream = EventStream(request)
        stream.send("first", {"n": 1})

        async def go_on() -> None:
            await self._more.wait()
            stream.send("second", {"n": 2})

        task = asyncio.create_task(go_on())
        try:
            return await stream.serve()
        finally:
            task.cancel()

    @contextmanager
    def running(self) -> Iterator[None]:
        loop, end = self._loop, asyncio.Event()

        async def serve() -> None:
            app = web.Application()
            install_guards(app, self._policy)
            install_streams(app)
            register(app, [Route(method="GET", path="/events", handler=self._show, summary="", tag="")])
            runner = web.AppRunner(app, **RUNNER)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = site._server.sockets[0].getsockname()[1]
            self._ready.set()
            await end.wait()
            await runner.cleanup()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
        thread.start()
        assert self._ready.wait(PATIENCE)
        yield
        loop.call_soon_threadsafe(end.set)
        thread.join(PATIENCE)
        loop.close()

    def go_on(self) -> None:
        self._loop.call_soon_threadsafe(self._more.set)


def test_events_come_as_they_are_sent_and_end_with_their_token(tmp_path):
    file = tmp_path / "tokens.json"
    token = create_token(file, "alice", frozenset({"read"}))
    runs = create_token(file, "runs", frozenset({"run"}))
    events = Events(file)
    with events.running(), proxied(events.port, tmp_path) as proxy:
        assert proxy.ask("GET", "/safelight/events")[0] == 401
        status, _, body = proxy.ask("GET", "/safelight/events", Authorization=f"Bearer {runs}")
        assert (status, json.loads(body)["error"]["extra_info"]) == (403, {"scope": "read"})
        connection = HTTPConnection("127.0.0.1", proxy.port, timeout=PATIENCE)
        headers = {"Host": f"{NAME}:{proxy.port}", "Authorization": f"Bearer {token}"}
        connection.request("GET", "/safelight/events", headers=headers)
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert next_event(answer) == "first", "though the answer has not ended"
        events.go_on()
        assert next_event(answer) == "second"
        revoke_token(file, "alice")
        assert next_event(answer) is None
        connection.close()


def next_event(answer: Any) -> str | None:
    """The name of the next event, or None at the end."""
    for line in iter(answer.readline, b""):
        if line.startswith(b"event: "):
            return line[7:].decode().strip()
    return None
