"""Graphs made and changed with mouse and keyboard, and taken back again."""

from __future__ import annotations

import json
import random
import re
from typing import Any

CHAIN = [
    ("CheckpointLoaderSimple", (40, 100)),
    ("CLIPTextEncode", (330, 60)),
    ("CLIPTextEncode", (330, 300)),
    ("EmptyLatent", (330, 540)),
    ("KSampler", (740, 100)),
    ("VAEDecode", (1040, 100)),
    ("SaveImage", (1040, 260)),
]
LINKS = [
    ("1", "CLIP", "2", "clip"),
    ("1", "CLIP", "3", "clip"),
    ("1", "MODEL", "5", "model"),
    ("2", "CONDITIONING", "5", "positive"),
    ("3", "CONDITIONING", "5", "negative"),
    ("4", "LATENT", "5", "latent_image"),
    ("5", "LATENT", "6", "samples"),
    ("1", "VAE", "6", "vae"),
    ("6", "IMAGE", "7", "images"),
]


def bare(editor: Any, x: float, y: float) -> tuple[float, float]:
    """A place on the canvas, from its corner."""
    box = editor.page.locator("[data-canvas]").bounding_box()
    return box["x"] + x, box["y"] + y


def add(editor: Any, kind: str, x: float, y: float) -> None:
    """A node, by a double click and the search."""
    editor.page.mouse.dblclick(*bare(editor, x, y))
    editor.search(kind)


def documents(editor: Any) -> str:
    """The document without the counters of ids, which never go back."""
    return editor.page.evaluate("""() => {
      const {counters, view, ...rest} = safelight.store().getState().document;
      return JSON.stringify(rest);
    }""")


def test_text_to_image_is_built_from_nothing_with_the_mouse_and_run(editor):
    page = editor.page
    editor.empty()
    page.keyboard.press("Shift+0")
    for kind, (x, y) in CHAIN:
        add(editor, kind, x, y)
    made = [node["type"] for node in editor.workflow()["nodes"]]
    assert len(made) == len(CHAIN)
    for start, output, end, name in LINKS:
        editor.drag(editor.socket(start, "Output", output), editor.socket(end, "Input", name))
    assert len(editor.links()) == len(LINKS)
    editor.widget(2, "text").locator("textarea").fill("yellow star")
    for name, value in (("width", "64"), ("height", "32*2")):
        number = editor.widget(4, name).get_by_role("spinbutton")
        number.click()
        page.keyboard.type(value)
        page.keyboard.press("Enter")
    steps = editor.widget(5, "steps").get_by_role("spinbutton")
    steps.focus()
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    assert [editor.value(4, "width"), editor.value(4, "height"), editor.value(5, "steps")] == [64, 64, 4]
    editor.shot("editor-built")
    editor.run()
    picture = editor.picture(7)
    assert page.wait_for_function("(image) => image.naturalWidth", arg=picture.element_handle()).json_value() == 64


def test_the_main_flow_needs_no_mouse(editor):
    page = editor.page
    page.keyboard.press("Alt+n")
    editor.until("() => safelight.workflow().nodes.length === 0")
    page.keyboard.press("Alt+g")
    for kind, _ in CHAIN:
        page.keyboard.press("Tab")
        editor.search(kind)
    assert len(editor.workflow()["nodes"]) == len(CHAIN)
    page.keyboard.press("Alt+Shift+A")
    page.keyboard.press("Shift+1")
    for start, output, end, name in LINKS:
        editor.reveal(end)
        page.keyboard.press("l")
        page.get_by_placeholder("Link which socket?").fill(f"{name} input")
        selected = page.locator(".sl-link-chooser [cmdk-item][aria-selected=true]")
        selected.and_(page.locator(f'[data-value*="{name} input"]')).wait_for()
        page.keyboard.press("Enter")
        source = next(kind for number, (kind, _) in enumerate(CHAIN, 1) if str(number) == start)
        page.get_by_placeholder("Link ").wait_for()
        choose = page.locator(f'[cmdk-item][data-value*="{start}output"]').filter(has_text=output)
        assert choose.count() == 1, source
        selected.wait_for()
        while choose.get_attribute("aria-selected") != "true":
            before = selected.get_attribute("data-value")
            page.keyboard.press("ArrowDown")
            editor.until(
                "(before) => document.querySelector('.sl-link-chooser [aria-selected=true]')?.dataset.value !== before",
                before,
            )
        page.keyboard.press("Enter")
        page.locator(".sl-link-chooser").wait_for(state="detached")
    assert len(editor.links()) == len(LINKS)
    editor.reveal(4)
    for keys in (["Enter", "6", "4", "Enter"], ["Enter", "Tab", "6", "4", "Enter"]):
        for key in keys:
            page.keyboard.press(key)
    assert [editor.value(4, "width"), editor.value(4, "height")] == [64, 64]
    editor.reveal(2)
    page.keyboard.press("Enter")
    page.keyboard.type("blue heart")
    assert editor.value(2, "text") == "blue heart"
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Escape")
    editor.reveal(7)
    editor.picture(7)


