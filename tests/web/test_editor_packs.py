"""Node packs as a person sees them: the report, reading them anew, and widgets that packs bring."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

POINTS = '''
"""Nodes whose values are set by widgets of this pack."""

import json
import time


class TestPoints:
    """Tell what came."""

    RETURN_TYPES = ()
    FUNCTION = "tell"
    OUTPUT_NODE = True
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "points": ("TEST_POINTS", {"default": [[1, 2]], "widgetType": "points_pack.points", "widgetHeight": 90}),
                "level": ("INT", {"default": 3, "min": 0, "max": 9, "widgetType": "points_pack.level"}),
                "fragile": ("STRING", {"default": "whole", "widgetType": "points_pack.fragile"}),
                "unbrought": ("TEST_FACTS", {"default": {"a": 1}, "widgetType": "points_pack.nobody_has_it"}),
            }
        }

    def tell(self, **given):
        from server import PromptServer

        PromptServer.instance.send_sync("points_pack.told", {"count": len(given["points"])})
        PromptServer.instance.send_sync("points_pack.words", "only text")
        return {"ui": {"text": [json.dumps(given, sort_keys=True)]}}


class TestNap:
    """Take a while."""

    RETURN_TYPES = ()
    FUNCTION = "nap"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def nap(self):
        from comfy.model_management import throw_exception_if_processing_interrupted

        for _ in range(1200):
            time.sleep(0.05)
            throw_exception_if_processing_interrupted()
        return ()


NODE_CLASS_MAPPINGS = {"TestPoints": TestPoints, "TestNap": TestNap}
WEB_DIRECTORY = "./web"
'''

POINTS_MODULE = """
import { button } from "./parts.mjs";

export default (editor) => {
  window.heard ??= [];
  window.tellVersion = editor.apiVersion;
  editor.widget("points_pack.points", {
    mount(element, state) {
      const count = document.createElement("output");
      const add = button(`Add to ${state.input.label} of ${state.node.type} ${state.node.id}`);
      add.onclick = () => {
        state.setValue([...state.value, [state.value.length, 0]]);
        state.done();
      };
      const bad = button("Give no JSON");
      bad.onclick = () => {
        try { state.setValue([undefined]); } catch (error) { count.textContent = error.message; }
      };
      const show = (value) => { count.textContent = `${value.length} points`; };
      element.append(count, add, bad);
      element.style.height = "90px";
      show(state.value);
      return { update: show, destroy: () => window.heard.push("destroyed") };
    },
  });
  editor.widget("points_pack.level", {
    mount(element, state) {
      const field = document.createElement("input");
      field.type = "range";
      [field.min, field.max] = [state.options.min, state.options.max];
      field.setAttribute("aria-label", state.input.label);
      field.oninput = () => state.setValue(field.valueAsNumber);
      field.onchange = () => state.done();
      element.append(field);
      const update = (value, { readOnly }) => { field.value = value; field.disabled = readOnly; };
      update(state.value, state);
      return { update };
    },
  });
  editor.widget("points_pack.fragile", {
    mount() { throw new Error("made of glass"); },
  });
  editor.onMessage("points_pack.told", (data) => window.heard.push(data.count));
  editor.onMessage("points_pack.words", (data) => window.heard.push(data));
  editor.fetch("/api/v1/packs?wait=false").then((answer) => answer.json()).then(({ packs }) => window.heard.push(packs.length));
  editor.fetch("http://elsewhere.example/").catch((error) => window.heard.push(error.message));
};
"""

PARTS_MODULE = """
export function button(text) {
  const made = document.createElement("button");
  made.textContent = text;
  return made;
}
"""

FAILING = 'raise RuntimeError("TestLamp has no bulb")\n'

MENDED = '''
class TestLamp:
    """Shine."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "shine"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"watts": ("INT", {"default": 5})}}

    def shine(self, watts):
        return (watts,)


