"""Saved workflows that say two things: what is shown is what runs, and what does not is said before it runs."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent / "conversion"


def said(node: int | str, value: str, links: list[int] | None = None) -> dict[str, Any]:
    """A node that says a text."""
    outputs = [{"name": "STRING", "type": "STRING", "links": links or []}]
    return {
        "id": node,
        "type": "PrimitiveString",
        "pos": [0, 0],
        "inputs": [],
        "outputs": outputs,
        "widgets_values": [value],
    }


def shown(node: int, *links: int) -> dict[str, Any]:
    """Nodes that show what comes over a link, one for each."""
    inputs = [{"name": "source", "type": "*", "link": link} for link in links]
    return {"id": node, "type": "PreviewAny", "pos": [400, 0], "inputs": inputs, "outputs": [], "widgets_values": []}


def last_job(url: str) -> dict[str, Any]:
    """The newest job with its graph."""
    with urllib.request.urlopen(f"{url}/api/jobs?limit=1", timeout=60) as answer:
        newest = json.load(answer)["jobs"][0]["id"]
    with urllib.request.urlopen(f"{url}/api/jobs/{newest}", timeout=60) as answer:
        job: dict[str, Any] = json.load(answer)
        return job


def test_of_two_nodes_with_one_id_the_second_gets_another_and_each_runs_as_it_is_shown(editor, home):
    nodes = [said(1, "A", [4]), said(1, "B", [5]), shown(2, 4), shown(3, 5)]
    links = [[4, 1, 0, 2, 0, "STRING"], [5, 1, 0, 3, 0, "STRING"]]
    editor.load({"nodes": nodes, "links": links, "last_node_id": 3, "last_link_id": 5, "version": 0.4})
    text = editor.toast("Two nodes have the id 1")
    assert "PrimitiveString is node 4 here" in text
    assert [node["id"] for node in editor.nodes("PrimitiveString")] == [1, 4]
    assert [editor.value(node, "value") for node in (1, 4)] == ["A", "B"]
    editor.run()
    editor.marked(3, "ran|reused")
    prompt = last_job(home.url)["workflow"]["prompt"]
    assert {node: prompt[node]["inputs"] for node in ("1", "4")} == {"1": {"value": "A"}, "4": {"value": "B"}}
    assert (prompt["2"]["inputs"]["source"], prompt["3"]["inputs"]["source"]) == (["1", 0], ["4", 0])


def test_a_value_that_does_not_run_is_said_by_name_when_the_workflow_opens(editor):
    editor.load(json.loads((CASES / "sub_primitive_outside.workflow.json").read_text()), "Slip")
    text = editor.toast("“Slip” has values that do not run as they are")
    assert re.search(r"node 8:11\), width|node 8\), width", text)
    editor.page.evaluate("() => safelight.store().getState().goTo(['8'])")
    editor.widget(11, "width").locator(".sl-widget-linked", has_text="512").wait_for()
    editor.shot("value-not-taken")


def test_a_person_changes_a_promoted_value_and_both_forms_of_it_are_saved(editor):
    editor.load(json.loads((CASES / "sub_named_stale.workflow.json").read_text()))
    height = editor.widget(8, "height")
    assert height.get_by_role("spinbutton").get_attribute("aria-valuetext") == "704"
    height.get_by_role("spinbutton").click()
    editor.page.keyboard.type("832")
    editor.page.keyboard.press("Enter")
    (instance,) = (node for node in editor.workflow()["nodes"] if node["id"] == 8)
    assert instance["widgets_values"] == [640, 832, 2]
    assert instance["widgets_values_named"] == {"width": 640, "height": 832, "scale_by": 2}
    editor.page.evaluate("() => safelight.store().getState().goTo(['8'])")
    editor.widget(11, "height").locator(".sl-widget-linked", has_text="832").wait_for()
    editor.shot("promoted-value")


def encoder(text: str) -> dict[str, Any]:
    """The bundled model reads a text."""
    loader = {
        "id": 1,
        "type": "CheckpointLoaderSimple",
        "pos": [0, 0],
        "inputs": [],
        "outputs": [
            {"name": name, "type": name, "links": [3] if name == "CLIP" else []} for name in ("MODEL", "CLIP", "VAE")
        ],
        "widgets_values": ["emoji-64.safetensors"],
    }
    encode = {
        "id": 2,
        "type": "CLIPTextEncode",
        "pos": [340, 0],
        "size": [360, 140],
        "inputs": [{"name": "clip", "type": "CLIP", "link": 3}],
        "outputs": [{"name": "CONDITIONING", "type": "CONDITIONING", "links": [4]}],
        "widgets_values": [text],
    }
    links = [[3, 1, 1, 2, 0, "CLIP"], [4, 2, 0, 5, 0, "CONDITIONING"]]
    return {
        "nodes": [loader, encode, shown(5, 4)],
        "links": links,
        "last_node_id": 5,
        "last_link_id": 4,
        "version": 0.4,
    }


def test_a_text_with_choices_says_what_ran_and_repeats_it_from_its_result(editor, home):
    written = "{" + "|".join(f"word{number}" for number in range(500)) + "} apple /* hidden */ \\{kept\\} // note"
    ran = editor.page.locator('[data-node="2"] .sl-longtext-ran')
    editor.load(encoder(written))
    editor.run()
    ran.wait_for()
    first = last_job(home.url)
    text = first["workflow"]["prompt"]["2"]["inputs"]["text"]
    assert re.fullmatch(r"word\d+ apple  \{kept\} ", text)
    assert ran.get_attribute("data-tip") == text
    assert editor.value(2, "text") == written
    editor.shot("ran-text")
    editor.run()
    editor.until("(before) => document.querySelector('.sl-longtext-ran')?.dataset.tip !== before", text)
    # What the result carries draws the same again, and then anew.
    editor.load(first["workflow"]["extra_data"]["extra_pnginfo"]["workflow"])
    ran.wait_for(state="detached")
    editor.run()
    ran.wait_for()
    assert ran.get_attribute("data-tip") == text
    editor.run()
    editor.until("(before) => document.querySelector('.sl-longtext-ran')?.dataset.tip !== before", text)
