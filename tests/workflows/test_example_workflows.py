"""The example workflows are sound, readable drawings of the graphs they run as."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from engine.graph.dynamic import GROWING
from engine.graph.formats import load
from engine.graph.layout import prompt_to_workflow
from engine.graph.parameters import parameters
from engine.graph.validate import check

FOLDER = Path(__file__).parents[2] / "workflows"
EXAMPLES = sorted(FOLDER.glob("*.json"))
EXPECTED = {
    "area_prompts",
    "forward_process",
    "hires_fix",
    "image_to_image",
    "inpainting",
    "sampler_grid",
    "settings_grid",
    "text_to_image",
}

every_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_there_is_an_example_of_each_kind():
    assert {path.stem for path in EXAMPLES} >= EXPECTED


@every_example
def test_it_is_sound_on_the_bundled_model(path, builtin_catalogue):
    loaded = load(read(path), builtin_catalogue)
    checked = check(loaded.prompt, builtin_catalogue, choices=lambda files: ["emoji-64.safetensors"])
    assert [str(one) for one in loaded.problems + checked.problems] == []
    assert checked.outputs


@every_example
def test_every_node_is_drawn_with_all_that_it_runs_with(path, builtin_catalogue):
    """Slots and widget values are those that the node declares today, in its order."""
    workflow = read(path)
    loaded = load(workflow, builtin_catalogue)
    again = load(prompt_to_workflow(loaded.prompt, builtin_catalogue), builtin_catalogue)
    plain = [{node: (e["class_type"], e["inputs"]) for node, e in one.prompt.items()} for one in (loaded, again)]
    assert plain[0] == plain[1]
    for node in workflow["nodes"]:
        spec = builtin_catalogue.spec(node["type"])
        if spec is not None:
            groups = {one.name for one in spec.inputs if one.type == GROWING}
            grown = {name for slot in node["inputs"] if (name := slot["name"]).partition(".")[0] in groups}
            assert {slot["name"] for slot in node["inputs"]} - grown == {one.name for one in spec.inputs} - groups
            assert [slot["type"] for slot in node["outputs"]] == [one.type for one in spec.outputs]


@every_example
def test_links_are_told_the_same_at_both_ends(path):
    workflow = read(path)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for link, source, source_slot, target, target_slot, kind in workflow["links"]:
        output, entry = nodes[source]["outputs"][source_slot], nodes[target]["inputs"][target_slot]
        assert link in output["links"]
        assert entry["link"] == link
        assert output["type"] == kind
    told = [slot["link"] for node in workflow["nodes"] for slot in node["inputs"] if slot["link"] is not None]
    assert sorted(told) == sorted(link[0] for link in workflow["links"])
    assert workflow["last_node_id"] == max(nodes)
    assert workflow["last_link_id"] == max(link[0] for link in workflow["links"])


@every_example
def test_a_note_explains_it_and_groups_hold_nodes(path):
    workflow = read(path)
    notes = [node for node in workflow["nodes"] if node["type"] == "MarkdownNote"]
    assert [len(note["widgets_values"][0]) > 80 for note in notes] == [True]
    assert workflow["groups"]
    for group in workflow["groups"]:
        x, y, width, height = group["bounding"]
        held = [n for n in workflow["nodes"] if x < n["pos"][0] < x + width and y < n["pos"][1] < y + height]
        assert held, group["title"]


@every_example
def test_nodes_do_not_lie_on_one_another(path):
    for one, other in itertools.combinations(read(path)["nodes"], 2):
        apart = [
            one["pos"][axis] + one["size"][axis] <= other["pos"][axis]
            or other["pos"][axis] + other["size"][axis] <= one["pos"][axis]
            for axis in (0, 1)
        ]
        assert any(apart), (one.get("title", one["type"]), other.get("title", other["type"]))


@every_example
def test_named_parameters_stand_for_widgets_of_its_nodes(path, builtin_catalogue):
    workflow = read(path)
    declared = workflow["extra"]["safelight"]["parameters"]
    names = {one.name: one for one in parameters(load(workflow, builtin_catalogue).prompt, builtin_catalogue, workflow)}
    assert {"prompt", "seed", "steps"} <= names.keys() or path.stem in ("area_prompts", "settings_grid")
    for one in declared:
        assert names[one["name"]].node == one["node"]
        assert names[one["name"]].spec is not None
        assert names[one["name"]].spec.is_widget


def test_text_to_image_is_seven_nodes(builtin_catalogue):
    loaded = load(read(FOLDER / "text_to_image.json"), builtin_catalogue)
    types = sorted(entry["class_type"] for entry in loaded.prompt.values())
    assert types == [
        "CheckpointLoaderSimple",
        "EmptyLatent",
        "KSampler",
        "SaveImage",
        "TextEncode",
        "TextEncode",
        "VAEDecode",
    ]


@every_example
def test_its_picture_carries_it(path):
    """workflows/NAME.png is what workflows/NAME.json made, so that either can be run or dropped on an editor."""
    from engine.media.embedded import read_embedded

    embedded = read_embedded(path.with_suffix(".png").read_bytes())
    assert embedded.workflow == read(path)
    assert len(embedded.prompt) == len([n for n in embedded.workflow["nodes"] if n["type"] != "MarkdownNote"])