def test_whatever_is_done_at_random_undo_gives_the_start_and_redo_the_end(editor):
    start = documents(editor)
    shuffled = random.Random(4)
    commands = [
        "edit.duplicate", "edit.delete", "edit.deleteUnjoined", "edit.addNode", "node.mute", "node.bypass",
        "node.collapse", "node.pin", "node.group", "node.fitGroups", "node.resetSize", "node.snap", "node.arrange",
        "node.align.left", "node.align.centerY", "node.distribute.horizontal", "subgraph.create", "subgraph.unpack",
        "edit.copy", "edit.paste", "edit.pasteWithLinks",
    ]  # fmt: skip
    kinds = ["KSampler", "SaveImage", "TextEncode", "VAEDecode", "MarkdownNote", "Reroute", "LoadImage"]
    for _ in range(150):
        what = shuffled.choice([*commands, "select", "select", "add", "move", "value", "join", "title"])
        editor.page.evaluate(RANDOM_EDIT, [what, shuffled.random(), shuffled.random(), shuffled.choice(kinds)])
        if editor.page.locator("[role=combobox][aria-label='Search nodes']").count():
            editor.page.keyboard.press("Escape")
    end = documents(editor)
    assert end != start
    undone = editor.page.evaluate("() => { let n = 0; while (safelight.run('edit.undo')) n += 1; return n; }")
    assert undone > 30
    assert json.loads(documents(editor)) == json.loads(start)
    assert editor.page.get_by_role("tab", name="Text to image", exact=True).count() == 1  # no unsaved mark
    again = editor.page.evaluate("() => { let n = 0; while (safelight.run('edit.redo')) n += 1; return n; }")
    assert again == undone
    assert json.loads(documents(editor)) == json.loads(end)
    editor.command("canvas.fitAll")


RANDOM_EDIT = """async ([what, a, b, kind]) => {
  const store = safelight.store(), {edits} = safelight;
  const state = store.getState(), graphId = state.scope.graphId, graph = state.document.graphs[graphId];
  const ids = Object.keys(graph.nodes), id = ids[Math.floor(a * ids.length)], other = ids[Math.floor(b * ids.length)];
  if (what === 'select') return state.select({nodes: ids.filter((_, at) => (at * 0.618 + a) % 1 < b)});
  if (what === 'add') {
    return state.edit('Add', (draft) => void edits.addNode(draft, graphId, state.definitions, kind, [a * 1500, b * 900]));
  }
  if (!id) return;
  if (what === 'move') return state.edit('Move', (draft) => edits.moveNodes(draft, graphId, [id, other], [a * 90, -b * 90]));
  if (what === 'title') return state.edit('Rename', (draft) => edits.setTitle(draft, graphId, id, 'Title ' + b));
  if (what === 'value') {
    const name = Object.keys(graph.nodes[id].values)[0];
    if (name) state.edit('Value', (draft) => edits.setValue(draft, graphId, id, name, graph.nodes[id].values[name]));
    return;
  }
  if (what === 'join') {
    for (let from = 0; from < graph.nodes[id].outputs.length; from += 1) {
      for (let to = 0; to < graph.nodes[other].inputs.length; to += 1) {
        const ends = {from: id, fromSlot: from, to: other, toSlot: to};
        if (edits.whyNoConnection(state.document, graphId, state.definitions, ends)) continue;
        return state.edit('Connect', (draft) => void edits.connect(draft, graphId, state.definitions, ends));
      }
    }
    return;
  }
  safelight.run(what);
  await new Promise((resolve) => setTimeout(resolve, what.startsWith('edit.') ? 15 : 0));
}"""


def test_undo_and_redo_follow_what_was_done_by_hand(editor):
    page = editor.page
    start = editor.workflow()
    editor.drag(editor.node(7).locator(".sl-node-title"), (700, 700))
    moved = editor.nodes("SaveImage")[0]["pos"]
    assert moved != [1080, 80]
    editor.node(5).locator(".sl-node-title").click()
    page.keyboard.press("Delete")
    assert editor.nodes("KSampler") == []
    page.keyboard.press("Control+z")
    assert len(editor.nodes("KSampler")) == 1
    page.keyboard.press("Control+z")
    assert editor.workflow()["nodes"] == start["nodes"]
    assert editor.workflow()["links"] == start["links"]
    page.keyboard.press("Control+y")
    assert editor.nodes("SaveImage")[0]["pos"] == moved


def test_wrong_types_are_refused_with_a_reason(editor):
    page = editor.page
    before = editor.links()
    (x, y), (to_x, to_y) = centre(editor.socket(1, "Output", "VAE")), centre(editor.socket(5, "Input", "positive"))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 3, y + 3)
    page.mouse.move(to_x, to_y, steps=5)
    reason = page.locator(".sl-reason")
    reason.wait_for()
    said = reason.inner_text()
    assert "VAE" in said
    assert "CONDITIONING" in said
    editor.shot("editor-refused")
    page.mouse.up()
    assert editor.links() == before
    assert reason.count() == 0


