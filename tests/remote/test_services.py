"""Which services there are: from the settings and the environment, and which addresses may be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import ServiceSettings, SettingsError, load_settings
from engine.remote.addresses import AddressError, may_fetch
from engine.remote.errors import RemoteError
from engine.remote.events import EventReader
from engine.remote.services import RemoteServices

URL = "https://api.example/v1"


def test_the_environment_goes_before_the_file_and_may_be_all_there_is() -> None:
    settings = {"my-paint": ServiceSettings(url=URL, key="from the file", key_variable="PAINT")}
    environment = {"SAFELIGHT_SERVICE_MY_PAINT_KEY": "k2", "SAFELIGHT_SERVICE_OTHER_URL": "http://localhost:1/v1/"}
    services = RemoteServices(settings, environment | {"PAINT": "k1", "SAFELIGHT_SERVICE_NOURL_KEY": "x"})
    assert services.names == ("my-paint", "other")
    assert services.get("my-paint").key == "k2"
    assert services.get("other").url == "http://localhost:1/v1"
    assert RemoteServices(settings, {"PAINT": "k1"}).get("my-paint").key == "k1"
    assert RemoteServices(settings, {}).get("my-paint").key == "from the file"


def test_a_key_that_is_not_set_is_told_when_it_is_needed() -> None:
    services = RemoteServices({"paint": ServiceSettings(url=URL, key_variable="PAINT_KEY")}, {})
    with pytest.raises(RemoteError, match="PAINT_KEY"):
        services.get("paint")


def test_results_depend_on_where_a_service_is_and_not_on_its_key() -> None:
    def facts(**settings: str) -> bytes:
        return RemoteServices({"a": ServiceSettings(**{"url": URL} | settings)}, {}).facts("services", "a")  # type: ignore

    assert facts() == facts(key="k")
    assert len({facts(), facts(model="m"), facts(url="https://b.example")}) == 3


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "ftp://a.example",
            "a.example/v1",
            "http://a.example/v1",
            "https://user:pw@a.example/v1",
            "https://a.example?k=1",
        ),
        *("https:///v1", "http://[::1", "http://10.0.0.1/v1", "https://a.example:99999/", "http://localhost.example"),
    ],
)
def test_an_address_that_may_not_be_used_is_named_by_its_entry_and_not_shown(url: str) -> None:
    with pytest.raises(AddressError, match=r"services\.a\.url") as raised:
        RemoteServices({"a": ServiceSettings(url=url)}, {})
    assert not url or url not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8188/v1", "http://[::1]:1", "http://localhost/v1", "https://10.0.0.1/v1"]
)
def test_plain_http_is_for_this_machine(url: str) -> None:
    assert RemoteServices({"a": ServiceSettings(url=url)}, {}).get("a").url == url


def test_pictures_are_fetched_from_the_service_and_from_hosts_that_are_named() -> None:
    assert may_fetch("https://api.example:443/x", URL, ())
    assert not may_fetch("https://api.example:444/x", URL, ())
    assert may_fetch("https://cdn.pictures.example/x", URL, ("*.pictures.example",))
    assert not may_fetch("https://evil-pictures.example/x", URL, ("*.pictures.example",))
    assert not may_fetch("http://cdn.example/x", URL, ("cdn.example",))
    assert not may_fetch("https://u@cdn.example/x", URL, ("cdn.example",))


def test_neither_key_nor_address_shows_where_a_record_is_printed() -> None:
    settings = ServiceSettings(url=URL, key="secret-key")
    shown = repr(settings) + repr(RemoteServices({"a": settings}, {}).get("a")) + repr({"services": settings})
    assert "secret" not in shown
    assert "api.example" not in shown


def test_a_program_with_an_address_that_may_not_be_used_does_not_start(tmp_path: Path) -> None:
    from engine.__main__ import make_app

    (tmp_path / "safelight.toml").write_text('[services.a]\nurl = "http://a.example"\n')
    assert load_settings(tmp_path).services["a"].seconds == 300
    with pytest.raises(SettingsError, match=r"services\.a\.url"):
        make_app(tmp_path)
    (tmp_path / "safelight.toml").write_text('[services."a b"]\nurl = "https://a.example"\n')
    with pytest.raises(SettingsError, match="matching regex"):
        load_settings(tmp_path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("cut", [1, 2, 3, 100])
def test_events_are_read_wherever_their_pieces_are_cut(end: str, cut: int) -> None:
    text = end.join(["event: a", "data: one", "data:two", "", ": comment", "", "data: three", "", "data: never ended"])
    data, reader, found = text.encode(), EventReader(), []
    for start in range(0, len(data), cut):
        found += reader.feed(data[start : start + cut])
    assert found == [b"one\ntwo", b"three"]
