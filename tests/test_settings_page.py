"""docs/settings.md says what the record of settings says, so that it cannot go stale."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec

from engine.cli.parser import make_parser
from engine.config import Settings, load_settings

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
ROWS = {
    name: [cell.strip() for cell in rest.split("|")]
    for name, rest in re.findall(r"^\| `((?!SAFELIGHT_)[a-zA-Z_.]+)` \|(.*)\|$", PAGE, re.MULTILINE)
}


def declared(record: type[msgspec.Struct], before: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted name → (type, default) of every setting of a record and of the records in it; a table's entries are `NAME`."""
    found: dict[str, tuple[Any, Any]] = {}
    for field in msgspec.structs.fields(record):
        kind = field.type
        if get_origin(kind) is dict:
            entry = get_args(kind)[1]
            if isinstance(entry, type) and issubclass(entry, msgspec.Struct):
                found |= declared(entry, f"{before}{field.name}.NAME.")
            else:
                found[before + field.name] = (msgspec.inspect.type_info(kind), {})
            continue
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            found |= declared(kind, f"{before}{field.name}.")
        else:
            found[before + field.name] = (msgspec.inspect.type_info(kind), field.default)
    return found


UNTOLD = {"none": None, "–": msgspec.NODEFAULT}
"""No default of the file's own, and one that must be given."""


def test_the_page_lists_every_setting_with_its_default() -> None:
    settings = declared(Settings)
    assert sorted(ROWS) == sorted(settings)
    told = {
        name: UNTOLD[row[1]] if row[1] in UNTOLD else tomllib.loads(f"it = {row[1].strip('`')}")["it"]
        for name, row in ROWS.items()
    }
    assert told == {name: list(default) if default == () else default for name, (_, default) in settings.items()}


def test_the_page_names_the_type_and_the_bounds_of_every_setting() -> None:
    for name, (info, _) in declared(Settings).items():
        assert ROWS[name][0] == described(info), name


def described(info: Any) -> str:
    """A type as the page names it: `number from 0`, `list of texts`."""
    if isinstance(info, msgspec.inspect.VarTupleType):
        return f"list of {described(info.item_type)}s"
    if isinstance(info, msgspec.inspect.DictType):
        return "table"
    if isinstance(info, msgspec.inspect.UnionType):
        return " or ".join(described(one) for one in info.types)
    kinds = {
        msgspec.inspect.StrType: "text",
        msgspec.inspect.LiteralType: "text",
        msgspec.inspect.IntType: "whole number",
        msgspec.inspect.FloatType: "number",
        msgspec.inspect.BoolType: "true or false",
        msgspec.inspect.NoneType: "none",
    }
    bounds = [f" {word} {getattr(info, bound):g}" for bound, word in BOUNDS if getattr(info, bound, None) is not None]
    return kinds[type(info)] + "".join(bounds)


BOUNDS = (("ge", "from"), ("gt", "above"), ("le", "to"), ("lt", "below"))


def test_the_example_of_the_page_is_a_sound_file(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "safelight.toml").write_text(example, encoding="utf-8")
    assert load_settings(tmp_path).cache.disk_gib == 50


def test_options_and_variables_that_the_page_names_are_there() -> None:
    variables = set(re.findall(r"`(SAFELIGHT_[A-Z_]+)`", PAGE))
    sources = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "engine").rglob("*.py"))
    assert {name for name in variables if name not in sources} == set()
    for command, option in re.findall(r"`(?:(serve) )?(--[a-z-]+)`", PAGE):
        subcommand = command or "run"
        known = make_parser()._subparsers._group_actions[0].choices[subcommand]._option_string_actions  # type: ignore
        assert option in known, option
