"""What a server is told when it starts: one value with the defaults, checked when it is made."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

PreviewMethod: TypeAlias = Literal["none", "auto", "latent2rgb", "taesd"]
LogFormat: TypeAlias = Literal["text", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]

DEFAULT_PORT: Final = 8188
LOOPBACK: Final = "127.0.0.1"
MEGABYTE: Final = 1024 * 1024
TOKEN_VARIABLE: Final = "SAFELIGHT_TOKEN"
MIN_TOKEN: Final = 8

_HOST_NAME: Final = re.compile(r"^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$")


class OptionsError(ValueError):
    """An option that cannot be used; the message names the option, what was expected and what came."""


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What `safelight serve` is told, beside its folders (`engine.config.Folders`).

    Raises OptionsError for values that cannot be used.
    """

    listen: tuple[str, ...] = (LOOPBACK,)
    """Addresses or host names to bind."""
    port: int = DEFAULT_PORT
    """0: any free one."""
    cpu: bool = False
    """Use no GPU."""
    workers: int | None = None
    """How many worker processes; None: one per device."""
    front_end_root: Path | None = None
    """Folder of a front end to serve instead of our own page."""
    token: str | None = field(default=None, repr=False)
    """What clients must present. None: needed by nobody on loopback; elsewhere one is made at the start."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which clients may call this server, besides its addresses."""
    cors_origins: tuple[str, ...] = ()
    """Origins of foreign pages that may use this server, such as `https://example.org`."""
    max_upload_size: int = 100 * MEGABYTE
    """Bytes."""
    preview_method: PreviewMethod = "auto"
    open_browser: bool = False
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"

    def __post_init__(self) -> None:
        """Check every value that can be wrong by itself."""
        _check_listen(self.listen)
        _check_number("--port", self.port, 0, 65535)
        if self.workers is not None:
            _check_number("--workers", self.workers, 1, 256)
        _check_number("--max-upload-size", self.max_upload_size, 1, 1 << 50)
        _check_choice("--preview-method", self.preview_method, get_args(PreviewMethod))
        _check_choice("--log-format", self.log_format, get_args(LogFormat))
        _check_choice("--log-level", self.log_level, get_args(LogLevel))
        _check_token(self.token)
        for host in self.allowed_hosts:
            _check_host("--allow-host", host)
        for origin in self.cors_origins:
            _check_origin(origin)
        _check_front_end(self.front_end_root)

    @property
    def loopback(self) -> bool:
        """Whether every address can be reached from this machine only."""
        return all(is_loopback(address) for address in self.listen)


def is_loopback(address: str) -> bool:
    """Whether `address` (an IP literal or a host name) means this machine and nothing else."""
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address.lower().rstrip(".") == "localhost"


def _check_listen(addresses: tuple[str, ...]) -> None:
    if not addresses:
        raise OptionsError(f"--listen: expected at least one address, such as {LOOPBACK}.")
    for address in addresses:
        _check_host("--listen", address)


def _check_host(option: str, host: str) -> None:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if not _HOST_NAME.match(host):
            raise OptionsError(f"{option}: expected an IP address or a host name without port, got {host!r}.") from None


def _check_number(option: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise OptionsError(f"{option}: expected a number from {least} to {most}, got {value}.")


def _check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OptionsError(f"{option}: expected one of {', '.join(choices)}, got {value!r}.")


def _check_token(token: str | None) -> None:
    if token is None:
        return
    if len(token) < MIN_TOKEN or not all("!" <= letter <= "~" for letter in token):
        raise OptionsError(
            f"--token: expected at least {MIN_TOKEN} letters, digits or signs of ASCII without spaces, got "
            f"{len(token)} characters. Leave it out to have one made when it is needed."
        )


def _check_origin(origin: str) -> None:
    try:
        parts = urlsplit(origin)
        well_formed = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        well_formed = False
    if not well_formed or origin != f"{parts.scheme}://{parts.netloc}":
        raise OptionsError(
            f"--enable-cors-header: expected the origin of a page, such as https://example.org, got {origin!r}. "
            "Pages of every origin (*) are not let in: they could run what they like on this machine."
        )


def _check_front_end(root: Path | None) -> None:
    if root is not None and not (root / "index.html").is_file():
        raise OptionsError(
            f"--front-end-root: expected a folder with an index.html, and {root} has none. "
            "Of a pip package it is the folder `static` in it."
        )