NODE_CLASS_MAPPINGS = {"TestLamp": TestLamp}
NODE_DISPLAY_NAME_MAPPINGS = {"TestLamp": "Lamp of the Tests"}
'''

QUIET = 'NODE_CLASS_MAPPINGS = {}\nWEB_DIRECTORY = "web"\n'
BROKEN_MODULE = 'throw new Error("this module is broken on purpose");\n'

STARS = '''
class TestStars:
    """Rate."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "rate"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"stars": ("INT", {"default": 2, "widgetType": "my_pack.stars"})}}

    def rate(self, stars):
        return (stars,)


NODE_CLASS_MAPPINGS = {"TestStars": TestStars}
WEB_DIRECTORY = "web"
'''

DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "editor.md"
RATED = {
    "nodes": [
        {
            "id": 1,
            "type": "TestStars",
            "pos": [80, 80],
            "outputs": [{"name": "INT", "type": "INT", "links": [1]}],
        },
        {
            "id": 2,
            "type": "TestStars",
            "pos": [480, 80],
            "inputs": [{"name": "stars", "type": "INT", "widget": {"name": "stars"}, "link": 1}],
        },
    ],
    "links": [[1, 1, 0, 2, 0, "INT"]],
    "version": 0.4,
}
WORKFLOW = {
    "nodes": [{"id": 1, "type": "TestPoints", "pos": [80, 80], "size": [380, 260]}],
    "links": [],
    "version": 0.4,
}
NAP = {"nodes": [{"id": 1, "type": "TestNap", "pos": [80, 80]}], "links": [], "version": 0.4}
LAMP = {"nodes": [{"id": 1, "type": "TestLamp", "pos": [80, 80], "size": [300, 120]}], "links": [], "version": 0.4}


def give(base: Path, name: str, code: str, **web: str) -> None:
    """A pack with these files in its web folder."""
    folder = base / "custom_nodes" / name
    (folder / "web").mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text(code)
    for file, text in web.items():
        (folder / "web" / file.replace("__", ".")).write_text(text)


@pytest.fixture(scope="module")
def packs_home(tmp_path_factory: pytest.TempPathFactory, home_on: Any) -> Iterator[Any]:
    """A server with packs of which some are broken."""
    base = tmp_path_factory.mktemp("editor-packs")
    give(base, "points_pack", POINTS, safelight__js=POINTS_MODULE, parts__mjs=PARTS_MODULE)
    give(base, "failing_pack", FAILING)
    give(base, "quiet_pack", QUIET, safelight__js=BROKEN_MODULE, field__js="import '/scripts/app.js';")
    example = re.search(r"^```js\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert example
    give(base, "my_pack", STARS, safelight__js=example[1])
    (base / "custom_nodes" / "resting_pack.disabled").mkdir()
    with home_on(base) as home:
        yield home


@pytest.fixture
def packs(packs_home: Any, visit: Callable[..., Any], open_editor: Any) -> Iterator[Any]:
    """The editor on that server."""
    opened = open_editor(visit(packs_home.url))
    yield opened
    opened.healthy()


@pytest.fixture
def points(packs: Any) -> Any:
    """The editor with one node of the pack that has widgets, once these are there."""
    packs.load(WORKFLOW, "Points")
    packs.node(1).get_by_role("button", name="Add to points of TestPoints 1").wait_for()
    return packs


STUCK = """
if (sessionStorage.getItem("tests.stuck") === null) {
  sessionStorage.setItem("tests.stuck", "once");
  localStorage.setItem("safelight.calling", "points_pack");
}
"""
"""What a page leaves behind in which a call of the pack's code never came back."""


def report(editor: Any) -> Any:
    """The open dialog with the report, once it has been told."""
    editor.command("app.packs")
    dialog = editor.page.get_by_role("dialog", name="Node packs")
    dialog.locator(".sl-pack").first.wait_for()
    return dialog


def test_packs_with_problems_are_told_at_the_start_and_shown_with_their_errors(packs: Any) -> None:
    page = packs.page
    packs.toast("2 node packs have problems", "failing_pack", "quiet_pack")
    page.get_by_role("img", name="2 packs have problems").wait_for()
    page.get_by_role("button", name="Show").click()
    dialog = page.get_by_role("dialog", name="Node packs")
    failing = dialog.locator("[data-pack=failing_pack]")
    assert "failed" in failing.inner_text()
    assert "TestLamp has no bulb" in failing.locator("pre").inner_text()
    quiet = dialog.locator("[data-pack=quiet_pack]")
    assert "/extensions/quiet_pack/safelight.js: this module is broken on purpose" in quiet.inner_text()
    assert "switched off" in dialog.locator("[data-pack=resting_pack]").inner_text()
    assert "2 nodes" in dialog.locator("[data-pack=points_pack]").inner_text()
    packs.shot("editor-packs")
    failing.get_by_role("button", name="Copy the errors of failing_pack").click()
    packs.toast("Errors copied")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied.startswith("failing_pack\n")
    assert "TestLamp has no bulb" in copied
    page.evaluate("() => { document.documentElement.dataset.theme = 'light'; }")
    packs.shot("editor-packs-light")


def test_the_report_is_filtered_and_adds_the_nodes_that_it_lists(packs: Any) -> None:
    packs.empty()
    dialog = report(packs)
    field = dialog.get_by_role("textbox", name="Filter packs and nodes")
    field.fill("no such pack")
    dialog.get_by_text("No pack and no node fits").wait_for()
    field.fill("points_pack")
    assert dialog.locator(".sl-pack").count() == 1
    dialog.get_by_role("button", name="points_pack", exact=True).click()
    dialog.get_by_role("button", name="TestPoints").click()
    packs.node(1).wait_for()
    assert len(packs.nodes("TestPoints")) == 1


