# ruff: noqa: PT018 - facts that belong together
"""What packs put into declarations, as JSON can hold it, and the reasons that reports give."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.plugins.adapters.declaration import claims, claims_all, claims_some, input_spec, more_outputs, output_specs
from engine.plugins.adapters.plain import choice_values, is_number, number, plain, text_of
from engine.plugins.reasons import reason


class Opaque:
    def __str__(self) -> str:
        return "opaque"


def test_values_become_what_json_can_hold() -> None:
    given = {
        1: (2, {"a"}),
        "f": print,
        "o": Opaque(),
        "b": True,
        "n": None,
        "x": 2**80,
        "np": np.float32(0.5),
        "s": "\ud800",
    }
    assert plain(given) == {"1": [2, ["a"]], "o": "opaque", "b": True, "n": None, "x": 2**64 - 1, "np": 0.5, "s": "?"}
    json.dumps(plain(given))


def test_circles_end_and_shared_parts_that_multiply_are_refused() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    assert plain(circle) == [1, "…"]
    shared: list[Any] = []
    for _ in range(12):
        shared = [shared] * 12
    with pytest.raises(ValueError, match="more than 250000 values"):
        plain(shared)


def test_choices_keep_their_kind_and_have_an_end() -> None:
    assert choice_values([1, 2.5, True, None, "a", "\udcff", 2**70]) == (1, 2.5, True, "None", "a", "?", str(2**70))
    assert choice_values([math.nan]) == ("nan",)
    with pytest.raises(ValueError, match="more than 250000 choices"):
        choice_values(itertools.count())


def test_only_finite_numbers_bound_others() -> None:
    assert [is_number(one) for one in (1, 0.5, np.int64(3), True, math.nan, math.inf, "1", None)] == [
        *[True] * 3, *[False] * 5,
    ]  # fmt: skip
    assert number(np.int64(3)) == 3 and type(number(np.int64(3))) is int and number(-(2**90)) == -(2**63)
    assert text_of("é") == "é"


def test_bounds_that_are_none_are_left_to_editors_or_dropped() -> None:
    spec = input_spec("a", ("INT", {"min": np.int64(-1), "max": math.inf, "step": "x"}), required=True)
    assert (spec.ge, spec.le, spec.step) == (-1, None, None)


def test_a_union_is_the_same_with_blanks_in_it() -> None:
    assert input_spec("a", ("INT, FLOAT",), required=True).type == "INT,FLOAT"
    assert [one.type for one in output_specs((" IMAGE ,MASK",), (), (), ())] == ["IMAGE,MASK"]


def test_containers_say_what_they_claim() -> None:
    class Some(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            return str(key).startswith("lora_")

    class Answers:
        def __getitem__(self, key: Any) -> Any:
            return ("*", {})

    assert claims(Some(), "lora_1") and not claims(Some(), "x") and claims_some(Some()) and not claims_all(Some())
    assert not claims_some({"a": 1}) and not claims({}, "a") and not claims(Answers(), "a")


def test_a_tuple_that_answers_every_index_has_more_outputs_than_it_lists() -> None:
    class Every(tuple[Any, ...]):
        __slots__ = ()

        def __getitem__(self, index: Any) -> Any:
            return super().__getitem__(min(index, len(self) - 1))

    assert more_outputs(Every(("INT", "*"))) == "*" and more_outputs(("INT",)) == "" == more_outputs(5)
    assert [one.type for one in output_specs(Every((("IMAGE",), ["a"])), (), (), ())] == ["IMAGE", "COMBO"]


def test_a_reason_has_the_line_of_the_packs_own_code(tmp_path: Path) -> None:
    pack = tmp_path / "pack" / "__init__.py"
    (tmp_path / "pack" / "sub").mkdir(parents=True)
    helper = tmp_path / "pack" / "sub" / "helper.py"
    helper.write_text("import json\n\n\ndef read():\n    json.loads('{')\n")
    scope: dict[str, Any] = {}
    exec(compile(helper.read_text(), str(helper), "exec"), scope)
    with pytest.raises(ValueError) as raised:
        scope["read"]()
    assert reason(raised.value, pack).startswith("sub/helper.py line 5: JSONDecodeError: Expecting")
    assert reason(raised.value, helper).startswith("line 5: ")
    assert reason(raised.value, tmp_path / "other.py").startswith("JSONDecodeError: ")


def test_a_reason_is_told_whatever_the_error_is() -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert reason(OddError(), "x.py") == "OddError: (its message cannot be read)"
    assert (
        len(reason(RuntimeError("e" * 10**6), "x.py")) <= 2100 and reason(ValueError("\ud800"), "") == "ValueError: ?"
    )
