"""Saved workflows and what the field's front end makes of them: NAME.workflow.json and NAME.prompt.json.

One pair of each kind lies beside these tests; all that were ever measured are shared documents of the project and may be
absent. Compared is the graph: ids of nodes inside subgraphs may be numbered otherwise, and defaults that the front end fills
in may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.graph.schema import Catalogue, NodeSpec
from engine.graph.workflow import workflow_to_prompt
from engine.plugins.adapters.declaration import input_spec, output_specs

CASES = Path(__file__).parent / "cases"
OWN = sorted((CASES / "conversion").glob("*.workflow.json"))
SHARED = sorted((Path(__file__).parents[2].parent / "shared/cases/conversion").glob("*.workflow.json"))
PAIRS = [path for path in (*OWN, *SHARED) if not path.name.startswith("instance_")]


@pytest.fixture(scope="session")
def field_catalogue(builtin_catalogue: Catalogue) -> Catalogue:
    """Our own nodes, and the field's newer ones of which the cases are made."""
    newer = json.loads((CASES / "newer_nodes.json").read_text())
    known = [spec for spec in builtin_catalogue if spec.name not in newer]
    return Catalogue(
        [*map(dynamic, known), *(spec_of(name, one) for name, one in newer.items())], builtin_catalogue.aliases
    )


def dynamic(spec: NodeSpec) -> NodeSpec:
    """The texts of encoders are dynamic prompts, whatever is said of them here."""
    if spec.name not in ("TextEncode", "CLIPTextEncode"):
        return spec
    inputs = [
        msgspec.structs.replace(one, options={**one.options, "dynamicPrompts": True}) if one.name == "text" else one
        for one in spec.inputs
    ]
    return msgspec.structs.replace(spec, inputs=tuple(inputs))


def spec_of(name: str, facts: dict[str, Any]) -> NodeSpec:
    """The spec of a node that `object_info` declares so."""
    inputs = [
        input_spec(called, declared, required=section == "required")
        for section in ("required", "optional")
        for called, declared in facts["input"].get(section, {}).items()
    ]
    outputs = output_specs(facts["output"], [], [], [])
    return NodeSpec(
        name=name,
        inputs=tuple(inputs),
        outputs=outputs,
        output_node=facts.get("output_node", False),
        open_inputs=any(one.type.startswith("COMFY_") for one in inputs),
    )


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def shapes(prompt: dict[str, Any], catalogue: Catalogue) -> list[str]:
    """The nodes of a graph without their ids, sorted: each is what it is and what it reads."""
    found: dict[str, str] = {}

    def shape(node_id: str) -> str:
        if node_id not in found:
            found[node_id] = "a circle"
            node = prompt[node_id]
            inputs = {**defaults(node, catalogue), **node["inputs"]}
            read = {name: value_of(value) for name, value in inputs.items()}
            found[node_id] = json.dumps([node["class_type"], outer(node_id), read], sort_keys=True)
        return found[node_id]

    def value_of(value: Any) -> Any:
        linked = isinstance(value, list) and len(value) == 2 and value[0] in prompt
        return [shape(value[0]), value[1]] if linked else even(value)

    return sorted(shape(node_id) for node_id in prompt)


def outer(node_id: str) -> str:
    """The id of a node at the top level, which stays; those within subgraphs may be numbered otherwise."""
    return node_id if ":" not in node_id else ""


def defaults(node: dict[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    spec = catalogue.spec(node["class_type"])
    return {one.name: one.default for one in (spec.inputs if spec else ()) if one.is_widget and one.default is not None}


def even(value: Any) -> Any:
    """8.0 is 8 in JSON that a browser writes."""
    if isinstance(value, dict):
        return {key: even(one) for key, one in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.name.split(".")[0])
def test_a_saved_workflow_becomes_what_the_field_posts(path, field_catalogue):
    expected = read(path.with_name(path.name.replace(".workflow.", ".prompt.")))
    converted = workflow_to_prompt(read(path), field_catalogue)
    assert shapes(converted.prompt, field_catalogue) == shapes(expected, field_catalogue)
