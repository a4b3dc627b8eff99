"""Finding and undoing what packs put in the place of other people's functions, many times over."""

import sys
from types import ModuleType

import numpy as np
import pytest

from engine.plugins import replaced
from engine.plugins.replaced import Replaced

NAME = "numpy.made_for_a_test"
OWN, PACKS = "/library/own.py", "/packs/greedy.py"


def function(file: str):
    space: dict[str, object] = {}
    exec(compile("def made(): ...", file, "exec"), space)
    return space["made"]


@pytest.fixture
def module(monkeypatch) -> ModuleType:
    made = ModuleType(NAME)
    monkeypatch.setitem(sys.modules, NAME, made)
    monkeypatch.setattr(replaced, "pack_of", lambda file: "greedy" if file == PACKS else None)
    return made


def test_what_a_pack_replaces_is_put_back_each_time_it_does(module):
    module.used = used = function(OWN)
    standing = Replaced({NAME})
    assert standing.put_back() == {}
    for _ in range(3):
        module.used = function(PACKS)
        assert standing.put_back() == {f"{NAME}.used": "greedy"}
        assert module.used is used
        assert standing.put_back() == {}


def test_what_is_no_pack_s_stays_and_hides_nothing(module):
    module.used = function(OWN)
    module.table = np.zeros(3)
    standing = Replaced({NAME})
    module.table = table = np.zeros(3)  # whether it equals the other one has no one answer
    module.lazily = function(OWN)
    module.used = again = function(OWN)
    assert standing.put_back() == {}
    assert module.table is table
    assert module.used is again
    module.used = function(PACKS)
    assert standing.put_back() == {f"{NAME}.used": "greedy"}
