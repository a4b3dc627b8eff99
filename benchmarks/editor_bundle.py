"""How much of the editor is fetched before its canvas shows the first picture, as gzip would send it.

Counted in a real page: scripts and styles that were asked for before the first node was on the page. What is fetched later,
while nothing else is to do, is listed as a sum.

    python benchmarks/editor_bundle.py [--json FILE]
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any, Final

from editor_page import PATIENCE_MS, SIZE, chromium
from server_process import ROOT, base_folder, running, verdict

LIMIT_KB: Final = 300.0
BUILT: Final = ROOT / "engine" / "server" / "editor"
SHOWN: Final = 24

FETCHED: Final = """
() => performance.getEntriesByType("resource")
  .filter(({ name }) => /\\.(js|css)$/.test(new URL(name).pathname))
  .map(({ name, startTime }) => [new URL(name).pathname.replace(/^\\//, ""), startTime])
"""
FIRST_NODE: Final = """
() => {
  const look = () => document.querySelector("[data-node]") ? (window.firstNode = performance.now()) : requestAnimationFrame(look);
  look();
}
"""


def size(path: str) -> float:
    """Kilobytes of a built file after gzip."""
    return len(gzip.compress((BUILT / path).read_bytes(), 9)) / 1000


def measure() -> dict[str, Any]:
    """Files of the first picture with their sizes, and the sum of the others that came later."""
    with base_folder() as base, running(base) as server, chromium() as browser:
        page = browser.new_page(viewport=SIZE)
        page.add_init_script(f"({FIRST_NODE})()")
        page.goto(server.url)
        page.wait_for_function("() => window.firstNode > 0", timeout=PATIENCE_MS)
        page.wait_for_timeout(8000)
        first = page.evaluate("window.firstNode")
        fetched = page.evaluate(FETCHED)
    at_start = {path: size(path) for path, begun in fetched if begun <= first}
    at_start["index.html"] = size("index.html")
    later = {path: size(path) for path, begun in fetched if begun > first}
    return {"files": at_start, "kb": sum(at_start.values()), "later_kb": sum(later.values()), "later": len(later)}


def report(found: dict[str, Any]) -> None:
    """Print them beside the limit."""
    print(
        f"before the first picture: {found['kb']:.1f} kB gzip, limit {LIMIT_KB:.0f} kB  {verdict(found['kb'], LIMIT_KB)}"
    )
    ordered = sorted(found["files"].items(), key=lambda one: -one[1])
    for path, kb in ordered[:SHOWN]:
        print(f"  {kb:7.1f} kB  {path}")
    rest = ordered[SHOWN:]
    print(f"  {sum(kb for _, kb in rest):7.1f} kB  {len(rest)} others")
    print(f"later, while idle: {found['later_kb']:.1f} kB in {found['later']} files")


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args()
    found = measure()
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