def test_a_whole_number_feeds_a_float_over_the_conversion_that_is_offered(editor):
    page = editor.page
    page.evaluate(
        """() => safelight.store().getState().edit('Add', (draft) => {
          const {definitions} = safelight.store().getState();
          safelight.edits.addNode(draft, 'root', definitions, 'PrimitiveInt', [200, 700], {values: {value: 3}});
        })"""
    )
    (whole,) = (node["id"] for node in editor.nodes("PrimitiveInt"))
    before = editor.links()
    page.emulate_media(reduced_motion="reduce")  # the view is where it goes at once
    page.evaluate("() => safelight.canvas().fitView()")
    editor.drag(editor.socket(whole, "Output", "INT"), editor.widget(5, "cfg"))
    text = editor.toast("These two do not fit")
    assert "INT cannot feed an input of type FLOAT." in text
    assert editor.links() == before
    editor.shot("bridge-offered")
    page.get_by_role("button", name=re.compile("^Put .* between$")).click()
    (made,) = editor.nodes("ConvertNumber")
    cfg = next(at for at, slot in enumerate(editor.nodes("KSampler")[0]["inputs"]) if slot["name"] == "cfg")
    assert [whole, 0, made["id"], 0, "INT"] in editor.links()
    assert [made["id"], 0, 5, cfg, "FLOAT"] in editor.links()
    page.keyboard.press("Control+z")
    assert editor.links() == before
    page.keyboard.press("Control+Shift+z")
    editor.run()
    editor.picture(7)
    editor.shot("bridge-made")


def centre(found: Any) -> tuple[float, float]:
    box = found.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_link_dropped_on_the_canvas_offers_the_nodes_that_fit_and_joins_the_chosen_one(editor):
    page = editor.page
    editor.drag(editor.socket(6, "Output", "IMAGE"), bare(editor, 900, 640))
    page.get_by_text("takes IMAGE").wait_for()
    kinds = page.locator("[data-node-type]").evaluate_all("(all) => all.map((one) => one.dataset.nodeType)")
    assert "SaveImage" in kinds
    assert "KSampler" not in kinds
    editor.search("PreviewImage")
    made = editor.nodes("PreviewImage")[0]
    assert [6, 0, made["id"], 0, "IMAGE"] in editor.links()
    page.keyboard.press("Control+z")
    assert editor.nodes("PreviewImage") == []


def test_nodes_are_copied_between_workflows_and_windows(editor, visit, open_editor, home):
    page = editor.page
    editor.node(5).locator(".sl-node-title").click()
    editor.node(6).locator(".sl-node-title").click(modifiers=["Shift"])
    page.keyboard.press("Control+c")
    editor.empty()
    page.keyboard.press("Control+v")
    editor.until("() => safelight.workflow().nodes.length === 2")
    assert [link[4] for link in editor.links()] == ["LATENT"]
    other = open_editor(visit(home.url, page.context))
    other.empty()
    other.page.keyboard.press("Control+v")
    other.until("() => safelight.workflow().nodes.length === 2")
    assert {node["type"] for node in other.workflow()["nodes"]} == {"KSampler", "VAEDecode"}
    other.healthy()


def test_a_subgraph_is_made_entered_left_and_run(editor):
    page = editor.page
    editor.node(5).locator(".sl-node-title").click()
    editor.node(6).locator(".sl-node-title").click(modifiers=["Shift"])
    editor.command("subgraph.create")
    made = editor.workflow()
    instance = next(node for node in made["nodes"] if node["type"] == made["definitions"]["subgraphs"][0]["id"])
    assert editor.nodes("KSampler") == []
    editor.node(instance["id"]).get_by_role("button", name="Enter subgraph").click()
    editor.until("() => safelight.store().getState().scope.path.length === 1")
    editor.named("VAE Decode").wait_for()
    page.keyboard.press("Alt+g")
    page.keyboard.press("Escape")
    editor.until("() => safelight.store().getState().scope.path.length === 0")
    editor.run()
    editor.picture(7)
    editor.marked(instance["id"], "(ran|reused)")


def test_zoomed_out_nodes_are_painted_and_still_picked_with_the_mouse(editor):
    page = editor.page
    page.emulate_media(reduced_motion="reduce")
    page.evaluate("() => { safelight.canvas().fitView(); safelight.canvas().zoomTo(0.2); }")
    editor.node(5).wait_for(state="detached")
    place = page.evaluate("() => safelight.canvas().toClient([830, 40])")  # in the middle of the sampler
    page.mouse.click(place["x"], place["y"])
    editor.until("() => [...safelight.store().getState().selection.nodes].join() === '5'")
    page.keyboard.press("Delete")
    assert editor.nodes("KSampler") == []
