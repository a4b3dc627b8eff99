"""Graphs as Python and back: every form that a graph can have comes back as it was, and nothing is run to read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.graph.canvas import redrawn
from engine.graph.formats import load
from engine.graph.problems import GraphError
from engine.graph.schema import Catalogue
from engine.graph.script_read import read_script
from engine.graph.script_write import script

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for folder in ("workflows", "tests/interop", "tests/graph/cases", "tests/bad_graphs")
    for path in (ROOT / folder).rglob("*.json")
)
ODD: dict[str, dict[str, Any]] = {
    "names that are no words": {
        "a b": {"class_type": "Show Text|x", "inputs": {"in put": 1, "class": 2, "_id": 3, "self": 4, "ünicode": 5}},
        "2": {"class_type": "node", "inputs": {"text": ["a b", 0]}},
    },
    "constants of every kind": {
        "1": {
            "class_type": "Any",
            "inputs": {
                "text": "two\nlines, \"quotes\", 'both', \\ and \ud800 \u2028",
                "numbers": [1, -2, 2**64, 1e300, -0.5, None, True],
                "wrapped": {"__value__": ["1", 0]},
                "deep": {"a": [{"b": [[]]}]},
                "infinite": [float("inf"), float("-inf")],
            },
        }
    },
    "a circle, and links to what is not there": {
        "1": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "ImageInvert", "inputs": {"image": ["99", 0]}},
        "4": {"class_type": "ImageInvert", "inputs": {"image": ["1", -1]}},
        "5": {"class_type": "ImageInvert", "inputs": {"image": [1, 0]}},
        "6": {"class_type": "ImageInvert", "inputs": {"image": ["5", 7]}},
    },
    "entries that are no nodes": {
        "1": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}, "_meta": {"title": "", "more": 1}},
        "2": {"class_type": "EmptyImage", "inputs": {}, "is_changed": [1]},
        "version": 3,
        "7": {"class_type": "ImageInvert"},
    },
    "some with titles": {
        "1": {"class_type": "PreviewImage", "inputs": {"images": ["7", 0]}, "_meta": {"title": "import"}},
        "7": {"class_type": "EmptyImage", "inputs": {}},
        "8": {"class_type": "PreviewImage", "inputs": {}, "_meta": {"title": "Preview Image"}},
    },
}


def texts(prompt: Any) -> str:
    """As text: a number that is none differs from itself."""
    return json.dumps(prompt, sort_keys=True)


@pytest.fixture(scope="module", params=["known", "unknown"])
def nodes(request, builtin_catalogue) -> Catalogue:
    return builtin_catalogue if request.param == "known" else Catalogue()


def test_there_is_much_to_try():
    assert len(FILES) > 150


def test_every_graph_comes_back_from_python_exactly(nodes):
    tried = 0
    for path in FILES:
        try:
            loaded = load(json.loads(path.read_text(encoding="utf-8")), nodes)
        except (GraphError, ValueError):
            continue  # no graph at all
        tried += 1
        text = script(loaded.prompt, nodes, loaded.workflow, path.name)
        back = read_script(text, nodes)
        assert texts(back.prompt) == texts(loaded.prompt), path
        assert list(back.prompt) == list(loaded.prompt), path
        assert back.canvas == loaded.workflow, path
        if loaded.workflow is not None:
            assert redrawn(back.canvas, back.prompt, nodes) == loaded.workflow, path
    assert tried > 150


@pytest.mark.parametrize("prompt", ODD.values(), ids=ODD)
def test_graphs_that_no_editor_saves_come_back_too(prompt, nodes):
    back = read_script(script(prompt, nodes), nodes)
    assert texts(back.prompt) == texts(prompt)
    assert list(back.prompt) == list(prompt)


def test_a_script_reads_as_a_person_would_write_it(builtin_catalogue):
    loaded = load(json.loads((ROOT / "workflows/text_to_image.json").read_text()), builtin_catalogue)
    text = script(loaded.prompt, builtin_catalogue)
    assert 'model, clip, vae = g.CheckpointLoaderSimple(ckpt_name="emoji-64.safetensors")' in text
    assert "    positive=prompt,\n    negative=negative_prompt,\n" in text
    assert "g.SaveImage(filename_prefix=" in text


@pytest.fixture
def drawn(builtin_catalogue):
    """A workflow with a note and a group, as Python text."""
    workflow = json.loads((ROOT / "workflows/text_to_image.json").read_text())
    loaded = load(workflow, builtin_catalogue)
    return workflow, script(loaded.prompt, builtin_catalogue, loaded.workflow)


def changed(text, before, after, catalogue):
    assert text.count(before) >= 1
    found = read_script(text.replace(before, after, 1), catalogue)
    return found.prompt, redrawn(found.canvas, found.prompt, catalogue)


def test_a_value_changed_in_the_script_is_changed_in_the_workflow_and_nothing_else_is(drawn, builtin_catalogue):
    workflow, text = drawn
    prompt, after = changed(text, "steps=20", "steps=7", builtin_catalogue)
    assert load(after, builtin_catalogue).prompt == prompt
    (before,) = (node for node in workflow["nodes"] if node["type"] == "KSampler")
    (found,) = (node for node in after["nodes"] if node["type"] == "KSampler")
    assert 7 in found["widgets_values"]
    before["widgets_values"] = found["widgets_values"]
    assert after == workflow


def test_a_title_changed_in_the_script_is_changed_in_the_workflow(drawn, builtin_catalogue):
    _, after = changed(drawn[1], '_title="Size"', '_title="How large"', builtin_catalogue)
    assert "How large" in [node.get("title") for node in after["nodes"]]


def test_a_node_more_has_the_graph_laid_out_anew_and_keeps_places_notes_and_groups(drawn, builtin_catalogue):
    workflow, text = drawn
    added = "inverted = g.ImageInvert(image=images)\ng.SaveImage(filename_prefix="
    prompt, after = changed(
        text.replace("images=images)", "images=inverted)"), "g.SaveImage(filename_prefix=", added, builtin_catalogue
    )
    assert load(after, builtin_catalogue).prompt.keys() == prompt.keys()
    places = {(node["id"], node["type"]): node["pos"] for node in after["nodes"]}
    kept = [node for node in workflow["nodes"] if node["type"] == "TextEncode"]
    assert [places[node["id"], node["type"]] for node in kept] == [node["pos"] for node in kept]
    assert after["groups"] == workflow["groups"]
    assert [node["widgets_values"] for node in after["nodes"] if node["type"] == "MarkdownNote"] == [
        node["widgets_values"] for node in workflow["nodes"] if node["type"] == "MarkdownNote"
    ]


WRITTEN_BY_HAND = '''
"""A graph."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safelight_nodes import Graph
else:
    from engine.build import Graph

