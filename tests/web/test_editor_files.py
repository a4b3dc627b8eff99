"""Workflows are opened, kept and saved: nothing of a person's is lost or changed unasked."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = sorted((ROOT / "tests" / "interop" / "examples").glob("*.workflow.json"))
UNSAVED = "Text to image, unsaved changes"


def change_prompt(editor: Any, text: str) -> None:
    """Type another prompt."""
    editor.node(2).locator("textarea").fill(text)
    assert editor.value(2, "text") == text


def test_a_saved_workflow_is_marked_reopened_and_as_it_was_left(editor, home):
    page = editor.page
    assert page.get_by_role("tab", name="Text to image", exact=True).count() == 1
    change_prompt(editor, "white cat")
    page.get_by_role("tab", name=UNSAVED).wait_for()
    page.keyboard.press("Control+s")
    dialog = page.get_by_role("dialog", name="Save workflow as")
    dialog.get_by_role("textbox", name="Name").fill("animals/cat")
    dialog.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("tab", name="cat", exact=True).wait_for()
    stored = next(home.base.rglob("workflows/animals/cat.json"))
    assert json.loads(stored.read_text()) == editor.workflow()
    change_prompt(editor, "black cat")
    page.get_by_role("tab", name="cat, unsaved changes").wait_for()
    page.keyboard.press("Control+s")
    page.get_by_role("tab", name="cat", exact=True).wait_for()
    left = editor.workflow()
    assert json.loads(stored.read_text()) == left
    editor.kept()
    page.reload()
    page.get_by_role("tab", name="cat", exact=True).wait_for()
    assert editor.value(2, "text") == "black cat"
    assert editor.workflow() == left
    page.get_by_role("button", name="Close cat").click()
    editor.command("panel.workflows")
    page.get_by_title("animals/cat.json").click()
    page.get_by_role("tab", name="cat", exact=True).wait_for()
    assert editor.value(2, "text") == "black cat"


def test_a_reload_finds_its_tabs_while_the_page_before_it_is_still_going_away(editor, visit, open_editor, home):
    page = editor.page
    editor.load(editor.workflow(), "Lighthouses")
    editor.kept()
    lock = "safelight-window-" + page.evaluate("() => sessionStorage.getItem('safelight.window')")
    other = open_editor(visit(home.url, page.context))
    # As that page would, it holds the lock of this window for a while longer.
    other.page.evaluate(
        """(lock) => {
          const release = new Promise((resolve) => { window.gone = resolve; });
          void navigator.locks.request(lock, () => { window.holds = true; return release; });
        }""",
        lock,
    )
    page.reload(wait_until="commit")
    other.until("() => window.holds")
    asked = "(lock) => navigator.locks.query().then(({pending}) => pending.some(({name}) => name === lock))"
    other.visit.promised(asked, lock)
    other.page.evaluate("() => window.gone()")
    page.get_by_role("tab", name="Lighthouses").wait_for()


def test_what_was_not_saved_survives_a_crashed_page(editor, visit, open_editor, home):
    page = editor.page
    change_prompt(editor, "lighthouse")
    editor.kept()
    editor.empty()
    page.get_by_role("tab", name="Untitled").wait_for()
    editor.kept()
    context = page.context
    with page.expect_event("crash"), contextlib.suppress(Exception):
        page.goto("chrome://crash", timeout=5000)  # never answered
    again = open_editor(visit(home.url, context))
    assert again.tabs() == ["Text to image", "Untitled"]
    again.toast("Your work is back")
    again.page.get_by_role("tab", name=UNSAVED).click()
    again.until("() => safelight.store().getState().document.graphs.root.nodes['2'].values.text === 'lighthouse'")
    again.healthy()


def test_our_pictures_dropped_on_the_canvas_bring_back_their_graph(editor, home):
    change_prompt(editor, "brown dog")
    editor.run()
    name = editor.picture(7).get_attribute("alt")
    change_prompt(editor, "something else")
    editor.drop("[data-canvas]", home.base / "output" / name)
    editor.until("() => document.querySelectorAll('.sl-wtab').length === 2")
    editor.until("() => safelight.store().getState().document.graphs.root.nodes['2']?.values.text === 'brown dog'")
    assert len(editor.links()) == 9
    editor.page.get_by_role("tab", name=UNSAVED).first.click()
    assert editor.value(2, "text") == "something else"


BAD = {
    "broken.json": (b'{"nodes": [1, 2', ["line 1"]),
    "foreign.json": (b'{"name": "some-package", "version": "1.0.0"}', []),
    "list.json": (b"[1, 2, 3]", []),
    "empty.json": (b"", []),
    "newer.json": (json.dumps({"version": 99, "nodes": [], "links": []}).encode(), ["newer"]),
    "no-picture.png": (b"not a picture at all", []),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_opened_is_said_and_changes_nothing(editor, name):
    data, words = BAD[name]
    before, tabs = editor.workflow(), editor.tabs()
    editor.drop("[data-canvas]", (name, data))
    said = editor.toast(name.split(".")[0], "not opened" if not name.endswith(".png") else "")
    for word in words:
        assert word in said
    assert "Nothing was changed" in said
    assert editor.workflow() == before
    assert editor.tabs() == tabs
    assert editor.page.get_by_role("tab", name="Text to image", exact=True).count() == 1
    editor.visit.failed.clear()  # the server said no to a file that is no picture


def test_a_picture_without_a_workflow_can_become_an_input(editor):
    plain = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
    editor.drop("[data-canvas]", ("plain.png", plain))
    assert "carries no workflow" in editor.toast("plain.png")
    editor.page.get_by_role("button", name="Use as input image").click()
    editor.until("() => safelight.workflow().nodes.some((node) => node.type === 'LoadImage')")
    editor.visit.failed.clear()


def test_the_prompt_form_opens_laid_out(editor):
    prompt = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "emoji-64.safetensors"}},
        "2": {"class_type": "TextEncode", "inputs": {"clip": ["1", 1], "text": "moon"}, "_meta": {"title": "Words"}},
    }
    editor.drop("[data-canvas]", ("prompt.json", json.dumps(prompt).encode()))
    editor.until("() => safelight.workflow().nodes.length === 2")
    assert editor.links() == [[1, 1, 2, 0, "CLIP"]]
    editor.named("Words").wait_for()
    assert editor.value(2, "text") == "moon"


def test_both_forms_are_exported(editor):
    page = editor.page
    found = {}
    for command in ("workflow.export", "workflow.exportPrompt"):
        with page.expect_download() as download:
            editor.command(command)
        found[command] = json.loads(Path(download.value.path()).read_text())
    assert found["workflow.export"] == editor.workflow()
    sampler = found["workflow.exportPrompt"]["5"]
    assert sampler["class_type"] == "KSampler"
    assert sampler["inputs"]["latent_image"] == ["4", 0]


def test_the_templates_have_pictures_and_open(editor):
    page = editor.page
    editor.command("workflow.templates")
    cards = page.locator(".sl-template")
    cards.first.wait_for()
    assert cards.count() >= 8
    editor.until("() => [...document.querySelectorAll('.sl-template img')].some((one) => one.naturalWidth > 0)")
    editor.shot("editor-templates")
    page.get_by_role("textbox", name="Search templates").fill("image to image")
    card = cards.filter(has_text=re.compile("image to image", re.IGNORECASE))
    card.first.click()
    editor.until("() => safelight.workflow().nodes.some((node) => node.type === 'VAEEncode')")
    assert len(editor.tabs()) in (1, 2)


SETTINGS_SENT = "() => JSON.parse(localStorage.getItem('safelight.settings')).unsent.length === 0"


def test_settings_persist_on_the_server_and_the_theme_changes_at_once(editor, visit, open_editor, home):
    page = editor.page
    shade = "() => getComputedStyle(document.querySelector('.sl-bar')).backgroundColor"
    dark = page.evaluate(shade)
    editor.command("view.theme")
    editor.until("() => document.documentElement.dataset.theme === 'light'")
    assert page.evaluate(shade) != dark
    editor.shot("editor-light")
    page.keyboard.press("Control+,")
    dialog = page.get_by_role("dialog", name="Settings")
    dialog.get_by_role("textbox", name="Search settings").fill("minimap")
    toggle = dialog.get_by_role("switch").first
    assert toggle.get_attribute("aria-checked") == "true"
    toggle.click()
    assert toggle.get_attribute("aria-checked") == "false"
    editor.shot("editor-settings")
    page.keyboard.press("Escape")
    editor.until(SETTINGS_SENT)
    other = open_editor(visit(home.url))  # another browser
    other.until("() => document.documentElement.dataset.theme === 'light'")
    assert other.page.locator(".sl-minimap").count() == 0
    other.command("canvas.toggleMinimap")
    other.command("view.theme")
    other.until("() => document.documentElement.dataset.theme === 'dark'")
    other.until(SETTINGS_SENT)
    other.healthy()


def test_every_example_opens_with_all_its_nodes_and_is_saved_without_loss(editor):
    page = editor.page
    page.emulate_media(reduced_motion="reduce")
    page.evaluate("() => safelight.run('workflow.close')")
    for path in EXAMPLES:
        source = json.loads(path.read_text())
        page.keyboard.press("Escape")
        opened = page.evaluate("([json, name]) => safelight.open(json, name)", [source, path.stem])
        assert opened, path.name
        found = page.evaluate(LOOK)
        assert found["shown"] == len(source["nodes"]), path.name
        assert found["unpainted"] == [], path.name
        types = {node["type"] for node in source["nodes"]}
        assert set(found["missing"]) <= types
        assert found["marked"] == len(found["missingNodes"]), path.name
        assert losses(source, found["saved"]) == [], path.name
        page.evaluate("() => safelight.run('workflow.close')")
    editor.shot("editor-examples")
    # Pictures that the workflows want are not on this server.
    editor.visit.failed[:] = [one for one in editor.visit.failed if "404 GET /api/view?" not in one]


def losses(before: Any, after: Any, where: str = "") -> list[str]:
    """How a saved file differs from the one that was opened."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            loss
            for key, value in before.items()
            for loss in (losses(value, after[key], f"{where}.{key}") if key in after else [f"{where}.{key} is gone"])
        ] + [f"{where}.{key} is new" for key in after if key not in before]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            loss for at, pair in enumerate(zip(before, after, strict=True)) for loss in losses(*pair, f"{where}[{at}]")
        ]
    return [] if before == after else [f"{where}: {before!r:.80} became {after!r:.80}"]


