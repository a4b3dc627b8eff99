"""Which addresses webhooks may go to: hosts that the settings name, and no address of a private network that they do not."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from engine.server.refusals import Refusal

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST: Final = 2_000
"""Letters of an address."""

_PORTS: Final = {"http": 80, "https": 443}
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""Addresses that stand for those of IPv4 (RFC 6052)."""


class ForbiddenAddressError(OSError):
    """A name leads to an address that webhooks do not go to."""


class Targets:
    """`hosts`: `name`, `name:port`, `*.name`, or an address; without a port that of http or https. `networks`: private ones
    in which named hosts may be, such as `10.0.0.0/8`; a host named by its address needs none.

    Raises ValueError for what is no host or no network.
    """

    def __init__(self, hosts: Sequence[str], networks: Sequence[str]) -> None:
        self._hosts = [_host_and_port(one) for one in hosts]
        self._networks: list[Network] = [ipaddress.ip_network(one) for one in networks]
        self._named = [(found, port) for host, port in self._hosts if (found := _literal(host)) is not None]

    def check(self, url: str) -> None:
        """Raises Refusal 400 for what is no address, 403 for one that the settings do not allow."""
        parts = _parts(url)
        host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
        if not any(_matches(allowed, host) and port in _ports(wanted, parts.scheme) for allowed, wanted in self._hosts):
            shown = f"{host}:{port}"
            message = (
                f"Webhooks do not go to {shown[:200]!r}: the settings of this server do not name it. Who runs the server adds "
                "it to `hosts` of [webhooks] in safelight.toml."
            )
            raise Refusal(403, "webhook_forbidden", message)
        literal = _literal(host)
        if literal is not None and not self.is_open(literal, port):
            raise Refusal(
                403, "webhook_forbidden", f"Webhooks do not go to {literal}, an address of a private network."
            )

    def is_open(self, address: Address, port: int) -> bool:
        """Whether webhooks may connect to an address: it is everybody's, or the settings name it with this port, or its network.

        Whose name leads to a named address gets to no other port of it: the owner of a name chooses where that leads.
        """
        named = any(address == one and port in _ports(wanted) for one, wanted in self._named)
        if named or any(address in network for network in self._networks):
            return True
        inner = _inner(address)
        if inner is not None:
            return self.is_open(inner, port)
        return address.is_global and not address.is_multicast


class OpenResolver(AbstractResolver):
    """Looks names up, and gives only addresses that webhooks may go to: what was looked up is what is connected to."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The open addresses of a name. Raises ForbiddenAddressError when it has others only."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        open_to = self._targets.is_open
        told = [_result(host, info) for info in found if open_to(ipaddress.ip_address(_bare(info[4][0])), port)]
        if not told:
            raise ForbiddenAddressError(f"{host} leads to addresses of private networks only, which no setting names")
        return told

    async def close(self) -> None:
        """Nothing is kept."""


def _result(host: str, info: tuple[Any, ...]) -> ResolveResult:
    family, _, proto, _, (address, port, *_) = info
    return ResolveResult(
        hostname=host, host=_bare(address), port=port, family=family, proto=proto, flags=socket.AI_NUMERICHOST
    )


def _bare(address: str | int) -> str:
    """An address without the interface that it is for."""
    return str(address).partition("%")[0]


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
        sound = sound and parts.username is None and parts.password is None and not parts.fragment
    except ValueError:
        sound = False
    if not sound or len(url) > LONGEST or not url.isascii() or not url.isprintable() or " " in url:
        message = (
            "webhook: expected an address such as https://example.org/done, with http or https, without a name or password in "
            f"it, and of at most {LONGEST} ASCII characters."
        )
        raise Refusal(400, "invalid_webhook", message, field="webhook")
    return parts


def _host_and_port(text: str) -> tuple[str, int | None]:
    literal = _literal(text.strip("[]"))
    if literal is not None:
        return str(literal), None
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.path or parts.query or parts.username is not None or "*" in host.removeprefix("*."):
        raise ValueError(
            f"webhooks.hosts: expected a host such as example.org, *.example.org or 10.0.0.5:9000; got {text!r}"
        )
    literal = _literal(host)
    return (str(literal) if literal is not None else host.rstrip(".")), port


def _matches(allowed: str, host: str) -> bool:
    literal = _literal(host)
    if literal is not None:
        return allowed == str(literal)
    host = host.rstrip(".")
    return host == allowed or (allowed.startswith("*.") and host.endswith(allowed[1:]))


def _ports(wanted: int | None, scheme: str | None = None) -> tuple[int, ...]:
    """Ports that a host of the settings stands for, with addresses of one scheme or of any."""
    if wanted is not None:
        return (wanted,)
    return (_PORTS[scheme],) if scheme is not None else tuple(_PORTS.values())


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    """The address of IPv4 that one of IPv6 stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
