"""Our own page: what a visitor sees and can do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PICTURE = "() => !document.querySelector('#picture.preview') && document.querySelector('#picture')?.naturalWidth"


@pytest.fixture
def seen(serve: Any, visit: Any) -> Any:
    window = visit(serve())
    window.page.locator("#run:enabled").wait_for()
    return window


def test_a_visitor_draws_a_picture_and_finds_it_and_its_settings_again(seen, tmp_path: Path):
    page = seen.page
    page.evaluate(
        """() => {
          window.seen = {previews: 0, states: new Set()};
          new MutationObserver(() => {
            window.seen.previews += document.querySelector('#picture').classList.contains('preview');
            window.seen.states.add(document.querySelector('#state').textContent);
          }).observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
        }"""
    )
    seen.shot("page-empty")
    page.get_by_label("Prompt").first.fill("blue heart")
    page.get_by_role("button", name="Run").click()
    page.locator("#picture.preview").wait_for(timeout=90_000)
    seen.shot("page-preview")
    assert seen.until(PICTURE) == 64
    assert page.locator("#caption").text_content() == "text_to_image_00001_.png"
    assert "Done." in seen.until("() => [...window.seen.states].includes('Done.') && [...window.seen.states]")
    assert page.evaluate("() => window.seen.previews") > 0
    assert any(" of 20" in state for state in page.evaluate("() => [...window.seen.states]"))
    page.locator("#history button img").first.wait_for()
    page.wait_for_timeout(300)
    seen.shot("page-picture")

    page.get_by_label("Prompt").first.fill("something else")
    page.locator("#history button").first.click()
    seen.until("() => document.querySelector('#field-prompt').value === 'blue heart'")

    page.get_by_label("Prompt").first.fill("something else")
    page.set_input_files("#file", tmp_path / "output" / "text_to_image_00001_.png")
    seen.until("() => document.querySelector('#field-prompt').value === 'blue heart'")
    assert seen.errors == []
    assert seen.failed == []
    assert seen.stopped == []


def test_what_is_wrong_with_a_value_is_said_beside_the_form(seen):
    page = seen.page
    page.evaluate("() => document.querySelector('#form').setAttribute('novalidate', '')")
    page.locator("#field-steps").fill("0")
    page.get_by_role("button", name="Run").click()
    problem = seen.until("() => document.querySelector('#problem').textContent")
    assert "KSampler" in problem
    assert "steps" in problem


def test_a_job_can_be_cancelled_from_the_queue(seen):
    page = seen.page
    page.locator("#field-steps").fill("2000")
    page.get_by_role("button", name="Run").click()
    cancel = page.locator("#queue button")
    cancel.first.wait_for()
    page.locator("#picture.preview").wait_for(timeout=90_000)
    cancel.first.click()
    seen.until("() => document.querySelector('#state').textContent === 'Cancelled.'")
    page.get_by_text("Nothing waits.").wait_for()
    seen.shot("page-cancelled")


def test_every_workflow_of_the_list_can_be_chosen_and_has_fields(seen):
    page = seen.page
    names = page.locator("#workflow option").evaluate_all("(all) => all.map((one) => one.value)")
    assert len(names) >= 8
    for name in names:
        with page.expect_response(lambda one, name=name: one.url.endswith(f"/templates/{name}.json")):
            page.locator("#workflow").select_option(name)
        seen.until("() => document.querySelectorAll('#fields > div').length >= 5")
    assert seen.errors == []
