"""A person comes for the first time: everything is there, and one press gives a picture."""

from __future__ import annotations

import re

WATCH = """() => new MutationObserver(() => {
  window.seenPreview ??= document.querySelector('[data-node="5"] img[alt="Picture so far"]')?.src;
}).observe(document.body, {subtree: true, childList: true, attributes: true})"""
"""It is there only while the node samples, which may be over before anybody asks."""


def test_on_the_first_visit_run_puts_the_picture_on_the_last_node(serve, visit, open_editor):
    editor = open_editor(visit(serve()))
    page = editor.page
    introduction = page.get_by_role("heading", name="A workflow is ready")
    introduction.wait_for()
    assert editor.tabs() == ["Text to image"]
    page.evaluate(WATCH)
    editor.run()
    assert editor.until("() => window.seenPreview").startswith("blob:")
    preview = editor.node(5).get_by_role("img", name="Picture so far")
    picture = editor.picture(7)
    assert picture.get_attribute("alt") == "text_to_image_00001_.png"
    assert page.wait_for_function("(image) => image.naturalWidth", arg=picture.element_handle()).json_value() == 64
    for node in (1, 2, 5, 6, 7):
        editor.marked(node, "ran ")
    assert not preview.is_visible()
    assert editor.visit.previews()

    editor.run()
    for node in (1, 2, 5, 6, 7):
        editor.marked(node, "reused")
    editor.picture(7)

    page.reload()
    editor.picture(7)  # results come back with the page, the introduction does not
    assert introduction.count() == 0
    editor.healthy()


def test_what_the_page_needs_comes_from_the_server_alone(editor):
    names = editor.page.evaluate("() => performance.getEntriesByType('resource').map((one) => one.name)")
    assert names
    assert all(name.startswith((editor.visit.url, "blob:", "data:")) for name in names)
    html = editor.page.request.get(editor.visit.url).text()
    assert re.findall(r'(?:src|href)="(?:https?:)?//', html) == []
