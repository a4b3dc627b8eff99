from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from engine.server.binding import PortTakenError, bind, listener, port_of, url_of
from engine.server.options import OptionsError


@contextmanager
def serving(answer: object, status: int = 200) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def bound(*addresses: str, port: int = 0) -> Iterator[list[socket.socket]]:
    sockets = bind(addresses, port)
    try:
        yield sockets
    finally:
        for one in sockets:
            one.close()


def test_a_free_port_is_chosen_and_can_be_connected_to():
    with bound("127.0.0.1") as sockets:
        assert port_of(sockets) > 0
        assert url_of(sockets, ("127.0.0.1",)) == f"http://127.0.0.1:{port_of(sockets)}"
        socket.create_connection(("127.0.0.1", port_of(sockets)), timeout=5).close()


def test_several_addresses_share_one_port():
    with bound("127.0.0.1", "127.0.0.2") as sockets:
        assert len({one.getsockname()[1] for one in sockets}) == 1


def test_every_address_is_shown_as_the_one_a_browser_here_can_open():
    with bound("0.0.0.0") as sockets:
        assert url_of(sockets, ("0.0.0.0",)) == f"http://127.0.0.1:{port_of(sockets)}"


def test_ip_version_6_addresses_stand_in_brackets():
    try:
        sockets = bind(("::1",), 0)
    except OptionsError:
        pytest.skip("this machine has no IPv6")
    with sockets[0]:
        assert url_of(sockets, ("::1",)) == f"http://[::1]:{port_of(sockets)}"


@pytest.mark.parametrize(
    ("answer", "status", "who"),
    [
        ({"system": {"safelight_version": "1.2", "comfyui_version": "0.3"}}, 200, "a Safelight server (version 1.2)"),
        ({"system": {"comfyui_version": "0.3"}}, 200, "a ComfyUI server (version 0.3)"),
        ({"error": {}}, 401, "a server that wants a token"),
        (["something"], 200, "another HTTP server"),
        ({"system": 5}, 200, "another HTTP server"),
    ],
)
def test_a_taken_port_is_refused_with_who_has_it_and_how_to_choose_another(answer, status, who):
    with serving(answer, status) as port:
        with pytest.raises(PortTakenError) as refused:
            bind(("127.0.0.1",), port)
        assert str(refused.value) == (
            f"Port {port} on 127.0.0.1 is in use by {who}. Choose another with --port {port + 1}, "
            "or let one be chosen with --port 0."
        )


def test_nobody_listens_at_a_free_port():
    with bound("127.0.0.1") as sockets:
        port = port_of(sockets)
    assert listener("127.0.0.1", port) is None


def test_sockets_bound_before_one_that_is_refused_are_closed():
    with serving({}) as port:
        with pytest.raises(PortTakenError):
            bind(("127.0.0.2", "127.0.0.1"), port)
        with bound("127.0.0.2", port=port) as sockets:
            assert port_of(sockets) == port


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_an_address_of_another_machine_is_refused(address):
    with pytest.raises(OptionsError, match="--listen"):
        bind((address,), 0)
