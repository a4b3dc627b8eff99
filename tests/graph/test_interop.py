"""Pairs of one graph in both forms: NAME.workflow.json and NAME.prompt.json.

The pairs in tests/interop each show one group of features; those in its folder `examples` are whole workflows such as people
save, made by `make_examples.py` from one description each, so that neither form comes from our own conversion.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.graph.layout import prompt_to_workflow
from engine.graph.schema import Catalogue, InputSpec, NodeSpec
from engine.graph.workflow import workflow_to_prompt

OWN = sorted((Path(__file__).parent.parent / "interop").glob("*.workflow.json"))
FIELD = sorted((Path(__file__).parent.parent / "interop/examples").glob("*.workflow.json"))
CANVAS_ONLY = {"upload", "choose file to upload", "video-preview"}
"""Buttons and previews that editors write among the inputs."""


def pair(path):
    other = path.with_name(path.name.replace(".workflow.", ".prompt."))
    return json.loads(path.read_text()), json.loads(other.read_text())


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name.split(".")[0])
def test_a_workflow_of_ours_becomes_its_prompt(path, catalogue):
    workflow, prompt = pair(path)
    converted = workflow_to_prompt(workflow, catalogue)
    assert converted.problems == []
    assert converted.prompt == prompt


def test_our_pairs_are_there():
    assert len(OWN) >= 4
    assert len(FIELD) >= 25


@pytest.fixture(scope="module")
def field_catalogue():
    """The classes of the field's examples, read off their prompts: widgets stand there in the declared order."""
    classes: dict[str, dict[str, str]] = {}
    pairs = [pair(path) for path in FIELD]
    for _, prompt in pairs:
        for node in prompt.values():
            declared = classes.setdefault(node["class_type"], {})
            for name, value in node["inputs"].items():
                if declared.setdefault(name, "*") == "*" and not isinstance(value, list):
                    declared[name] = type_of(value)
    for workflow, _ in pairs:
        for node in workflow["nodes"]:
            declared = classes.get(node["type"], {})
            for one in node.get("inputs") or ():
                if "widget" in one and declared.get(one["name"]) == "*":
                    declared[one["name"]] = one["type"]
    return Catalogue(
        NodeSpec(
            name=name,
            inputs=tuple(InputSpec(name=one, type=kind) for one, kind in inputs.items() if one not in CANVAS_ONLY),
        )
        for name, inputs in classes.items()
    )


def type_of(value):
    return {bool: "BOOLEAN", int: "INT", float: "FLOAT"}.get(type(value), "STRING")


def bare(prompt):
    """Types and inputs alone, without what editors add."""
    return {
        node_id: (node["class_type"], {k: v for k, v in node["inputs"].items() if k not in CANVAS_ONLY})
        for node_id, node in prompt.items()
    }


@pytest.mark.parametrize("path", FIELD, ids=lambda path: path.name.split(".")[0])
def test_a_workflow_of_the_field_becomes_its_prompt(path, field_catalogue):
    workflow, prompt = pair(path)
    assert bare(workflow_to_prompt(workflow, field_catalogue).prompt) == bare(prompt)


@pytest.mark.parametrize("path", FIELD, ids=lambda path: path.name.split(".")[0])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_prompt_of_the_field_comes_back_whole_from_being_laid_out(path, known, field_catalogue):
    _, prompt = pair(path)
    catalogue = field_catalogue if known else Catalogue([])
    back = workflow_to_prompt(prompt_to_workflow(prompt, catalogue), catalogue)
    assert back.problems == []
    assert unnamed(back.prompt) == unnamed(with_defaults(prompt, back.prompt))


def with_defaults(prompt, back):
    """`prompt` with the values of widgets that it left out: a laid out node has them all."""
    full = {}
    for node_id, node in prompt.items():
        drawn = back.get(node_id, node)["inputs"]
        added = {name: value for name, value in drawn.items() if not isinstance(value, list)}
        full[node_id] = {**node, "inputs": {**added, **node["inputs"]}}
    return full


def unnamed(prompt):
    """The graph without its ids, which change where they are no whole numbers: a node is what it is and what it reads."""
    found: dict[str, str] = {}

    def named(node_id):
        if node_id not in found:
            found[node_id] = ""  # a circle, if it is asked for again
            node = prompt[node_id]
            inputs = {name: read(value) for name, value in sorted(node["inputs"].items()) if name not in CANVAS_ONLY}
            found[node_id] = json.dumps([node["class_type"], inputs], sort_keys=True)
        return found[node_id]

    def read(value):
        linked = isinstance(value, list) and len(value) == 2 and value[0] in prompt
        return [named(value[0]), value[1]] if linked else value

    return sorted(named(node_id) for node_id in prompt)


@pytest.mark.parametrize("path", FIELD, ids=lambda path: path.name.split(".")[0])
def test_of_a_workflow_of_unknown_nodes_every_node_and_link_is_kept(path):
    workflow, prompt = pair(path)
    converted = workflow_to_prompt(workflow, Catalogue([])).prompt
    assert links_of(converted) == links_of(prompt)


def links_of(prompt):
    return {
        (node_id, node["class_type"], name, tuple(value))
        for node_id, node in prompt.items()
        for name, value in node["inputs"].items()
        if isinstance(value, list)
    }
