"""The page that describes the routes has a form for each workflow: fill in, run, see what happens and the picture."""

from __future__ import annotations

import json
import re

WATCH = """() => new MutationObserver(() => {
  window.seenPreview ??= document.querySelector('.result img.preview')?.src;
}).observe(document.body, {subtree: true, childList: true, attributes: true})"""
"""It is there only while the node samples, which may be over before anybody asks."""


def test_a_workflow_is_run_from_its_form(serve, visit):
    url = serve()
    seen = visit(url)
    page = seen.page
    page.goto(f"{url}/api/v1/docs")
    tried = page.locator("#run_text_to_image")
    tried.locator("summary").click()
    tried.get_by_label("prompt").fill("sunflower")
    tried.get_by_label("seed").fill("5")
    tried.get_by_label("sampler").select_option("euler")
    page.evaluate(WATCH)
    tried.get_by_role("button", name="Run").click()
    picture = tried.get_by_role("img", name="image")
    picture.wait_for()
    assert seen.until("() => window.seenPreview").startswith("data:image/jpeg")
    assert page.wait_for_function("(image) => image.naturalWidth", arg=picture.element_handle()).json_value() == 64
    assert tried.get_by_role("status").inner_text().startswith("Done in ")
    values = json.loads(tried.locator(".result pre").inner_text())
    assert (values["prompt"], values["seed"], values["sampler"]) == ("sunflower", 5, "euler")
    command = tried.locator(".request pre").inner_text()
    (sent,) = re.findall(r"^curl -d '(.*)' \\\n", command)
    assert json.loads(sent) == {"prompt": "sunflower", "seed": 5, "sampler": "euler"}, "what is as saved is left out"
    assert command.endswith(f"{url}/api/v1/workflows/text_to_image/run")
    seen.shot("form")

    tried.get_by_label("seed").fill("a lot")
    tried.get_by_role("button", name="Run").click()
    tried.locator(".wrong").wait_for()
    assert tried.get_by_role("status").inner_text().startswith("seed: ")
    assert tried.get_by_role("button", name="Run").is_enabled()
    assert (seen.stopped, seen.errors) == ([], [])