def test_reading_packs_anew_says_what_changed_and_brings_new_nodes(packs: Any, packs_home: Any) -> None:
    base, page = packs_home.base, packs.page
    packs.load(LAMP, "Lamp")
    packs.node(1).get_by_text("Its pack “failing_pack” failed to load.").wait_for()
    packs.shot("editor-missing-node-of-a-failed-pack")
    dialog = report(packs)
    try:
        give(base, "failing_pack", MENDED)
        dialog.get_by_role("button", name="Reload packs").click()
        changes = dialog.get_by_role("list", name="What is different")
        changes.wait_for()
        assert changes.inner_text().splitlines() == ["“failing_pack” loads now.", "1 node is new: TestLamp."]
        assert "failed" not in dialog.locator("[data-pack=failing_pack]").inner_text()
        packs.shot("editor-packs-reloaded")
        page.keyboard.press("Escape")
        packs.named("Lamp of the Tests").wait_for()
        page.get_by_role("img", name="1 pack has problems").wait_for()
    finally:
        give(base, "failing_pack", FAILING)
    dialog = report(packs)
    dialog.get_by_role("button", name="Reload packs").click()
    dialog.get_by_text("“failing_pack” fails to load.").wait_for()
    dialog.get_by_text("1 node is gone: TestLamp.").wait_for()
    page.keyboard.press("Escape")
    packs.node(1).get_by_text("Its pack “failing_pack” failed to load.").wait_for()


def test_packs_are_not_read_anew_under_a_running_job_unless_that_is_wanted(packs: Any, packs_home: Any) -> None:
    page = packs.page
    packs.load(NAP, "Nap")
    packs.run()
    packs.until("() => document.querySelector('[data-node][data-run=running]')")
    dialog = report(packs)
    dialog.get_by_role("button", name="Reload packs").click()
    question = page.get_by_role("dialog", name="Jobs are running")
    question.get_by_role("button", name="Cancel").click()
    question.wait_for(state="detached")
    assert dialog.get_by_role("list", name="What is different").count() == 0
    dialog.get_by_role("button", name="Reload packs").click()
    question.get_by_role("button", name="Read anew").click()
    dialog.get_by_role("list", name="What is different").wait_for()
    page.keyboard.press("Escape")
    packs_home.post("api/queue", {"clear": True})
    packs_home.post("api/interrupt")
    packs.until("() => !document.querySelector('[data-node][data-run=running]')")
    refusals = [one for one in packs.visit.failed if one.startswith("409")]
    assert refusals == ["409 POST /api/v1/packs/reload"] * 2
    packs.visit.failed.clear()


def test_the_value_of_a_packs_widget_is_undone_saved_and_run(points: Any, packs_home: Any) -> None:
    page, node = points.page, points.node(1)
    assert points.value(1, "points") is None  # as declared
    add = node.get_by_role("button", name="Add to points of TestPoints 1")
    add.click()
    add.click()
    node.get_by_text("3 points").wait_for()
    assert points.value(1, "points") == [[1, 2], [1, 0], [2, 0]]
    page.keyboard.press("Control+z")
    node.get_by_text("2 points").wait_for()
    assert points.value(1, "points") == [[1, 2], [1, 0]]
    page.keyboard.press("Control+Shift+z")
    node.get_by_text("3 points").wait_for()
    node.get_by_role("slider", name="level").fill("7")
    assert points.value(1, "level") == 7
    points.shot("editor-pack-widgets")

    points.run()
    told = node.locator(".sl-preview-text")
    told.wait_for()
    given = json.loads(told.inner_text())
    assert given == {"points": [[1, 2], [1, 0], [2, 0]], "level": 7, "fragile": "whole", "unbrought": {"a": 1}}
    points.until("() => window.heard.includes(3) && window.heard.includes('only text')")

    saved = points.workflow()
    assert saved["nodes"][0]["widgets_values"] == [[[1, 2], [1, 0], [2, 0]], 7, "whole", {"a": 1}]
    points.load(saved, "Saved")
    node.get_by_text("3 points").wait_for()
    page.wait_for_function("() => document.querySelector('input[type=range]')?.value === '7'")
    points.kept()
    page.reload()
    points.node(1).get_by_text("3 points").wait_for()  # as autosaved


