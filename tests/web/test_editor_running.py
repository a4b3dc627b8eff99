"""Runs as a person sees them: marks, errors, the queue, values on wires, results."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
RUNNING = "() => document.querySelector('[data-node=\"5\"] [role=progressbar]')"


def set_number(editor: Any, node: int, name: str, value: float) -> None:
    """Type a number into a widget."""
    editor.widget(node, name).get_by_role("spinbutton").click()
    editor.page.keyboard.type(str(value))
    editor.page.keyboard.press("Enter")


def waiting_node(editor: Any, seconds: float) -> None:
    """A workflow of one node that takes its time."""
    editor.empty()
    editor.page.keyboard.press("Control+Shift+A")
    editor.search("TestWaits")
    editor.page.evaluate(
        """(seconds) => safelight.store().getState().edit('Set', (draft) => {
          safelight.edits.setValue(draft, 'root', '1', 'seconds', seconds);
        })""",
        seconds,
    )


def test_sampling_can_be_interrupted_and_the_graph_run_again(editor):
    page = editor.page
    set_number(editor, 5, "steps", 3000)
    editor.run()
    editor.node(5).get_by_role("img", name="Picture so far").wait_for()
    assert editor.node(5).get_by_role("progressbar").count() == 1
    page.get_by_role("button", name="Interrupt").click()
    editor.node(5).get_by_role("progressbar").wait_for(state="detached")
    page.get_by_role("button", name="Interrupt").wait_for(state="detached")
    assert editor.node(7).locator(".sl-preview-picture").count() == 0
    assert editor.value(5, "steps") == 3000
    page.keyboard.press("Control+z")
    assert editor.value(5, "steps") == 20
    editor.run()
    editor.picture(7)


def test_a_paused_queue_holds_jobs_which_the_panel_shows_and_cancels(editor):
    page = editor.page
    waiting_node(editor, 0.2)
    editor.command("panel.queue")
    panel = page.get_by_role("complementary", name="Queue")
    panel.get_by_text("Nothing waits").wait_for()
    panel.get_by_role("button", name="Pause").click()
    panel.get_by_text("The queue is paused").wait_for()
    for _ in range(3):
        editor.run()
    rows = panel.get_by_role("list", name=re.compile("^Waiting")).get_by_role("listitem")
    editor.until("() => document.querySelectorAll('.sl-job').length === 3")
    editor.shot("editor-queue")
    rows.nth(1).get_by_role("button", name="Cancel this job").click()
    editor.until("() => document.querySelectorAll('.sl-job').length === 2")
    panel.get_by_role("button", name="Resume").click()
    panel.get_by_text("Nothing waits").wait_for()
    editor.node(1).get_by_text("waited").wait_for()


def test_a_running_job_is_stopped_from_the_panel(editor):
    page = editor.page
    waiting_node(editor, 60)
    editor.command("panel.queue")
    editor.run()
    page.get_by_role("button", name="Stop this job").click()
    page.get_by_text("Nothing waits").wait_for()
    editor.node(1).get_by_role("progressbar").wait_for(state="detached")


def test_the_batch_count_queues_so_many_runs(editor):
    page = editor.page
    page.get_by_role("spinbutton", name="Batch count").fill("3")
    page.get_by_role("spinbutton", name="Batch count").press("Enter")
    waiting_node(editor, 0.1)
    editor.run()
    editor.hears("execution_success", 3)
    assert len({data["prompt_id"] for data in editor.visit.received("execution_success")}) == 3


def test_a_choice_that_is_missing_is_said_on_the_node_with_what_to_do(editor):
    page = editor.page
    broken = editor.workflow()
    next(node for node in broken["nodes"] if node["id"] == 1)["widgets_values"] = ["no-such-model.safetensors"]
    editor.load(broken, "Broken")
    editor.run()
    error = editor.node(1).get_by_role("alert")
    error.wait_for()
    said = error.inner_text()
    assert "ckpt_name" in said
    assert "no-such-model.safetensors" in said
    assert error.locator(".sl-node-error-hint").inner_text()
    editor.shot("editor-missing-choice")
    error.get_by_role("button", name="Hide this error").click()
    error.wait_for(state="detached")
    editor.visit.failed.remove("400 POST /api/prompt")
    editor.widget(1, "ckpt_name").get_by_role("combobox").click()
    page.get_by_role("option", name="emoji-64.safetensors").click()
    assert editor.value(1, "ckpt_name") == "emoji-64.safetensors"
    editor.run()
    editor.picture(7)


def test_a_node_that_raises_shows_what_was_wrong_and_a_report(editor):
    page = editor.page
    editor.empty()
    page.keyboard.press("Control+Shift+A")
    editor.search("TestFails")
    editor.run()
    error = editor.node(1).get_by_role("alert")
    error.get_by_text("The lamp is broken").first.wait_for()
    editor.shot("editor-failed")
    error.get_by_role("button", name="Show report").click()
    report = page.get_by_role("dialog", name="TestFails failed")
    report.wait_for()
    assert "The lamp is broken" in report.inner_text()
    report.get_by_text("The whole report").click()
    report.get_by_text("Traceback").first.wait_for()
    editor.shot("editor-report")
    report.get_by_role("button", name="Close", exact=True).last.click()
    report.wait_for(state="detached")
    assert len(editor.nodes("TestFails")) == 1


def test_a_link_tells_what_ran_over_it(editor):
    page = editor.page
    editor.run()
    editor.picture(7)
    for start, end, name, shape in (
        ((6, "IMAGE"), (7, "images"), "IMAGE", "64 × 64"),
        ((5, "LATENT"), (6, "samples"), "LATENT", "×"),
    ):
        a, b = centre(editor.socket(start[0], "Output", start[1])), centre(editor.socket(end[0], "Input", end[1]))
        page.mouse.click(*on_link(editor, a, b))
        value = page.get_by_role("dialog", name="Value of the link")
        value.get_by_text(shape).first.wait_for()
        assert name in value.inner_text()
        picture = value.locator("img")
        picture.wait_for()
        editor.until("() => document.querySelector('.sl-wire img')?.naturalWidth")
        editor.shot(f"editor-wire-{name}")
        page.keyboard.press("Escape")
        value.wait_for(state="detached")


def centre(found: Any) -> tuple[float, float]:
    box = found.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def on_link(editor: Any, start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """Where the link between two sockets can be pointed at: the canvas shows a hand there."""
    for offset in (0, 4, -4, 8, -8):
        for step in (20, 16, 24, 12, 28, 8, 32, 5, 35):
            share = step / 40
            x = start[0] + (end[0] - start[0]) * share
            y = start[1] + (end[1] - start[1]) * share + offset
            editor.page.mouse.move(x, y)
            if editor.page.evaluate("() => document.querySelector('[data-canvas]').style.cursor") == "pointer":
                return x, y
    raise AssertionError("The link cannot be pointed at")


def test_the_gallery_keeps_the_picture_and_loads_its_workflow(editor):
    page = editor.page
    editor.node(2).locator("textarea").fill("purple umbrella")
    editor.run()
    editor.picture(7)
    editor.node(2).locator("textarea").fill("something else")
    editor.command("panel.gallery")
    tile = page.locator(".sl-tile").first
    tile.locator("img").wait_for()
    tile.locator(".sl-tile__picture").click()
    page.locator(".sl-lightbox img").wait_for()
    editor.until("() => document.querySelector('.sl-lightbox img').naturalWidth === 64")
    editor.shot("editor-lightbox")
    page.get_by_role("button", name="Load the workflow that made this").click()
    editor.until("() => safelight.store().getState().document.graphs.root.nodes['2'].values.text === 'purple umbrella'")
    assert len(editor.tabs()) == 2
    page.get_by_role("tab", name=re.compile("^Text to image")).first.click()
    assert editor.value(2, "text") == "something else"
    page.reload()
    page.locator(".sl-tile img").first.wait_for()  # panel and history are there again


def test_the_form_runs_the_workflow_and_shows_the_result(editor):
    page = editor.page
    page.keyboard.press("Alt+f")
    form = page.get_by_role("region", name="Inputs")
    form.get_by_label("Prompt", exact=True).fill("green apple")
    form.get_by_role("spinbutton", name="Steps").fill("6")
    form.get_by_role("button", name="Run", exact=True).click()
    result = page.get_by_role("region", name="Result")
    result.locator(".sl-form__picture img").wait_for()
    editor.until("() => document.querySelector('.sl-form__picture img').naturalWidth === 64")
    editor.shot("editor-form")
    page.keyboard.press("Alt+f")
    editor.node(2).wait_for()
    assert editor.value(2, "text") == "green apple"
    assert editor.value(5, "steps") == 6


def test_image_to_image_takes_an_uploaded_picture(editor):
    page = editor.page
    page.evaluate(IMAGE_TO_IMAGE)
    picture = (ROOT / "workflows" / "image_to_image.png").read_bytes()
    page.set_input_files(
        '[data-widget$=":image"] input[type=file]', {"name": "mine.png", "mimeType": "image/png", "buffer": picture}
    )
    loader = editor.nodes("LoadImage")[0]["id"]
    editor.until(
        f"() => safelight.store().getState().document.graphs.root.nodes['{loader}'].values.image === 'mine.png'"
    )
    shown = editor.picture(loader)
    assert "mine" in shown.get_attribute("src")
    encode, sampler = editor.nodes("VAEEncode")[0]["id"], 5
    assert [encode, 0, sampler, 3, "LATENT"] in editor.links()
    editor.command("canvas.fitAll")
    editor.drop(f'[data-node="{loader}"]', ("dropped.png", picture))
    editor.until(
        f"() => safelight.store().getState().document.graphs.root.nodes['{loader}'].values.image === 'dropped.png'"
    )
    editor.run()
    editor.picture(7)
    editor.shot("editor-image-to-image")


IMAGE_TO_IMAGE = """() => {
  const store = safelight.store(), {edits} = safelight;
  store.getState().edit('From a picture', (draft) => {
    const all = store.getState().definitions;
    const load = edits.addNode(draft, 'root', all, 'LoadImage', [0, 480]);
    const scale = edits.addNode(draft, 'root', all, 'ImageScale', [0, 900]);
    const encode = edits.addNode(draft, 'root', all, 'VAEEncode', [360, 560]);
    const join = (from, fromSlot, to, toSlot) => edits.connect(draft, 'root', all, {from, fromSlot, to, toSlot});
    edits.setValue(draft, 'root', scale, 'width', 64);
    edits.setValue(draft, 'root', scale, 'height', 64);
    edits.setValue(draft, 'root', '5', 'denoise', 0.7);
    join(load, 0, scale, 0);
    join(scale, 0, encode, 0);
    join('1', 2, encode, 1);
    join(encode, 0, '5', 3);
  });
}"""
