"""The server goes away and comes back; several windows and workflows share one server."""

from __future__ import annotations

import re


def test_a_run_goes_on_after_the_server_was_killed_and_the_graph_stays(serve, visit, open_editor):
    url = serve()
    port = url.rpartition(":")[2]  # it is this server's, and then the next one's
    editor = open_editor(visit(url))
    page = editor.page
    editor.widget(5, "steps").get_by_role("spinbutton").click()
    page.keyboard.type("150")
    page.keyboard.press("Enter")
    editor.run()
    editor.node(5).get_by_role("img", name="Picture so far").wait_for()
    serve.kill()
    page.get_by_text("The server does not answer.").wait_for()
    editor.shot("editor-away")
    editor.node(2).locator("textarea").fill("edited while it was away")
    before = editor.workflow()
    serve("--port", port)
    page.get_by_text("The server does not answer.").wait_for(state="detached")
    editor.picture(7)
    assert editor.workflow() == before
    page.get_by_role("status", name="Connected to the server").wait_for()
    assert editor.visit.errors == []
    editor.run()
    editor.marked(2, "ran ")
    assert editor.workflow()["nodes"] == before["nodes"]


def test_each_window_hears_of_its_own_runs(editor, visit, open_editor, home):
    other = open_editor(visit(home.url, editor.page.context))
    for one, text in ((editor, "cherry"), (other, "rocket")):
        one.node(2).locator("textarea").fill(text)
        one.run()
    names = {one.picture(7).get_attribute("alt") for one in (editor, other)}
    assert len(names) == 2
    for one in (editor, other):
        one.marked(5, "ran ")
        assert len({data["prompt_id"] for data in one.visit.received("executed")}) == 1
    other.healthy()


def test_each_workflow_of_a_window_shows_its_own_run(editor):
    page = editor.page
    editor.node(2).locator("textarea").fill("banana")
    editor.load(editor.workflow(), "Second")
    editor.node(2).locator("textarea").fill("car")
    assert editor.node(7).locator(".sl-preview-picture").count() == 0
    editor.run()
    page.get_by_role("tab", name=re.compile("^Text to image")).click()
    editor.until("() => safelight.store().getState().document.graphs.root.nodes['2'].values.text === 'banana'")
    editor.hears("execution_success", 1)
    assert editor.node(7).locator(".sl-preview-picture").count() == 0
    assert editor.node(5).locator(".sl-node-badge").count() == 0
    page.get_by_role("tab", name=re.compile("^Second")).click()
    editor.picture(7)
    editor.marked(2, "ran ")