SIZE: int = 64
with Graph() as g:
    loaded = g.CheckpointLoaderSimple("emoji-64.safetensors")
    positive = g.CLIPTextEncode(text="a " "ball", clip=loaded.CLIP)
    inputs = {"text": "", "clip": loaded[1]}
    negative = g.CLIPTextEncode(**inputs)
    latent = g.EmptyLatentImage(width=SIZE, height=SIZE, batch_size=+1)
    pictures = g.VAEDecode(latent, loaded.VAE)
    all = g.BatchImagesNode(images=[pictures, pictures])
    g.PreviewImage(all, _id="end")

if __name__ == "__main__":
    import os

    os._exit(3)
'''


def test_what_a_person_writes_is_read_by_name_by_place_and_in_lists(builtin_catalogue):
    prompt = read_script(WRITTEN_BY_HAND, builtin_catalogue).prompt
    assert prompt["2"]["inputs"] == {"text": "a ball", "clip": ["1", 1]}
    assert prompt["3"]["inputs"] == {"text": "", "clip": ["1", 1]}
    assert prompt["4"]["inputs"] == {"width": 64, "height": 64, "batch_size": 1}
    assert prompt["5"]["inputs"] == {"samples": ["4", 0], "vae": ["1", 2]}
    assert list(prompt["6"]["inputs"].values()) == [["5", 0], ["5", 0]]
    assert prompt["end"]["inputs"] == {"images": ["6", 0]}


BEYOND = {
    "g.KSampler(seed=open('/etc/passwd').read())": "open",
    "import os\nos.system('true')": "os is no graph",
    "for x in [1]:\n    g.PreviewImage(images=x)": "for x in [1]:",
    "def f(): pass": "def f",
    "g.SaveImage(images=[x for x in (1,)])": "x for x",
    "x = __import__('os')": "__import__",
    "x = g.__class__": "g.__class__",
    "g.PreviewImage(images=unknown)": "unknown is not known",
    "g.node(1)": "the class of the node",
    "g.SaveImage(images={'a': g})": "an output can only be given to an input itself",
    "h = Graph()": "more than one",
    "a, b = g.EmptyImage()": "has 1 outputs",
    "x = g.LoadImage()\ng.PreviewImage(images=x.PICTURE)": "It has IMAGE, MASK",
    "g.EmptyImage(_id='1')\ng.EmptyImage(_id='1')": "Two nodes have the same id",
    "g.drawn('[]')": "JSON object",
    "x = (": "never closed",
    "x = " + "-" * 5000 + "1": "line ",
}


@pytest.mark.parametrize("more", BEYOND)
def test_python_beyond_a_graph_is_refused_with_its_line_and_not_run(more, builtin_catalogue):
    text = f"from engine.build import Graph\ng = Graph()\n{more}\n"
    with pytest.raises(GraphError) as raised:
        read_script(text, builtin_catalogue)
    said = str(raised.value)
    assert BEYOND[more] in said
    assert "line " in said


def test_a_script_without_a_graph_is_refused(builtin_catalogue):
    with pytest.raises(GraphError, match="there is no Graph"):
        read_script("x = 1", builtin_catalogue)
