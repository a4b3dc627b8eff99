"""Saved workflows as the official front end posts them, against our own conversion: the field's local templates.

    python benchmarks/template_conversion.py --shared DIR [--oracle FOLDER] [--fresh] [--report FILE] [NAME…]

The templates are those of a package on PyPI that need no service; the front end is the one that `make front-ends` fetches,
unmodified, in a Chromium, served by our server with the declarations of `DIR/interop/nodes_wanted.json` beside our own.
`--oracle` keeps what it posted (`NAME.prompt.json`, with the workflow beside it), so that only our side runs next time.

Goal: at least 250 of 259 equal in what matters: the graph (ids of inner nodes apart), and every value but those that a
front end adds because the class has them as a default.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from template_comparison import Comparison, compare
from template_declarations import write_pack

from engine.__main__ import make_app
from engine.graph.schema import Catalogue
from engine.graph.workflow import workflow_to_prompt

PACKAGE: Final = "comfyui-workflow-templates-json==0.1.123"
FRONT_END: Final = "1.58.1"
GOAL: Final = 250
PATIENCE_MS: Final = 180_000

READY: Final = (
    "() => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100 "
    "&& window.LiteGraph.registered_node_types['KSampler']"
)
CONVERT: Final = """async (text) => {
  let failed = null;
  try {
    await window.app.loadGraphData(JSON.parse(text), true, false);
  } catch (error) {
    failed = error;  // a curve's value cannot be copied for the list of open files: the graph is whole by then
  }
  try {
    const made = await window.app.graphToPrompt();
    return JSON.stringify({ prompt: made.output });
  } catch (error) {
    return JSON.stringify({ error: String(failed?.stack ?? error?.stack ?? error) });
  }
}"""


def main() -> int:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="safelight-templates-") as name:
        home = options.oracle or Path(name) / "oracle"
        home.mkdir(parents=True, exist_ok=True)
        base = Path(name) / "base"
        catalogue = declared_catalogue(base, options.shared)
        wanted = set(options.names) or None
        if options.fresh or not (home / "object_info.json").is_file():
            ask_front_end(home, base, templates(Path(name)), wanted)
        found = list(compared(home, catalogue, wanted))
    show(found)
    if options.report:
        options.report.write_text(report(found))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with interop/nodes_wanted.json")
    parser.add_argument("--oracle", type=Path, help="folder that keeps what the front end posted")
    parser.add_argument("--fresh", action="store_true", help="ask the front end again")
    parser.add_argument("--report", type=Path, help="file for the differences, grouped by kind")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these templates")
    return parser.parse_args()


def declared_catalogue(base: Path, shared: Path) -> Catalogue:
    """Our nodes and, as a pack in the folder `base`, the surveyed ones."""
    base.mkdir(parents=True)
    known = [spec.name for spec in make_app(base).load_library().catalogue]
    survey = json.loads((shared / "interop" / "nodes_wanted.json").read_text())
    write_pack(base / "custom_nodes" / "declared", survey, known)
    return make_app(base).load_library().catalogue


def templates(folder: Path) -> dict[str, dict[str, Any]]:
    """The local templates by name: those that the package's index does not call closed."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = next(name for name in archive.namelist() if name.endswith("/index.json")).removesuffix("index.json")
        listed = [one for group in json.loads(archive.read(f"{inside}index.json")) for one in group["templates"]]
        names = sorted({str(one["name"]) for one in listed if one.get("openSource") is not False})
        return {name: json.loads(archive.read(f"{inside}{name}.json")) for name in names}


def ask_front_end(home: Path, base: Path, workflows: Mapping[str, Any], wanted: set[str] | None) -> None:
    """Write into `home` what the front end posts for each workflow, and the declarations that it had."""
    from editor_page import chromium
    from server_process import Server

    root = front_end()
    server = Server(base, "--front-end-root", str(root))
    try:
        server.first_answer("/system_stats")
        (home / "object_info.json").write_text(json.dumps(server.get("/object_info")))
        with chromium() as browser, opened(browser, server.url) as page:
            for name, workflow in workflows.items():
                if wanted is None or name in wanted:
                    text = json.dumps(workflow)
                    (home / f"{name}.workflow.json").write_text(text)
                    answer = json.loads(page.evaluate(CONVERT, text))
                    (home / f"{name}.prompt.json").write_text(json.dumps(answer.get("prompt", answer), indent=1))
                    print(
                        f"{name}: {'FAILED ' + answer['error'][:200] if 'error' in answer else 'posted'}",
                        file=sys.stderr,
                    )
    finally:
        server.stop()


def front_end() -> Path:
    """The folder of the official front end. Raises SystemExit where it is not there."""
    home = Path(os.environ.get("SAFELIGHT_FRONT_ENDS", Path(sys.prefix) / "front_ends"))
    root = home / FRONT_END / "comfyui_frontend_package" / "static"
    if not (root / "index.html").is_file():
        raise SystemExit(f"front end {FRONT_END} is not there ({root}): `make front-ends` fetches it")
    return root


@contextmanager
def opened(browser: Any, url: str) -> Iterator[Any]:
    """A page with the front end that knows the nodes; nothing leaves this machine."""
    import urllib.request

    body = json.dumps({"Comfy.TutorialCompleted": True, "Comfy.Workflow.ShowMissingModelsWarning": False}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}/api/settings", body), timeout=60).close()
    context = browser.new_context()
    page = context.new_page()
    page.route(lambda target: not target.startswith(url), lambda route: route.abort())
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    page.wait_for_function(READY)
    page.wait_for_timeout(3000)  # extensions that come last have come
    try:
        yield page
    finally:
        context.close()


def compared(home: Path, catalogue: Catalogue, wanted: set[str] | None) -> Iterator[Comparison]:
    """Each kept answer of the front end against our conversion."""
    declared = json.loads((home / "object_info.json").read_text())
    for path in sorted(home.glob("*.workflow.json")):
        name = path.name.removesuffix(".workflow.json")
        if wanted is None or name in wanted:
            theirs = json.loads((home / f"{name}.prompt.json").read_text())
            ours = workflow_to_prompt(json.loads(path.read_text()), catalogue).prompt
            yield compare(name, theirs, ours, declared)


def show(found: Sequence[Comparison]) -> None:
    """A line a template, and the count."""
    for one in found:
        print(f"{one.name}\t{'equal' if one.equal else f'{len(one.differences)} differ, first: {one.differences[0]}'}")
    equal = sum(one.equal for one in found)
    goal = f" (goal: {GOAL})" if len(found) > GOAL else ""
    print(f"{equal} of {len(found)} equal{goal}")


def report(found: Sequence[Comparison]) -> str:
    """What differs as Markdown, most frequent kinds first."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for one in found:
        for kind, text in {(difference.kind, str(difference)) for difference in one.differences}:
            kinds.setdefault(kind, []).append((one.name, text))
    lines = [f"# {sum(one.equal for one in found)} of {len(found)} templates equal", ""]
    for kind, told in sorted(kinds.items(), key=lambda item: -len({name for name, _ in item[1]})):
        lines += [f"## {kind}: {len(told)} differences in {len({name for name, _ in told})} templates", ""]
        lines += [f"- {name}: {text}" for name, text in sorted(told)] + [""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
