"""Which `Host` a request may name, and which page (`Origin`) it may come from."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*))(?::(\d{1,5}))?")
_ORIGIN = re.compile(r"(https?)://([^/?#@\s]+)")
_USUAL_PORT = {"http": 80, "https": 443}


def is_loopback(address: str) -> bool:
    """Whether an address or name to listen on is only reached from this machine."""
    name = address.strip("[]").lower().rstrip(".")
    if name == "localhost":
        return True
    literal = _ip(name)
    return literal is not None and literal.is_loopback


def split_host(host: str) -> tuple[str, int | None] | None:
    """The name (without brackets, in lower case) and port of a `Host` header; None when it is not one."""
    found = _HOST.fullmatch(host)
    if not found or int(found[2] or 0) > 65535:
        return None
    name = found[1]
    if name.startswith("[") and _ip(name[1:-1]) is None:
        return None
    return name.strip("[]").lower().rstrip("."), int(found[2]) if found[2] else None


class HostRule:
    """Which names a client may call this server by.

    A page that rebinds its own name to this machine (DNS rebinding) is told by that name. An address as a number cannot be
    rebound, so any is right once the server listens beyond loopback, also behind a forwarded port.
    """

    def __init__(self, listen: Iterable[str], allowed: Iterable[str]) -> None:
        listen = list(listen)
        self.beyond_loopback = not all(is_loopback(address) for address in listen)
        self._names = {name.lower().strip("[]").rstrip(".") for name in (*allowed, *listen)} | {"localhost"}
        if self.beyond_loopback:
            own = socket.gethostname().lower()
            self._names |= {own, own.split(".")[0], f"{own.split('.')[0]}.local"}

    def allows(self, name: str) -> bool:
        """Whether `name` (see `split_host`) is one of this server's."""
        if name in self._names or "*" in self._names:
            return True
        literal = _ip(name)
        return literal is not None and (literal.is_loopback or self.beyond_loopback)


def same_origin(origin: str, host: str) -> bool:
    """Whether a page at `origin` was served under `host`, be it directly or by a proxy that speaks https."""
    found = _ORIGIN.fullmatch(origin.lower())
    if not found:
        return False
    usual = _USUAL_PORT[found[1]]
    page, here = split_host(found[2]), split_host(host)
    if page is None or here is None or page[0] != here[0]:
        return False
    return (page[1] or usual) == (here[1] or usual)


def normal_origin(origin: str) -> str:
    """An origin as browsers write it. Raises ValueError when it is none."""
    text = origin.strip().lower().rstrip("/")
    found = _ORIGIN.fullmatch(text)
    parts = split_host(found[2]) if found else None
    if not found or parts is None:
        raise ValueError(
            f"{origin!r} is no origin: expected http://name[:port] or https://name[:port], or * for every page."
        )
    usual = parts[1] is None or parts[1] == _USUAL_PORT[found[1]]
    name = f"[{parts[0]}]" if ":" in parts[0] else parts[0]
    return f"{found[1]}://{name}" if usual else f"{found[1]}://{name}:{parts[1]}"


def _ip(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
