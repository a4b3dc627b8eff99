"""The services that the settings and the environment name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import msgspec

from engine.config import ServiceSettings
from engine.remote.addresses import AddressError, checked
from engine.remote.errors import MOST_WORDS, RemoteError

PREFIX: Final = "SAFELIGHT_SERVICE_"

_VARIABLE: Final = re.compile(rf"{PREFIX}([A-Z][A-Z0-9_]*)_(URL|KEY)")


@dataclass(frozen=True, slots=True)
class Service:
    """One service. `key` is empty where it asks for none."""

    name: str
    url: str = field(repr=False)
    key: str = field(repr=False)
    settings: ServiceSettings = field(repr=False)

    def model(self, wanted: str) -> str:
        """The model that is asked: the one wanted, or the service's own; empty where the service chooses."""
        return wanted or self.settings.model

    def scrub(self, text: str) -> str:
        """What may be told of a text that the service gave: one line, not long, without its address and its key."""
        host = urlsplit(self.url).netloc
        for secret in (self.key, self.url, host, host.partition(":")[0]):
            if len(secret) > 3:
                text = re.sub(re.escape(secret), "…", text, flags=re.IGNORECASE)
        text = " ".join("".join(one if one.isprintable() else " " for one in text).split())
        return text if len(text) <= MOST_WORDS else f"{text[:MOST_WORDS]}…"


class RemoteServices:
    """Every service by its name. The environment goes before the settings.

    `SAFELIGHT_SERVICE_NAME_URL` and `SAFELIGHT_SERVICE_NAME_KEY` give address and key of the service `NAME`, in small
    letters where the settings have none of that name. Raises AddressError for what may not be used as one.
    """

    def __init__(self, settings: Mapping[str, ServiceSettings], environment: Mapping[str, str]) -> None:
        known = {_variable_name(name): name for name in settings}
        told = {match[1] for one in environment if (match := _VARIABLE.fullmatch(one)) and match[2] == "URL"}
        all_settings = {known.get(name, name.lower()): ServiceSettings() for name in sorted(told)} | dict(settings)
        self._services = {name: _service(name, one, environment) for name, one in sorted(all_settings.items())}
        self._missing_keys = {
            name: one.key_variable
            for name, one in all_settings.items()
            if one.key_variable and not self._services[name].key
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The names, sorted."""
        return tuple(self._services)

    def get(self, name: str) -> Service:
        """The service called `name`. Raises RemoteError for one that is not there, or whose key is not."""
        found = self._services.get(name)
        if found is None:
            near = difflib.get_close_matches(name, self.names, n=3, cutoff=0.5) or self.names
            there = f"There are: {', '.join(near)}." if near else "The settings name none."
            raise RemoteError(f"There is no service {name!r}. {there} Add [services.{name}] to safelight.toml.")
        if name in self._missing_keys:
            raise RemoteError(
                f"Service {name!r} has no key: the environment variable {self._missing_keys[name]}, which `key_variable` "
                f"under [services.{name}] names, is not set. Set it, and start again."
            )
        return found

    def facts(self, table: str, name: str) -> bytes:
        """What a result of the service depends on beside the inputs: where it is and what it is asked. Not its key."""
        found = self._services.get(name)
        if table != "services" or found is None:
            return b""
        one = found.settings
        return msgspec.json.encode((found.url, one.model, one.sends_seed))


def _variable_name(name: str) -> str:
    return name.upper().replace("-", "_")


def _service(name: str, settings: ServiceSettings, environment: Mapping[str, str]) -> Service:
    variable = PREFIX + _variable_name(name)
    entry = f"{variable}_URL" if f"{variable}_URL" in environment else f"services.{name}.url"
    url = environment.get(f"{variable}_URL") or settings.url
    if not url:
        raise AddressError(f"{entry} is missing. Give the address of the service, such as https://HOST/v1.")
    held = environment.get(settings.key_variable, "") if settings.key_variable else ""
    key = (environment.get(f"{variable}_KEY") or held or settings.key).strip()
    if not key.isascii() or not key.isprintable():
        raise AddressError(f"The key of services.{name} holds characters that no header can hold. Copy it anew.")
    return Service(name, checked(entry, url), key, settings)