def test_a_widget_that_fails_breaks_only_itself_and_can_be_a_plain_field(points: Any) -> None:
    page = points.page
    row = points.widget(1, "fragile")
    row.get_by_role("alert").wait_for()
    assert "made of glass" in row.inner_text()
    row.get_by_role("button", name="Plain field").click()
    field = row.get_by_role("textbox", name="fragile")
    field.fill("mended")
    assert points.value(1, "fragile") == "mended"
    points.node(1).get_by_role("button", name="Give no JSON").click()
    points.node(1).get_by_text("must be JSON; its part “0” is undefined").wait_for()
    assert points.value(1, "points") is None
    dialog = report(points)
    assert "points_pack.fragile” failed: made of glass" in dialog.locator("[data-pack=points_pack]").inner_text()
    page.keyboard.press("Escape")


def test_a_module_hears_messages_and_asks_its_own_server_only(points: Any) -> None:
    points.until("() => window.heard.includes(5) && /asks this server only/.test(window.heard.join())")
    heard = points.page.evaluate("() => [window.tellVersion, ...window.heard]")
    assert heard[0] == 1
    assert 5 in heard
    assert any(re.search("asks this server only", str(one)) for one in heard)


def test_a_value_whose_widget_nobody_brings_is_edited_as_json(points: Any) -> None:
    field = points.widget(1, "unbrought").get_by_role("textbox", name="unbrought as JSON")
    assert field.input_value() == '{"a":1}'
    field.fill('{"a": [2, 3]}')
    field.press("Enter")
    assert points.value(1, "unbrought") == {"a": [2, 3]}


def test_widgets_of_packs_stand_in_the_inspector_and_in_the_form(points: Any) -> None:
    page = points.page
    points.reveal(1)
    page.keyboard.press("Control+a")
    points.command("panel.inspector")
    inspector = page.get_by_role("complementary", name="Inspector")
    inspector.get_by_role("button", name="Add to points").click()
    inspector.get_by_text("2 points").wait_for()
    points.node(1).get_by_text("2 points").wait_for()
    inspector.get_by_role("button", name="Expose points as a parameter").click()
    points.shot("editor-pack-widgets-inspector")
    points.command("view.form")
    form = page.locator(".sl-form")
    form.get_by_role("button", name="Add to points of TestPoints 1").click()
    form.get_by_text("3 points").wait_for()
    points.shot("editor-pack-widgets-form")
    assert points.value(1, "points") == [[1, 2], [1, 0], [2, 0]]


def test_a_changed_module_takes_the_place_of_the_one_before(points: Any, packs_home: Any) -> None:
    module = packs_home.base / "custom_nodes" / "points_pack" / "web" / "safelight.js"
    before = module.read_text()
    dialog = report(points)
    try:
        module.write_text(before.replace(" points`", " dots`"))
        os.utime(module, ns=(1, 1))
        dialog.get_by_role("button", name="Reload packs").click()
        dialog.get_by_text("No pack and no node looks different").wait_for()
        points.node(1).get_by_text("1 dots").wait_for()
        points.until("() => window.heard.includes('destroyed')")
    finally:
        module.write_text(before)
    dialog.get_by_role("button", name="Reload packs").click()
    points.node(1).get_by_text("1 points").wait_for()


def test_the_example_of_the_docs_works_and_is_read_only_while_a_link_gives_the_value(packs: Any) -> None:
    packs.load(RATED, "Rated")
    packs.node(1).get_by_role("button", name="4 stars").click()
    assert packs.value(1, "stars") == 4
    packs.until("() => document.querySelector('[data-node=\"1\"] [aria-label=\"4 stars\"]').style.opacity === '1'")
    linked = packs.node(2).get_by_role("button", name="4 stars")
    assert linked.is_disabled()
    packs.page.evaluate(
        "() => safelight.store().getState().edit('Unlink', (d) => safelight.edits.disconnect(d, 'root', '1'))"
    )
    packs.until('() => !document.querySelector(\'[data-node="2"] [aria-label="4 stars"]\').disabled')
    linked.click()
    assert packs.value(2, "stars") == 4


def test_a_module_that_stopped_the_page_is_left_out_at_the_next_visit_only(points: Any) -> None:
    page = points.page
    page.add_init_script(STUCK)  # at the start of the next page: this one may yet call the pack, and take it back
    page.reload()
    points.toast("points_pack")
    points.widget(1, "points").get_by_role("textbox", name="points as JSON").wait_for()
    dialog = report(points)
    assert "stopped the page at the last visit" in dialog.locator("[data-pack=points_pack]").inner_text()
    dialog.get_by_role("button", name="Reload packs").click()
    dialog.get_by_text("No pack and no node looks different").wait_for()
    assert "stopped the page" in dialog.locator("[data-pack=points_pack]").inner_text()
    page.reload()
    points.node(1).get_by_text("1 points").wait_for()
