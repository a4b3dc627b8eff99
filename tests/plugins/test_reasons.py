"""Why something of a pack failed, in one line with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.plugins.reasons import reason


@pytest.mark.parametrize(
    ("file", "place"),
    [("__init__.py", "line 3: "), ("parts/maths.py", "parts/maths.py line 3: "), ("../other.py", "other.py line 3: ")],
)
def test_a_file_that_cannot_be_read_is_named_where_it_is_not_the_pack_s_own_first(
    tmp_path: Path, file: str, place: str
) -> None:
    pack = tmp_path / "pack"
    broken = (pack / file).resolve()
    said = reason(SyntaxError("invalid syntax", (str(broken), 3, 1, "")), pack / "__init__.py")
    assert said.endswith(f"{place}SyntaxError: invalid syntax")
    assert said.startswith(str(broken)) is (file == "../other.py")


def test_the_last_line_of_the_pack_s_own_code_is_named(tmp_path: Path) -> None:
    file = tmp_path / "pack" / "part.py"
    found: dict[str, object] = {}
    exec(compile("\ndef fail():\n    return {}['key']\n", str(file), "exec"), found)
    with pytest.raises(KeyError) as caught:
        found["fail"]()  # type: ignore[operator]
    assert reason(caught.value, tmp_path / "pack" / "__init__.py") == "part.py line 3: KeyError: 'key'"
    assert reason(caught.value, tmp_path / "another" / "__init__.py") == "KeyError: 'key'"