LOOK = """async () => {
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  await frame();
  const store = safelight.store(), canvas = safelight.canvas();
  const {document: graph, definitions} = store.getState();
  const saved = safelight.workflow();
  const nodes = Object.values(graph.graphs.root.nodes);
  canvas.fitView();
  await frame();
  canvas.zoomTo(0.12);
  await frame();
  const scene = document.querySelector('canvas.sl-scene'), box = scene.getBoundingClientRect();
  const ratio = scene.width / box.width, context = scene.getContext('2d');
  const unpainted = [];
  for (const node of nodes) {
    const at = canvas.toClient([node.pos[0] + 8, node.pos[1] - 15]);
    const [x, y] = [(at.x - box.x) * ratio, (at.y - box.y) * ratio];
    if (x < 0 || y < 0 || x >= scene.width || y >= scene.height) continue;
    if (node.type !== 'Reroute' && context.getImageData(x, y, 1, 1).data[3] < 200) unpainted.push(node.id);
  }
  const known = (type) => definitions.has(type) || type in graph.graphs || type.startsWith('workflow>');
  const missingNodes = nodes.filter((node) => !known(node.type)).map((node) => node.id);
  let marked = 0;
  for (const id of missingNodes) {
    canvas.reveal(id);
    for (let wait = 0; wait < 40; wait += 1) {
      await frame();
      if (document.querySelector(`[data-node="${CSS.escape(id)}"][data-missing]`)) { marked += 1; break; }
    }
  }
  store.getState().clearSelection();
  return {shown: nodes.length, unpainted, missing: [...new Set(missingNodes.map((id) => graph.graphs.root.nodes[id].type))],
          missingNodes, marked, saved};
}"""


def test_settings_of_the_web_ui_open_as_a_graph(editor):
    settings = (
        "red apple\nNegative prompt: blurry\nSteps: 12, Sampler: Euler a, CFG scale: 5, Seed: 7, Size: 64x64, Odd: 1"
    )
    editor.drop("[data-canvas]", ("settings.txt", settings.encode()))
    editor.until("() => safelight.workflow().nodes.some((node) => node.type === 'KSampler')")
    assert "not everything is as it was" in editor.toast("settings")
    (sampler,) = editor.nodes("KSampler")
    assert [editor.value(sampler["id"], name) for name in ("steps", "seed", "sampler_name")] == [
        12,
        7,
        "euler_ancestral",
    ]
    editor.drop("[data-canvas]", ("remark.txt", b"just a remark"))
    assert "Nothing was changed" in editor.toast("remark", "not opened")
    editor.visit.failed.clear()  # the server said no to a text that is no settings
