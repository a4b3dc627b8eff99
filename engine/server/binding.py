"""The sockets that a server listens on, and what to say when a port is taken."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterable, Sequence
from http.client import HTTPConnection, HTTPException
from typing import Final

from engine.server.options import OptionsError

BACKLOG: Final = 512
PROBE_SECONDS: Final = 1.0
_PROBE_BYTES: Final = 1 << 20


class PortTakenError(OptionsError):
    """Someone else listens there; the message says who, as far as they tell, and how to choose another port."""


def bind(addresses: Sequence[str], port: int) -> list[socket.socket]:
    """Listening sockets on every address, all on one port (0: any free one).

    Raises PortTakenError, and OptionsError for an address that is not of this machine or a port that we may not use.
    """
    bound: list[socket.socket] = []
    try:
        for address in addresses:
            for family, target in _resolve(address):
                bound.append(_bind_one(family, target, port_of(bound) if bound and not port else port))
    except BaseException:
        for one in bound:
            one.close()
        raise
    return bound


def port_of(sockets: Sequence[socket.socket]) -> int:
    """The port that bound sockets share."""
    port: int = sockets[0].getsockname()[1]
    return port


def url_of(sockets: Sequence[socket.socket], addresses: Sequence[str]) -> str:
    """Where a browser on this machine finds the server."""
    host = addresses[0].strip("[]")
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port_of(sockets)}"


def listener(address: str, port: int) -> str | None:
    """Who answers HTTP at a port, in words: a server that speaks our protocol, something else, or None for nobody."""
    connection = HTTPConnection(address.strip("[]"), port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/system_stats")
        answer = connection.getresponse()
        return _described(answer.status, answer.read(_PROBE_BYTES))
    except ConnectionRefusedError:
        return None
    except (OSError, HTTPException):
        return "a program that does not answer HTTP"
    finally:
        connection.close()


def _described(status: int, body: bytes) -> str:
    try:
        system = json.loads(body)["system"]
        if version := system.get("safelight_version"):
            return f"a Safelight server (version {version})"
        return f"a ComfyUI server (version {system['comfyui_version']})"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "a server that wants a token" if status == 401 else "another HTTP server"


def _resolve(address: str) -> Iterable[tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]]:
    """Families and socket addresses (port 0) of an address; each once."""
    try:
        found = socket.getaddrinfo(address.strip("[]"), 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise OptionsError(
            f"--listen: {address!r} is no address of this machine ({error.strerror or error})."
        ) from error
    return dict.fromkeys((family, target) for family, _, _, _, target in found if family in _FAMILIES)  # type: ignore[misc]  # theirs begin with text


_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)


def _bind_one(
    family: socket.AddressFamily, target: tuple[str, int] | tuple[str, int, int, int], port: int
) -> socket.socket:
    address = target[0]
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((address, port, *target[2:]))
        one.listen(BACKLOG)
        one.setblocking(False)
    except OSError as error:
        one.close()
        raise _refusal(error, address, port) from error
    return one


def _refusal(error: OSError, address: str, port: int) -> OptionsError:
    if error.errno == errno.EADDRINUSE:
        return PortTakenError(taken(address, port))
    if error.errno in (errno.EACCES, errno.EPERM):
        return OptionsError(
            f"--port {port}: this user may not listen on it. Choose one above 1023, such as --port 8188."
        )
    return OptionsError(f"--listen: cannot listen on {address}: {error.strerror or error}. Choose one of this machine.")


def taken(address: str, port: int) -> str:
    """The message for a port that is in use."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    who = listener(here, port) or "another program"
    return (
        f"Port {port} on {address} is in use by {who}. Choose another with --port {port + 1 if port < 65535 else 8188}, "
        "or let one be chosen with --port 0."
    )
