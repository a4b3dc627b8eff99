"""The field's own front ends, unmodified, as their package has them: load, run, watch, look back."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
WORKFLOW = ROOT / "workflows" / "text_to_image.json"
STEPS = 20

READY = "() => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100"
OPENED = "() => window.app.graph.nodes.some((node) => node.title === 'Negative prompt')"
WATCH = """() => {
  window.seenProgress = [];
  setInterval(() => {
    const now = window.app.graph.nodes.find((node) => node.type === 'KSampler')?.progress;
    if (now) window.seenProgress.push(now);
    const image = window.app.graph.nodes.find((node) => node.type === 'KSampler')?.imgs?.[0];
    if (image?.src.startsWith('blob:') && image.naturalWidth) window.seenPreview = image.naturalWidth;
  }, 10);
}"""
PREVIEW = "() => window.seenPreview"
"""That of a preview, which may be over before anybody asks."""
PICTURE = """() => {
  const image = window.app.graph.nodes.find((one) => one.type === 'SaveImage')?.imgs?.[0];
  return image?.naturalWidth && image.src;
}"""


def front_end(version: str) -> Path:
    """The folder with its index.html; `make front-ends` puts it into the virtual environment."""
    home = Path(os.environ.get("SAFELIGHT_FRONT_ENDS", Path(sys.prefix) / "front_ends"))
    root = home / version / "comfyui_frontend_package" / "static"
    if not (root / "index.html").is_file():
        text = f"front end {version} is not there ({root}): `make front-ends` fetches it"
        pytest.fail(text) if os.environ.get("SAFELIGHT_REQUIRE_BROWSER") else pytest.skip(text)
    return root


def no_tutorial(url: str) -> None:
    """Its first visit would lay a dialog over everything."""
    body = json.dumps({"Comfy.TutorialCompleted": True}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}/api/settings", body), timeout=60).close()


def started(serve: Any, visit: Any, version: str) -> Any:
    """A window with the front end, once it knows our nodes."""
    url = serve("--front-end-root", str(front_end(version)))
    no_tutorial(url)
    seen = visit(url)
    seen.until(READY)
    return seen


def run_text_to_image(seen: Any, version: str) -> str:
    """Open our workflow as a file, press Run, and watch; the URL of the picture that its node shows."""
    page = seen.page
    page.set_input_files("#comfy-file-input", WORKFLOW)
    seen.until(OPENED)
    page.evaluate(WATCH)
    seen.shot(f"{version}-opened")
    button = "button[data-testid=queue-button], [data-testid=queue-button] button"
    with page.expect_response(lambda one: one.url.endswith("/api/prompt")) as posted:
        page.locator(button).first.click()
    assert posted.value.status == 200, posted.value.text()
    assert posted.value.json()["node_errors"] == {}
    assert seen.until(PREVIEW) >= 64
    seen.shot(f"{version}-preview")
    return str(seen.until(PICTURE))


def check_messages(seen: Any) -> None:
    """What came over the websocket is what the protocol says, in its order."""
    seen.hears("executing", lambda data: bool(data) and data[-1]["node"] is None)
    kinds = [message["type"] for message in seen.texts]
    for kind in ("feature_flags", "execution_start", "execution_cached", "progress_state", "executed"):
        assert kind in kinds, kinds
    assert kinds.index("status") == 0
    assert kinds.index("execution_start") < kinds.index("executing") < kinds.index("executed")
    assert kinds.index("execution_success") < len(kinds) - 1 - kinds[::-1].index("executing")
    assert seen.previews()
    steps = [(data["value"], data["max"]) for data in seen.received("progress")]
    assert steps
    assert all(total == STEPS for _, total in steps)


@pytest.mark.parametrize("version", ["1.27.10", "1.58.1"])
def test_the_unmodified_front_end_draws_a_picture_with_the_bundled_model(serve, visit, version):
    seen = started(serve, visit, version)
    seen.shot(f"{version}-loaded")
    source = run_text_to_image(seen, version)
    seen.shot(f"{version}-picture")
    assert "/api/view?filename=text_to_image_00001_.png" in source
    assert any(0 < share < 1 for share in seen.page.evaluate("() => window.seenProgress"))
    check_messages(seen)
    PANELS[version](seen)
    assert [one for one in seen.failed if not one.startswith("404 ")] == []
    assert [one for one in seen.failed if "/api/" in one and "userdata" not in one and "subgraphs" not in one] == []


def panels_of_1_27(seen: Any) -> None:
    """The queue's panel lists the job that has ended, with its picture."""
    seen.page.locator(".queue-tab-button").click()
    item = seen.page.locator(".task-item")
    item.first.wait_for()
    assert item.count() == 1
    seen.until("() => document.querySelector('.task-item img')?.naturalWidth === 64")
    seen.shot("1.27.10-queue")


def panels_of_1_58(seen: Any) -> None:
    """The list of jobs and the list of what they made."""
    page = seen.page
    page.get_by_test_id("queue-overlay-toggle").click()
    overlay = page.get_by_test_id("queue-progress-overlay")
    overlay.get_by_text("text_to_image_00001_.png").first.wait_for()
    seen.shot("1.58.1-queue")
    page.get_by_test_id("assets-tab-button").click()
    page.get_by_text("PNG 64x64").first.wait_for()
    seen.shot("1.58.1-history")


PANELS = {"1.27.10": panels_of_1_27, "1.58.1": panels_of_1_58}
