"""What a workflow exposes is described in the inspector, saved so that the engine reads it, and shown as a call that works."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any


def told(home: Any, name: str) -> Any:
    """What the server says of a saved workflow."""
    with urllib.request.urlopen(f"{home.url}/api/v1/workflows/{name}", timeout=60) as answer:
        return json.load(answer)


def test_a_parameter_is_described_and_the_call_that_is_shown_runs(editor: Any, home: Any) -> None:
    page = editor.page
    editor.command("panel.inspector")
    inspector = page.get_by_role("complementary", name="Inspector")
    inspector.get_by_role("textbox", name="What the workflow does").fill("Draws one thing.")
    inspector.get_by_role("button", name="Describe steps", exact=True).click()
    about = inspector.get_by_role("group", name="About steps")
    about.get_by_role("textbox", name="What it is for").fill("How long it takes.")
    about.get_by_role("textbox", name="Minimum").fill("2")
    maximum = about.get_by_role("textbox", name="Maximum")
    maximum.fill("1")
    maximum.press("Enter")
    about.get_by_text("It is less than the minimum, 2.").wait_for()
    editor.shot("editor-parameters-refused")
    maximum.fill("30")
    maximum.press("Enter")
    about.get_by_role("textbox", name="Default").fill("3")
    about.get_by_role("textbox", name="Default").press("Enter")
    name = inspector.get_by_role("textbox", name="Name of the parameter cfg")
    name.fill("prompt")
    name.press("Enter")
    inspector.get_by_text("Another one has this name.").wait_for()
    name.press("Escape")
    editor.shot("editor-parameters")

    page.keyboard.press("Control+s")
    dialog = page.get_by_role("dialog", name="Save workflow as")
    dialog.get_by_role("textbox", name="Name").fill("calls/drawn")
    dialog.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("tab", name="drawn", exact=True).wait_for()
    found = told(home, "calls/drawn")
    assert found["doc"] == "Draws one thing."
    steps = found["parameters"]["properties"]["steps"]
    assert (steps["minimum"], steps["maximum"], steps["default"]) == (2, 30, 3)
    assert steps["description"] == "How long it takes."

    editor.command("app.call")
    call = page.get_by_role("dialog", name="Call this workflow").locator("pre")
    call.filter(has_text="api/v1/workflows/calls/drawn/run").wait_for()
    editor.shot("editor-call")
    body = re.search(r"-d '(.*)'$", call.inner_text(), re.DOTALL)
    assert body is not None
    values = json.loads(body[1].replace("'\\''", "'"))
    assert values["prompt"] == editor.value(2, "text")
    request = urllib.request.Request(
        f"{home.url}/api/v1/workflows/calls/drawn/run", json.dumps({**values, "steps": 2}).encode()
    )
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=200) as answer:
        result = json.load(answer)
    assert (result["state"], result["values"]["steps"]) == ("done", 2)
    page.get_by_role("radio", name="Python").click()
    call.filter(has_text='Workflow.load("calls/drawn")').wait_for()
    page.get_by_role("radio", name="Command line").click()
    call.filter(has_text="safelight run calls/drawn").wait_for()
    editor.shot("editor-call-command")


def test_what_was_said_is_undone_step_by_step(editor: Any) -> None:
    page = editor.page
    before = editor.workflow()
    editor.command("panel.inspector")
    inspector = page.get_by_role("complementary", name="Inspector")
    inspector.get_by_role("button", name="Describe sampler", exact=True).click()
    about = inspector.get_by_role("group", name="About sampler")
    about.get_by_role("checkbox", name="heun", exact=True).uncheck()
    about.get_by_role("button", name="Offer all").wait_for()
    about.get_by_role("switch", name="Must be given").click()
    entry = next(one for one in editor.workflow()["extra"]["safelight"]["parameters"] if one["name"] == "sampler")
    assert entry["required"] is True
    assert "heun" not in entry["choices"]
    assert entry["class_type"] == "KSampler"
    assert editor.nodes("KSampler")[0]["properties"]["safelight"]["parameters"]["sampler_name"] == "sampler"
    editor.command("edit.undo")
    editor.command("edit.undo")
    assert editor.workflow() == before
