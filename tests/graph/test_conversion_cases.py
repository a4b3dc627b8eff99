"""Saved workflows and what the field's front end makes of them: NAME.workflow.json and NAME.prompt.json.

All that were ever measured lie beside these tests. Compared is the graph: ids of nodes inside subgraphs may be numbered otherwise, and defaults that the front end fills
in may be left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.graph.schema import Catalogue, InputSpec, NodeSpec
from engine.graph.widgets import first_value
from engine.graph.workflow import workflow_to_prompt
from engine.plugins.adapters.declaration import input_spec, output_specs

CASES = Path(__file__).parent / "cases"
OWN = sorted((CASES / "conversion").glob("*.workflow.json"))
ALL = {path.name.split(".")[0]: path for path in OWN}
PAIRS = sorted(name for name in ALL if not name.startswith("instance_"))
EXACT = 2**53
"""Numbers from here on are rounded in a browser; here they stay as they are."""


@pytest.fixture(scope="session")
def field_catalogue(builtin_catalogue: Catalogue) -> Catalogue:
    """Our own nodes, and the field's newer ones of which the cases are made."""
    newer = json.loads((CASES / "newer_nodes.json").read_text())
    known = [spec for spec in builtin_catalogue if spec.name not in newer]
    return Catalogue(
        [*map(as_declared_there, known), *(spec_of(name, one) for name, one in newer.items())],
        builtin_catalogue.aliases,
    )


def as_declared_there(spec: NodeSpec) -> NodeSpec:
    """What the cases take for granted of the field's declarations, whatever ours say."""
    return msgspec.structs.replace(
        spec, inputs=tuple(FACTS.get((spec.name, one.name), same)(one) for one in spec.inputs)
    )


def same(one: InputSpec) -> InputSpec:
    return one


def dynamic(one: InputSpec) -> InputSpec:
    return msgspec.structs.replace(one, options={**one.options, "dynamicPrompts": True})


def simple(one: InputSpec) -> InputSpec:
    return msgspec.structs.replace(one, default="simple")


FACTS = {("CLIPTextEncode", "text"): dynamic, ("TextEncode", "text"): dynamic, ("KSampler", "scheduler"): simple}


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


def read(name: str, kind: str = "workflow") -> Any:
    return json.loads(ALL[name].with_name(f"{name}.{kind}.json").read_text(encoding="utf-8"))


def shapes(prompt: dict[str, Any], catalogue: Catalogue) -> list[str]:
    """What runs, without ids, sorted: each node is what it is and what it reads.

    Left out are nodes that nothing which runs reads, as those of muted subgraphs within others, and nodes of unknown types.
    """
    found: dict[str, str] = {}

    def shape(node_id: str) -> str:
        if node_id not in found:
            found[node_id] = "a circle"
            node = prompt[node_id]
            inputs = {**defaults(node, catalogue), **node["inputs"]}
            found[node_id] = json.dumps(
                [node["class_type"], outer(node_id), {name: value_of(value) for name, value in inputs.items()}],
                sort_keys=True,
            )
        return found[node_id]

    def value_of(value: Any) -> Any:
        linked = isinstance(value, list) and len(value) == 2 and value[0] in prompt
        return [shape(value[0]), value[1]] if linked else even(value)

    for node_id, node in prompt.items():
        spec = catalogue.spec(node["class_type"]) if node["class_type"] else None
        if spec is not None and (spec.output_node or ":" not in node_id):
            shape(node_id)
    return sorted(found.values())


def outer(node_id: str) -> str:
    """The id of a node at the top level, which stays; those within subgraphs may be numbered otherwise."""
    return node_id if ":" not in node_id else ""


def defaults(node: dict[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    spec = catalogue.spec(node["class_type"]) if node["class_type"] else None
    return {one.name: first_value(one) for one in (spec.inputs if spec else ()) if one.is_widget}


def even(value: Any) -> Any:
    """As a browser writes it: 8.0 is 8, and large numbers are rounded."""
    if isinstance(value, dict):
        return {key: even(one) for key, one in value.items()}
    if type(value) is int and abs(value) >= EXACT:
        return float(value)
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < EXACT else value


BETTER = {
    "setget_kj": "set/get pairs are links here; without their pack, the field's front end posts nodes of no type",
    "unknown_type_linked": "the values of an unknown node have their names here",
}


def test_every_kind_of_case_is_there():
    assert len(OWN) >= 95


@pytest.mark.parametrize("name", [name for name in PAIRS if name not in BETTER])
def test_a_saved_workflow_becomes_what_the_field_posts(name, field_catalogue):
    converted = workflow_to_prompt(read(name), field_catalogue)
    assert shapes(converted.prompt, field_catalogue) == shapes(read(name, "prompt"), field_catalogue)
    json.dumps(converted.prompt)


def test_seeds_beyond_what_a_browser_can_count_stay_exact(field_catalogue):
    prompt = workflow_to_prompt(read("ks_big_seed"), field_catalogue).prompt
    assert prompt["5"]["inputs"]["seed"] == 2**64 - 1


def test_set_and_get_nodes_are_links(field_catalogue):
    prompt = workflow_to_prompt(read("setget_kj"), field_catalogue).prompt
    assert prompt["6"]["inputs"]["samples"] == ["5", 0]
    assert {"8", "9"}.isdisjoint(prompt)


def test_an_unknown_node_keeps_what_is_known_of_it(field_catalogue):
    node = workflow_to_prompt(read("unknown_type_linked"), field_catalogue).prompt["8"]
    assert (node["inputs"]["amount"], node["inputs"]["word"]) == (1, "two")


def test_nothing_in_a_muted_subgraph_runs_however_deep_it_is(field_catalogue):
    assert not any(":" in node_id for node_id in workflow_to_prompt(read("sub_nested_muted"), field_catalogue).prompt)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("instance_g2_compressed", ["Alpha-P", "Beta-P"]),
        ("instance_g3_proxy_primitive", ["exterior"]),
        ("instance_g7_no_markers", ["width of EmptyImage 24", "hello-T"]),
        ("instance_g9_nested_proxy_link", ["OUT.in"]),
        ("instance_g12_dup_inputs", ["A-B"]),
    ],
)
def test_an_instance_gives_its_values_to_what_is_inside(name, shown, field_catalogue):
    prompt = workflow_to_prompt(read(name), field_catalogue).prompt
    found = [text(prompt, node["inputs"]["source"]) for node in prompt.values() if node["class_type"] == "PreviewAny"]
    assert sorted(found) == sorted(shown)


def text(prompt: dict[str, Any], value: Any) -> Any:
    """What a graph of texts shows."""
    if not isinstance(value, list):
        return value
    node = prompt[value[0]]
    inputs = {name: text(prompt, one) for name, one in node["inputs"].items()}
    kind = node["class_type"]
    if kind == "StringConcatenate":
        return inputs["string_a"] + inputs["delimiter"] + inputs["string_b"]
    return {
        "PrimitiveString": lambda: inputs["value"],
        "EmptyImage": lambda: inputs["width"],
        "GetImageSize": lambda: f"width of EmptyImage {inputs['image']}",
    }[kind]()
