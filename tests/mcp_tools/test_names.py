"""Names of tools, and addresses of files."""

from __future__ import annotations

import re

import pytest

from engine.mcp_tools.names import LONGEST, title_of, tool_names
from engine.mcp_tools.records import Produced
from engine.mcp_tools.uris import file_of, uri_of

HARD = ["a b", "a_b", "a/b", "A_B", "Porträt", "肖像", "", "..", "x" * 100, "x" * 101, "a.b", "--", "ok-1"]


def test_every_name_is_one_that_clients_take_and_no_two_are_alike():
    found = tool_names(HARD)
    assert all(re.fullmatch(rf"[A-Za-z0-9_-]{{1,{LONGEST}}}", name) for name in found.values())
    assert len(set(found.values())) == len(HARD)
    assert found["ok-1"] == "ok-1"
    assert found["a_b"] == "a_b"
    assert found["Porträt"] == "Portrat"


def test_a_name_does_not_change_when_others_come_and_go():
    alone = tool_names(["portraits/soft light", "hires_fix"])
    among = tool_names(["hires_fix", "other", "portraits/soft light", "z"])
    assert alone.items() <= among.items()
    assert tool_names(["a b", "a_b", "a/b"])["a/b"] == tool_names(["a/b", "a_b"])["a/b"]


def test_titles_are_for_people():
    assert title_of("portraits/soft_light") == "Soft light"


@pytest.mark.parametrize("name", ["a.png", "sub folder/ä b.png", "100%.png", "a?b#c.png", "a//b.png"])
def test_an_address_leads_back_to_its_file(name):
    file = Produced(folder="temp", name=name)
    assert file_of(uri_of(file)) == file


@pytest.mark.parametrize(
    "uri", ["", "safelight:", "safelight://output", "safelight://output/", "safelight://user/a", "http://output/a"]
)
def test_other_addresses_are_none_of_ours(uri):
    assert file_of(uri) is None
