"""What `object_info` says of nodes of the field is what the field says, wherever the two once differed.

`field_declarations.json` has, per node, facts of release 0.3.64: `section.input.option` (`-`: not said), `section.input`
(whether it stands there), `… choices with` and `… without` (names among the choices, or not), `order`, and the rest of
the definition by its own keys.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.graph.schema import Files
from engine.server.routes.object_info_form import ASKED_FOR, node_form

FACTS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "field_declarations.json").read_text())

_NO_SUCH_NODE = "There is no such node here; it is listed for one editor, and kept out of the menus."
_PASSED_ON = "Releases after 0.3.64 pass the pictures on, and saved workflows link them."
_LATER = "Releases after 0.3.64 return the text too, and saved workflows link it."

OTHERWISE: dict[tuple[str, str], str] = {
    ("ImageOnlyCheckpointLoader", "deprecated"): _NO_SUCH_NODE,
    ("PreviewAny", "output"): _LATER,
    ("PreviewAny", "output_is_list"): _LATER,
    ("PreviewAny", "output_name"): _LATER,
    **{
        (node, fact): _PASSED_ON
        for node in ("SaveImage", "PreviewImage")
        for fact in ("output", "output_is_list", "output_name")
    },
}
"""Facts that are otherwise here, and why."""

CASES = [(node, fact) for node, facts in FACTS.items() for fact in facts]


@pytest.fixture(scope="module")
def declared(builtin_catalogue: Any) -> Any:
    absent = {spec.name: spec for spec in ASKED_FOR}

    def form(name: str) -> dict[str, Any]:
        spec = builtin_catalogue.spec(name) or absent[name]
        encoded = json.dumps(node_form(spec, name, _files), default=list)
        return json.loads(encoded)

    return form


def _files(files: Files) -> Any:
    return [f"a file of {files.folder}", *files.extra]


def said(form: dict[str, Any], fact: str) -> Any:
    """What a definition says of a fact, in the form of the table."""
    fact, _, relation = fact.partition(" ")
    if fact == "order":
        return [name for section in ("required", "optional") for name in form["input_order"].get(section, ())]
    section, *rest = fact.split(".")
    if not rest:
        return form[fact]
    entry = form["input"].get(section, {}).get(rest[0])
    if len(rest) == 1:
        return entry is not None
    assert entry is not None
    return set(entry[0]) if relation else entry[1].get(rest[1], "-")


@pytest.mark.parametrize(("node", "fact"), CASES, ids=lambda value: value.replace(" ", "_"))
def test_a_declaration_is_the_fields(declared: Any, node: str, fact: str) -> None:
    wanted, found = FACTS[node][fact], said(declared(node), fact)
    if fact.endswith(" with"):
        same = found >= set(wanted)
    elif fact.endswith(" without"):
        same = not found & set(wanted)
    else:
        same = found == wanted and isinstance(found, bool) == isinstance(wanted, bool)
    assert same is ((node, fact) not in OTHERWISE), f"{fact}: here {found!r}, in the field {wanted!r}"


def test_every_declared_input_stands_in_the_order_of_its_section(declared: Any) -> None:
    form = declared("KSampler")
    assert form["input_order"]["required"] == FACTS["KSampler"]["order"] == list(form["input"]["required"])


def test_the_one_further_input_may_be_left_out_and_stands_last(declared: Any) -> None:
    form = declared("ImageScaleToTotalPixels")
    assert list(form["input"]["optional"]) == ["resolution_steps"]
