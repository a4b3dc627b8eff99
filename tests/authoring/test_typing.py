"""What a type checker makes of packs: it sees the API, and finds mistakes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

import engine
from engine.cli.pack_new import make_pack
from tests.harness import mypy

ROOT = Path(__file__).resolve().parents[2]

HEAD = """
from typing import Annotated, NamedTuple

from engine.api import Context, Expand, ExecutionBlocker, In, Lazy, node, route


@node("Half")
def half(number: int, parts: int = 2) -> float:
    return number / parts

"""

WRONG = {
    "a result of another type": (
        '@node("T")\ndef t(n: int) -> int:\n    return "text"',
        'Incompatible return value type (got "str", expected "int")',
    ),
    "an unknown fact of an input": ("STEPS = In(minimum=1)", 'Unexpected keyword argument "minimum" for "In"'),
    "a fact of another type": ('STEPS = In(ge="one")', 'Argument "ge" to "In" has incompatible type "str"'),
    "an unknown option of a node": (
        '@node("T", colour="red")\ndef t(n: int) -> int:\n    return n',
        'Unexpected keyword argument "colour" for "node"',
    ),
    "a node called with another type": (
        'half("one")',
        'Argument 1 to "half" has incompatible type "str"; expected "int"',
    ),
    "a node in a graph given another type": (
        '@node("T")\ndef t(ctx: Context) -> Expand[float]:\n    g = ctx.subgraph()\n    return g.result(g.add(half, number="one"))',
        'No overload variant of "add" of "Subgraph"',
    ),
    "a graph with another result": (
        '@node("T")\ndef t(ctx: Context) -> Expand[str]:\n    g = ctx.subgraph()\n    return g.result(g.add(half, number=1))',
        'expected "str"',
    ),
    "a lazy input that is not awaited": (
        '@node("T")\nasync def t(a: Lazy[int]) -> int:\n    return a',
        'Incompatible return value type (got "Lazy[int]", expected "int")',
    ),
    "something that the context has not": (
        '@node("T")\ndef t(ctx: Context) -> None:\n    ctx.progres(1, 2)',
        '"Context" has no attribute "progres"; maybe "progress"?',
    ),
    "a field of several outputs of another type": (
        'class Two(NamedTuple):\n    a: int\n    b: str\n\n\n@node("T")\ndef t(n: int) -> Two:\n    return Two(n, n)',
        'Argument 2 to "Two" has incompatible type "int"; expected "str"',
    ),
    "a method that is none of HTTP's": (
        '@route("FETCH", "/pack/it")\nasync def t(request: object) -> int:\n    return 1',
        'Argument 1 to "route" has incompatible type',
    ),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What is said of each wrong piece of code, all checked at once."""
    folder = tmp_path_factory.mktemp("wrong")
    files = {what: folder / f"wrong_{number}.py" for number, what in enumerate(WRONG)}
    for what, file in files.items():
        file.write_text(f"{HEAD}\n{WRONG[what][0]}\n")
    said = mypy(*files.values())
    return {what: [line for line in said.splitlines() if file.name in line] for what, file in files.items()}


def test_the_example_pack_and_a_new_pack_pass(tmp_path):
    new = make_pack("my_pack", tmp_path)
    for pack in (ROOT / "custom_nodes" / "example_pack", new):
        assert "Success" in mypy(pack)


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_found(told, what):
    errors = [line for line in told[what] if ": error:" in line]
    assert any(WRONG[what][1] in line for line in errors), told[what]


def test_a_node_stays_what_it_was_for_whoever_calls_it(tmp_path):
    file = tmp_path / "right.py"
    file.write_text(HEAD + "reveal_type(half)\nreveal_type(half(1, parts=3))\n")
    said = mypy(file)
    assert 'Revealed type is "def (number: int, parts: int = 2) -> float"' in said or "parts: int =" in said
    assert 'Revealed type is "float"' in said or "builtins.float" in said
    assert "error" not in said


def test_the_marker_that_the_package_is_typed_goes_into_the_wheel():
    from hatchling.builders.wheel import WheelBuilder

    assert (Path(engine.__file__).parent / "py.typed").is_file()
    builder = WheelBuilder(str(ROOT))
    packed = {one.distribution_path for one in builder.recurse_included_files()}
    template = {one for one in packed if one.startswith("engine/cli/pack_template/")}
    assert "engine/py.typed" in packed
    assert len(template) == 5
