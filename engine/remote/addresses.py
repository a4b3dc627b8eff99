"""Which addresses are asked: https anywhere, plain http on this machine alone, and no host that nobody has named."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import SplitResult, urlsplit

_USUAL: Final = {"http": 80, "https": 443}


class AddressError(ValueError):
    """An address or a key in the settings that may not be used; the message names the entry, and does not show it."""


def checked(entry: str, url: str) -> str:
    """The address of a service without a slash at its end. Raises AddressError; `entry` is its name in the settings."""
    parts = _split(url)
    if parts is None:
        raise AddressError(f"{entry} is no address. Expected one such as https://HOST/v1.")
    if parts.scheme not in _USUAL or not parts.hostname:
        raise AddressError(f"{entry} has no https:// and host at its beginning. Expected one such as https://HOST/v1.")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise AddressError(
            f"{entry} has a user, a query or a fragment in it. Give the address alone, and the key as `key_variable`."
        )
    if not _is_safe(parts):
        raise AddressError(
            f"{entry} begins with http://, where anybody on the way reads the key. Write https://; "
            "plain http is for services on this machine (localhost, 127.0.0.1, [::1])."
        )
    return url.rstrip("/")


def same_origin(one: str, other: str) -> bool:
    """Whether both have the same scheme, host and port."""
    first, second = _split(one), _split(other)
    return first is not None and second is not None and _origin(first) == _origin(second)


def may_fetch(url: str, service: str, hosts: Iterable[str]) -> bool:
    """Whether a picture may be fetched from `url`, as a service at the address `service` says.

    It may from the service itself, and from the `hosts` (`name`, or `*.name` for every one below) that the settings name.
    """
    parts = _split(url)
    if parts is None or parts.scheme not in _USUAL or not parts.hostname or parts.username is not None:
        return False
    return same_origin(url, service) or (_is_safe(parts) and any(_fits(parts.hostname, one) for one in hosts))


def is_loopback(url: str) -> bool:
    """Whether an address is one of this machine itself."""
    parts = _split(url)
    name = (parts.hostname or "").rstrip(".") if parts is not None else ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_safe(parts: SplitResult) -> bool:
    return parts.scheme == "https" or is_loopback(parts.geturl())


def _fits(host: str, pattern: str) -> bool:
    pattern = pattern.lower()
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _USUAL.get(parts.scheme)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for one that is none
    except ValueError:
        return None
    return parts
