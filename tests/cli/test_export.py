"""`safelight export`, and running what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli import exits

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["text_to_image", "settings_grid"])
def test_a_workflow_becomes_python_and_comes_back_as_it_was(name, base):
    original = json.loads((ROOT / f"workflows/{name}.json").read_text())
    base.run("export", name, "--out", "graph.py", apart=False)
    back = base.run("export", "graph.py", "--to", "workflow", apart=False)
    assert json.loads(back.out) == original
    prompts = [base.run("export", source, "--to", "prompt", apart=False).out for source in (name, "graph.py")]
    assert prompts[0] == prompts[1]
    assert json.loads(prompts[0])


def test_a_script_is_run_as_the_graph_that_it_builds_and_is_not_executed(base, sum_file):
    base.run("export", sum_file, "--out", "sum.py", apart=False)
    script = (base.folder / "sum.py").read_text()
    assert 'first = g.TestNumber(value=2, _title="First")' in script
    aside = "if __name__ == '__main__':\n    open('executed', 'w')\n"
    base.write("sum.py", script.replace("value=3", "value=4") + aside)
    assert "sum: 6" in base.run("run", "sum.py", "--quiet").out
    assert not (base.folder / "executed").exists()
    refused = base.run("run", base.write("more.py", script + "for x in [1]: pass\n"), code=exits.INVALID, apart=False)
    assert "for x in [1]" in refused.said
    assert "Run the file with Python instead" in refused.said


def test_a_value_is_set_on_the_way(base):
    done = base.run("export", "text_to_image", "--set", "seed=77", "--to", "prompt", apart=False)
    assert 77 in [entry["inputs"].get("seed") for entry in json.loads(done.out).values()]


def test_the_nodes_of_packs_are_among_the_stubs(base):
    done = base.run("export", "--stubs", apart=False)
    assert "def TestNumber(self, *, value: int | INT_Output = ...," in done.out
    compile(done.out, "stubs", "exec")


def test_one_thing_at_a_time(base):
    for arguments in ([], ["text_to_image", "--stubs"]):
        assert "one of the two" in base.run("export", *arguments, code=exits.USAGE, apart=False).said
    told = base.run("export", "text_to_image", "--out", "no/such/folder.py", code=exits.UNREADABLE, apart=False)
    assert "Cannot write" in told.said
