"""What the editor shows as the call of a workflow is what commands and classes take: names that are their own are the same here."""

from __future__ import annotations

import argparse
import inspect
import re
from pathlib import Path

from engine.cli.parser import make_parser
from engine.local.workflow import Workflow

SOURCE = (Path(__file__).parent.parent / "web" / "src" / "calling" / "callTexts.ts").read_text()


def listed(name: str) -> set[str]:
    """A set of texts in the editor's source."""
    found = re.search(rf"const {name} = new Set\(\[(.*?)\]\)", SOURCE)
    assert found is not None
    return set(re.findall(r'"([^"]+)"', found[1]))


def test_options_of_run_itself_are_those_that_no_parameter_can_be_given_as():
    commands = next(one for one in make_parser()._actions if isinstance(one, argparse._SubParsersAction))
    options = commands.choices["run"]._option_string_actions
    own = {one.removeprefix("--") for one in options if one.startswith("--")}
    assert own <= listed("OWN_OPTIONS"), (
        "a parameter of that name would be taken for the option: add it in callTexts.ts"
    )


def test_arguments_of_run_itself_are_those_that_go_into_a_dict():
    named = inspect.signature(Workflow.run).parameters.values()
    assert listed("TAKEN") == {one.name for one in named if one.kind is one.KEYWORD_ONLY}
